"""Was any attack seen to work at all?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.findings._words import counted, where
from titer.audit.results import Results
from titer.audit.traps._cells import allowed, attacks_only, by_threat, standing, standing_clean, strongest
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung


class AttackBites(Check):
    """Under every threat, at some radius some attack turns more than 1% of cases (and more than one).

    A table in which nothing ever happens cannot tell a robust model from an attack that does not run.
    """

    name: ClassVar[str] = "attack_bites"
    title: ClassVar[str] = "The attack is seen to work"
    question: ClassVar[str] = "Does some attack at some limit of every threat turn more than 1% of the cases?"
    meaning: ClassVar[str] = "No limit was large enough to show that the attack works, so its failure is no evidence."
    remedy: ClassVar[str] = "Add larger limits until accuracy falls, up to one that covers the whole valid range."
    place: ClassVar[int] = 11

    def look(self, results: Results) -> Seen:
        found = [(strongest(attacks), attacks) for cells in by_threat(results) if (attacks := attacks_only(cells))]
        if not found:
            return skipped("No attack was run.")
        turned = [int(standing_clean(cell).sum()) - int(standing(cell).sum()) for cell, _ in found]
        n = [len(standing(cell)) for cell, _ in found]
        bad = [place for place in range(len(found)) if turned[place] <= allowed(n[place])]
        least = min(bad or range(len(found)), key=lambda place: turned[place] / n[place])
        evidence = f"{where(found[least][0])} turns {turned[least]} of {counted(n[least], 'case')}"
        threats = counted(len(found), "threat")
        if bad:
            return sprung(
                f"Under {len(bad)} of {threats} no attack turns more than 1%; the most: {evidence}.",
                [cell for place in bad for cell in found[place][1]],
            )
        return clear(f"Seen under {threats}; the least: {evidence}.")

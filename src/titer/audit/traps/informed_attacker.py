"""Did the attacker use all that the model gives away?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.findings._words import counted
from titer.audit.results import Results
from titer.audit.traps._cells import attacks_only, search_of
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung
from titer.models.model import Access, Knowledge, allows


class InformedAttacker(Check):
    """Against every model, at least one attack used as much as the model gives: gradients, scores or labels.

    Source: Carlini et al. 2019 (arXiv 1902.06705): robustness is measured against whoever knows the model.
    """

    name: ClassVar[str] = "informed_attacker"
    title: ClassVar[str] = "The attacker used what the model gives"
    question: ClassVar[str] = "Was every model attacked with all that it gives away (gradients, scores or labels)?"
    meaning: ClassVar[str] = (
        "A weaker attacker was measured than one who could exist; robust accuracy is an upper bound that an informed "
        "attacker may go far below."
    )
    remedy: ClassVar[str] = "Add an attack that uses gradients (pgd) or scores (square), as the model gives them."
    place: ClassVar[int] = 13

    def look(self, results: Results) -> Seen:
        bad, said = [], []
        for number, subject in enumerate(results.prepared.plan.subjects):
            cells = attacks_only(results.of(number))
            if not cells:
                continue
            given: Access = cells[0].trials[0].before.facts["access"]
            used: list[Knowledge] = sorted({search_of(cell).needs for cell in cells})
            said.append(f"{subject.name} gives {given}, attacks used {' and '.join(used)}")
            if not any(allows(need, given) for need in used):
                bad.append((said[-1], cells))
        if not said:
            return skipped("No attack was run.")
        if bad:
            return sprung(
                f"Not so for {len(bad)} of {counted(len(said), 'model')}: {bad[0][0]}.",
                [cell for _, cells in bad for cell in cells],
            )
        return clear(f"For {counted(len(said), 'model')}; for example {said[0]}.")

"""Does an attack that wants any error cause both kinds?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.findings._words import counted, where
from titer.audit.results import CellResults, Results
from titer.audit.traps._cells import allowed, attacks_only, by_threat, strongest
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung

FEWEST = 10


class TwoSides(Check):
    """At the largest limit, the strongest attack does not take half of one side and nothing of the other.

    A missed disease and a false alarm are both wanted by an attacker who wants any error. If one side keeps
    everything (up to 1% or one case) while the other loses at least half of its right answers, the attack pushes one
    way only, or the model falls back to one answer on any disturbance.
    """

    name: ClassVar[str] = "two_sides"
    title: ClassVar[str] = "Both errors are caused"
    question: ClassVar[str] = "Does the strongest attack at the largest limit cause misses as well as false alarms?"
    meaning: ClassVar[str] = (
        "The drop in accuracy depends on the share of diseased cases in this test set and hides that one error was "
        "hardly attacked."
    )
    remedy: ClassVar[str] = (
        "Read sensitivity and specificity apart; attack each side with its own goal (raise, lower), and check the sign "
        "of the loss."
    )
    place: ClassVar[int] = 12

    def look(self, results: Results) -> Seen:
        found = []
        for cells in by_threat(results):
            attacks = attacks_only(cells)
            if attacks and attacks[0].threat.spec.goal == "untargeted" and attacks[0].trials[0].sick is not None:
                cell = strongest([each for each in attacks if each.radius == attacks[-1].radius])
                found.append((cell, _lost(cell)))
        judged = [(cell, sides) for cell, sides in found if min(right for _, right in sides) >= FEWEST]
        if not judged:
            return skipped(
                f"No threat wants any error of a two-sided decision with {FEWEST} right answers on either side."
            )
        bad = [(cell, sides) for cell, sides in judged if _one_sided(sides)]
        cell, (sick, well) = min(bad or judged, key=lambda each: min(lost / right for lost, right in each[1]))
        evidence = (
            f"{where(cell)} takes {sick[0]} of {counted(sick[1], 'right answer')} on diseased and "
            f"{well[0]} of {well[1]:,} on healthy cases"
        )
        if bad:
            return sprung(f"In {len(bad)} of {counted(len(judged), 'threat')}; worst: {evidence}.", [c for c, _ in bad])
        return clear(f"Most one-sided of {counted(len(judged), 'threat')}: {evidence}.")


Side = tuple[int, int]


def _lost(cell: CellResults) -> tuple[Side, Side]:
    """Right answers lost (net), and right answers before, for the diseased and the healthy."""
    before, after = cell.pooled(lambda trial: trial.right_before), cell.pooled(lambda trial: trial.right_after)
    sick = cell.pooled(lambda trial: trial.targets < 0 if trial.sick is None else trial.sick)
    diseased, healthy = (
        (int(before[side].sum()) - int(after[side].sum()), int(before[side].sum())) for side in (sick, ~sick)
    )
    return diseased, healthy


def _one_sided(sides: tuple[Side, Side]) -> bool:
    return any(kept <= allowed(of) and 2 * gone >= out_of for (kept, of), (gone, out_of) in (sides, sides[::-1]))

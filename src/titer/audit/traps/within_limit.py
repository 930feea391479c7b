"""Did every attacked case stay within the limit, the valid range and the number of questions?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.audit.findings._words import counted, where
from titer.audit.results import CellResults, Results
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung

_SLACK = 1e-6


class WithinLimit(Check):
    """No proposal of an attack broke limit, mask or valid range, none cost more than the limit, none asked too often.

    The engine judges each proposal to 1e-6 and takes a broken one back; none may occur at all.
    """

    name: ClassVar[str] = "within_limit"
    title: ClassVar[str] = "Every change is allowed"
    question: ClassVar[str] = "Does every attacked case keep the limit and the valid range, to 1e-6?"
    meaning: ClassVar[str] = (
        "The attack proposes what the threat forbids. Such proposals were taken back, so those cases count as "
        "withstanding and robust accuracy is overstated."
    )
    remedy: ClassVar[str] = "Correct the attack or the change so that it projects onto limit, mask and range."
    place: ClassVar[int] = 7

    def look(self, results: Results) -> Seen:
        if not results.cells:
            return skipped("No attack was run.")
        broken = {cell.name: int(_broken(cell).sum()) for cell in results.cells}
        cases = sum(len(trial.after) for cell in results.cells for trial in cell.trials)
        bad = [cell for cell in results.cells if broken[cell.name]]
        if not bad:
            everywhere = counted(len(results.cells), "cell")
            return clear(f"None of {counted(cases, 'attacked case')} in {everywhere} broke them.")
        worst = max(bad, key=lambda cell: broken[cell.name])
        return sprung(
            f"{counted(sum(broken.values()), 'case')} of {cases:,} in {len(bad)} of "
            f"{counted(len(results.cells), 'cell')} broke them, {broken[worst.name]:,} of these in {where(worst)}.",
            bad,
        )


def _broken(cell: CellResults) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    limit, queries = cell.radius.value, cell.threat.spec.queries
    violated = cell.pooled(lambda trial: trial.after["violated"]).astype(bool)
    dear = cell.pooled(lambda trial: trial.after["cost"]) > limit * (1 + _SLACK) + _SLACK * (limit > 0)
    asked = cell.pooled(lambda trial: trial.after["queries"])
    return np.asarray(violated | dear | (asked > (np.inf if queries is None else queries)))

"""Do clean and attacked answers belong to the same cases, and to the truth of these cases?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.audit.findings._words import counted, where
from titer.audit.maps import marked
from titer.audit.results import CellResults, Measured, Results
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung


class SameCases(Check):
    """Row by row, clean answers, attacked answers, truth and patient are those of one case of the data set."""

    name: ClassVar[str] = "same_cases"
    title: ClassVar[str] = "Clean and attacked cases are the same"
    question: ClassVar[str] = "Do clean answers, attacked answers and truth belong to the same cases?"
    meaning: ClassVar[str] = "Results of different cases or data were mixed; no paired number of this report holds."
    remedy: ClassVar[str] = "Run the audit again in a new folder."
    place: ClassVar[int] = 16
    clean: ClassVar[bool] = True

    def look(self, results: Results) -> Seen:
        if not results.cells:
            return skipped("No attack was run.")
        wrong = {cell.name: sum(_mixed(cell, trial) for trial in cell.trials) for cell in results.cells}
        trials = sum(len(cell.trials) for cell in results.cells)
        bad = [cell for cell in results.cells if wrong[cell.name]]
        if bad:
            worst = max(bad, key=lambda cell: wrong[cell.name])
            return sprung(
                f"{counted(sum(wrong.values()), 'row')} of {counted(trials, 'table')} do not; most in {where(worst)}.",
                bad,
            )
        return clear(f"All rows do, of {counted(trials, 'table')} in {counted(len(results.cells), 'cell')}.")


def _mixed(cell: CellResults, trial: Measured) -> int:
    """Rows that do not belong together."""
    rows, others = trial.before["row"], trial.after["row"]
    if len(rows) != len(others):
        return max(len(rows), len(others))
    cases = cell.dataset.cases
    target = (trial.targets != marked(cell.dataset, rows)).reshape(len(rows), -1).any(axis=1)
    return int(np.sum((rows != others) | target | (trial.patients != cases.patients[rows])))

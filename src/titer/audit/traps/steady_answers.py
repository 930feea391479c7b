"""Does the model give the same answer when it is asked the same again?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.audit.findings._words import counted
from titer.audit.results import CellResults, Results
from titer.audit.table import Array
from titer.audit.traps._cells import allowed, attacks_only
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung

_TOLERANCE = 1e-3


class SteadyAnswers(Check):
    """Clean cases get the same scores whenever they are asked, in the clean run and before each attack.

    Every case counts where a table keeps what the model said before the attack (`clean_scores`), otherwise the cases
    that the attack left as they were. Scores may differ by 0.1% of themselves and of their spread over cases.
    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420), on stochastic gradients.
    """

    name: ClassVar[str] = "steady_answers"
    title: ClassVar[str] = "The same question gets the same answer"
    question: ClassVar[str] = "Do clean cases get the same scores again when an attack asks?"
    meaning: ClassVar[str] = (
        "The model answers at random (dropout left on, smoothing, a changing endpoint). A single answer per case then "
        "overstates or understates robustness by luck."
    )
    remedy: ClassVar[str] = (
        "Fix the model's randomness, or run the model in this process, where it is averaged over draws by itself."
    )
    place: ClassVar[int] = 15
    clean: ClassVar[bool] = True

    def look(self, results: Results) -> Seen:
        found = []
        for number, subject in enumerate(results.prepared.plan.subjects):
            cells = attacks_only(results.of(number))
            counts = [_asked_again(cell) for cell in cells]
            asked = sum(n for n, _ in counts)
            if asked:
                other = [cell for cell, (_, k) in zip(cells, counts, strict=True) if k]
                found.append((sum(k for _, k in counts), asked, subject.name, other))
        if not found:
            return skipped("No attack left a case unchanged, and no table keeps what it was told about clean cases.")
        bad = [each for each in found if each[0] > allowed(each[1])]
        k, asked, name, _ = max(bad or found, key=lambda each: each[0] / each[1])
        evidence = f"{name} answered {k} of {counted(asked, 'repeated question')} otherwise than in the clean run"
        models = counted(len(found), "model")
        if bad:
            return sprung(f"{evidence}; so {len(bad)} of {models}.", [cell for each in bad for cell in each[3]])
        return clear(f"{evidence}, the most of {models}; {allowed(asked)} tolerated.")


def _asked_again(cell: CellResults) -> tuple[int, int]:
    """How many clean cases were asked again, and how many of them got other scores."""
    asked = other = 0
    for trial in cell.trials:
        again = trial.after.columns.get("clean_scores")
        rows = trial.after["cost"] == 0 if again is None else np.ones(len(trial.after), dtype=bool)
        asked += int(rows.sum())
        other += int(_differ(trial.before["scores"], trial.after["scores"] if again is None else again, rows).sum())
    return asked, other


def _differ(before: Array, after: Array, rows: Array) -> Array:
    """Whether the scores of these rows differ by more than rounding; a class that is ruled out has minus infinity."""
    one, two = before[rows], after[rows]
    known = np.where(np.isfinite(before), before, np.nan)
    with np.errstate(invalid="ignore"):
        gap = np.abs(two - one)
    slack = _TOLERANCE * (np.abs(one) + np.nan_to_num(np.nanstd(known, axis=0)))
    return np.asarray(((np.isfinite(one) != np.isfinite(two)) | (gap > slack)).any(axis=1))

"""Is the model better than guessing before anybody attacks it?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.audit.findings._words import counted
from titer.audit.results import Measured, Results
from titer.audit.table import Array
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung

ERRORS = 2.0


class AboveGuessing(Check):
    """In every trial, clean performance lies more than two standard errors above what a constant answer gets.

    Balanced accuracy (the mean over classes of the share answered right) minus that of a constant answer, 1 / K, which
    is what guessing the majority gets as well. Findings: the mean over findings of the same. Regression: the share of
    variance explained, 1 - sum (f - y)^2 / sum (y - mean y)^2. Segmentation: the mean agreement minus that of the best
    constant map, one class everywhere. Standard errors count patients, not cases.
    """

    name: ClassVar[str] = "above_guessing"
    title: ClassVar[str] = "The model beats guessing"
    question: ClassVar[str] = "Is every trained model clearly better on clean cases than one constant answer?"
    meaning: ClassVar[str] = "A model that guesses has nothing to lose; its robustness means nothing."
    remedy: ClassVar[str] = (
        "Train longer or on more cases, check labels and preprocessing, and leave the trial out if it stays."
    )
    place: ClassVar[int] = 14

    def look(self, results: Results) -> Seen:
        found, bad, touched = [], [], []
        for number, subject in enumerate(results.prepared.plan.subjects):
            cells = results.of(number)
            trials = {trial.trial.clean: trial for cell in cells for trial in cell.trials}
            for trial in trials.values():
                gain = gain_over_constant(trial)
                if gain is None:
                    continue
                found.append((gain, subject.name, trial))
                if not gain[0] > ERRORS * gain[1]:
                    bad.append(found[-1])
                    touched += [cell for cell in cells if cell not in touched]
        if not found:
            return skipped("No test set holds two classes, or answers that vary.")
        (value, error), name, trial = min(bad or found, key=lambda each: each[0][0] - ERRORS * each[0][1])
        evidence = (
            f"{name}, trial {trial.trial.seed}: {100 * value:.1f} points above a constant answer (standard error "
            f"{100 * error:.1f}) on {counted(len(trial.targets), 'case')}"
        )
        if _constant(trial):
            evidence += ", all of which got the same answer"
        if bad:
            return sprung(f"Not in {len(bad)} of {counted(len(found), 'trial')}; worst: {evidence}.", touched)
        return clear(f"Judged: {counted(len(found), 'trial')}; least: {evidence}.")


def gain_over_constant(trial: Measured) -> tuple[float, float] | None:
    """How far clean answers are better than the best constant one, and the standard error; None if not defined."""
    answers, targets = trial.task.decide(trial.before["scores"]), trial.targets
    if trial.task.kind == "regression":
        spread = float(((targets - targets.mean()) ** 2).sum())
        if spread == 0:
            return None
        parts = ((targets - targets.mean()) ** 2 - (answers - targets) ** 2) / spread
        return float(parts.sum()), _error(parts - parts.mean(), trial.patients)
    if trial.task.kind == "segmentation":
        gains = answers - trial.before["constant"]
        return float(gains.mean()), _error((gains - gains.mean()) / len(gains), trial.patients)
    if trial.task.kind == "multilabel":
        columns = [_balanced(answers[:, k], targets[:, k]) for k in range(targets.shape[1])]
    else:
        columns = [_balanced(answers, targets)]
    known = [column for column in columns if column is not None]
    if not known:
        return None
    residuals = np.mean([residual for _, residual in known], axis=0)
    return float(np.mean([gain for gain, _ in known])), _error(residuals, trial.patients)


def _balanced(answers: Array, targets: Array) -> tuple[float, Array] | None:
    """Balanced accuracy minus 1 / K, and what each case adds to its error."""
    kinds, kind = np.unique(targets, return_inverse=True)
    if len(kinds) < 2:
        return None
    right = (answers == targets).astype(float)
    sizes = np.bincount(kind)
    rates = np.bincount(kind, weights=right) / sizes
    return float(rates.mean() - 1 / len(kinds)), (right - rates[kind]) / sizes[kind] / len(kinds)


def _error(residuals: Array, patients: Array) -> float:
    """Standard error of a sum of residuals that belong to patients."""
    people = np.unique(patients, return_inverse=True)[1]
    return float(np.sqrt((np.bincount(people, weights=residuals) ** 2).sum()))


def _constant(trial: Measured) -> bool:
    return not np.ptp(trial.task.decide(trial.before["scores"]), axis=0).any()

"""Did the attack lower accuracy: tests of one cell, and of all main cells of a model as one family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from titer.audit.findings._family import holm, named
from titer.audit.findings._paired import by_sign_flips, normality, over_trials, paired_results, sizes, within_trials
from titer.audit.findings._words import counted, limit_words, outcome
from titer.audit.report.schema import ComparisonFamily, TestResult
from titer.audit.results import CellResults, Results
from titer.audit.statistic import Statistic
from titer.audit.subject import recipe_of


def cell_tests(cell: CellResults, rng: np.random.Generator) -> tuple[TestResult, ...]:
    """Tests of clean against attacked for one cell, not corrected for others.

    The paired t test over trials with its sign-flip companion, the exact McNemar test on cases (by patient where
    patients have several), Shapiro-Wilk with its power, and the effect in points, d_z, d_av and Hedges' g_z. With one
    trial only McNemar's test exists. All speak of the share of right answers, whatever the task.

    Arguments
        cell: trials of one attack at one radius. rng: for the bootstrap of trials.
    """
    return tuple(paired_results(cell, rng))


class AttackLowersAccuracy(Statistic):
    """Per model: every attack at its main limit, tested over trials and over cases, Holm within the model.

    The family, declared in advance: all attacks of one model at the main limit of each threat, controls left out. Each
    kind of test is corrected over that family by itself; the paired t test over trials is the primary one.
    """

    name: ClassVar[str] = "attack_lowers_accuracy"

    def compute(self, results: Results, rng: np.random.Generator) -> Sequence[ComparisonFamily]:
        families = []
        for number in range(len(results.prepared.plan.subjects)):
            cells = [cell for cell in results.of(number) if cell.is_main and not cell.control]
            if cells:
                families.append(_family(cells, rng))
        return tuple(families)


def _family(cells: list[CellResults], rng: np.random.Generator) -> ComparisonFamily:
    trials = min(len(cell.trials) for cell in cells)
    once = len({cell.attack for cell in cells}) == len(cells)
    labels = [cell.attack if once else f"{cell.attack}, {cell.threat.id}" for cell in cells]

    def all_named(tests: list[TestResult]) -> list[TestResult]:
        return [named(test, label) for test, label in zip(tests, labels, strict=True)]

    rows: list[TestResult] = []
    if trials >= 2:
        rows += all_named(holm([over_trials(cell) for cell in cells]))
        rows += all_named(holm([by_sign_flips(cell, rng) for cell in cells]))
    rows += all_named(holm([within_trials(cell) for cell in cells]))
    if trials >= 3:
        rows += all_named([normality(cell) for cell in cells])
    if trials >= 2:
        rows += [named(size, label) for cell, label in zip(cells, labels, strict=True) for size in sizes(cell, rng)]
    first = cells[0]
    return ComparisonFamily(
        heading=f"Did the attacks lower {outcome(first)}? {first.subject.name}",
        question=f"Is {outcome(first)} of {first.subject.name} lower under attack than before, at the main limit?",
        results=tuple(rows),
        notes=_notes(cells, trials),
    )


def _notes(cells: list[CellResults], trials: int) -> tuple[str, ...]:
    limits = ", ".join(dict.fromkeys(f"{limit_words(cell.radius)} ({cell.threat.id})" for cell in cells))
    family = (
        f"Declared family: {counted(len(cells), 'attack')} at the main limit, controls left out; Holm's correction "
        "is made for each kind of test apart."
    )
    anew = "training and splitting anew" if recipe_of(cells[0].subject) is not None else "splitting the cases anew"
    pooled = (
        "McNemar's test pools the cases of all trials and flips signs by patient; it speaks of these models on these "
        f"cases, the paired t test of {anew}."
    )
    notes = [f"Main limits: {limits}.", family, pooled]
    if trials < 2:
        notes.append("With one trial there is no test over trials.")
    elif trials < 6:
        notes.append(
            f"With {trials} trials the sign-flip test cannot reach 0.05 (smallest p {2.0 ** (1 - trials):.4g}); this "
            "is no sign of a small effect."
        )
    return tuple(notes)

"""How many trials and cases does it take to see an effect: decided before any result, never from one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from titer.audit.findings._words import counted
from titer.audit.report.schema import ComparisonFamily, TestResult
from titer.audit.results import Results
from titer.audit.statistic import Statistic
from titer.audit.statistics.power import (
    cases_for_half_width,
    mcnemar_power,
    paired_t_power,
    paired_t_sample_size,
)

EFFECTS = (0.5, 0.8, 1.0, 1.5, 2.0, 3.0)
GOAL = 0.8
HALF_WIDTH = 0.05
CHANGES = (0.10, 0.05)


class SampleSize(Statistic):
    """Power of the planned tests for effects named in advance; nothing here looks at a result.

    Power computed from an observed effect restates its p (Hoenig and Heisey 2001, doi 10.1198/000313001300339897).
    """

    name: ClassVar[str] = "sample_size"

    def compute(self, results: Results, rng: np.random.Generator) -> Sequence[ComparisonFamily]:
        if not results.cells:
            return ()
        trials = len(results.prepared.plan.seeds)
        cases = min(len(trial.targets) for cell in results.cells for trial in cell.trials)
        rows = [_power(effect, trials) for effect in EFFECTS] if trials >= 2 else []
        basis = f"{counted(trials, 'trial')} and the smallest test set ({counted(cases, 'case')} per trial)"
        return (
            ComparisonFamily(
                heading="What could this audit have noticed?",
                question="How likely are the planned tests to see an effect of a size named in advance?",
                results=(*rows, _needed(trials), _mcnemar(cases), _width(cases)),
                notes=(
                    f"A priori, for {basis}; no observed effect enters.",
                    "d_z is the mean drop in standard deviations of the drop between trials.",
                ),
            ),
        )


def _power(effect: float, trials: int) -> TestResult:
    found = paired_t_power(effect, trials)
    chance = _percent(found.power)
    return TestResult(
        name=f"power of the paired t-test for d_z = {effect:g}", estimate=found.power, unit="power", n=trials,
        method=f"{found.method}, alpha 0.05",
        sentence=f"A true d_z of {effect:g} is shown by {counted(trials, 'trial')} {chance} of the time.",
    )  # fmt: skip


def _needed(trials: int) -> TestResult:
    found = paired_t_sample_size(EFFECTS[0], power=GOAL)
    return TestResult(
        name=f"trials needed for d_z = {EFFECTS[0]:g} at power {GOAL:g}", estimate=float(found.n), unit="trials",
        n=trials, method=found.method,
        sentence=f"A d_z of {EFFECTS[0]:g} needs {found.n} trials for a power of {GOAL:g}; this audit has {trials}.",
    )  # fmt: skip


def _mcnemar(cases: int) -> TestResult:
    worse, better = CHANGES
    found = mcnemar_power(worse, better, cases)
    return TestResult(
        name="power of McNemar's test for a loss of 5 points", estimate=found.power, unit="power", n=cases,
        method=f"{found.method}, alpha 0.05",
        sentence=(
            f"If {_percent(worse)} of independent cases turn wrong and {_percent(better)} turn right, "
            f"{counted(cases, 'case')} show it {_percent(found.power)} of the time."
        ),
    )  # fmt: skip


def _width(cases: int) -> TestResult:
    found = cases_for_half_width(0.5, HALF_WIDTH)
    points = 100 * HALF_WIDTH
    return TestResult(
        name=f"cases needed for an interval of {points:g} points either way", estimate=float(found.n), unit="cases",
        n=cases, method=f"{found.method}, share of 0.5",
        sentence=(
            f"An interval of at most {points:g} points either way needs {found.n} independent cases of one kind; the "
            f"smallest test set has {cases:,} in all."
        ),
    )  # fmt: skip


def _percent(share: float) -> str:
    return "more than 99%" if 0.995 <= share < 1 else f"{100 * share:.0f}%"

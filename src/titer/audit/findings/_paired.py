"""Clean against attacked, over the trials of one cell: each test and size as the report shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from titer.audit.findings._words import counted, finite, outcome, percent_after, percent_before, reach
from titer.audit.report.formats import ends, number, p_text, significant
from titer.audit.report.schema import TestResult
from titer.audit.results import CellResults
from titer.audit.statistics.effect_size import Effect, effect_sizes
from titer.audit.statistics.mcnemar import mcnemar, mcnemar_by_patient
from titer.audit.statistics.normality import shapiro
from titer.audit.statistics.paired import paired_t
from titer.audit.statistics.sign_flip import sign_flip

_MEANING = {
    "d_z": "the mean drop in standard deviations of the drop between trials",
    "d_av": "the mean drop in standard deviations of accuracy between trials",
    "Hedges g_z": "d_z corrected for the small number of trials",
}


def paired_results(cell: CellResults, rng: np.random.Generator) -> Iterator[TestResult]:
    """Every test and effect size that the number of trials allows; the first is the primary one."""
    if len(cell.trials) >= 2:
        yield over_trials(cell)
        yield by_sign_flips(cell, rng)
    yield within_trials(cell)
    if len(cell.trials) >= 3:
        yield normality(cell)
    if len(cell.trials) >= 2:
        yield from sizes(cell, rng)


def over_trials(cell: CellResults) -> TestResult:
    """Paired t test over trials."""
    test = paired_t(percent_before(cell), percent_after(cell))
    moved = _moved(cell, test.difference)
    if finite(test.t) is None:
        sentence = f"{moved} in every one of {counted(test.n, 'trial')}, so a t test does not exist."
    else:
        sentence = (
            f"{moved} on average over {counted(test.n, 'trial')} (95% interval {ends(test.low, test.high, 'points')}); "
            f"t({test.df}) = {significant(test.t)}, {p_text(test.p)}."
        )
    return TestResult(
        name="paired t-test over trials", statistic_name="t", statistic=finite(test.t), df=(test.df,), p=finite(test.p),
        estimate=test.difference, unit="points", **reach(test.low, test.high), n=test.n,
        method="two-sided paired t test of clean minus attacked, one value per trial", sentence=sentence,
    )  # fmt: skip


def by_sign_flips(cell: CellResults, rng: np.random.Generator) -> TestResult:
    """Sign-flip permutation test over trials, which says when it cannot reach 0.05."""
    test = sign_flip(percent_before(cell), percent_after(cell), rng=rng)
    if test.reachable:
        said = f"Without assuming a distribution, sign flips of {counted(test.n, 'trial')} give {p_text(test.p)}."
    else:
        said = (
            f"Sign flips of {counted(test.n, 'trial')} give p = {test.p:.4g}; their smallest possible p is "
            f"{test.smallest_p:.4g}, so this test cannot reach 0.05."
        )
    return TestResult(
        name="sign-flip permutation test", p=test.p, estimate=test.difference, unit="points",
        **reach(test.low, test.high), n=test.n, method=test.method, sentence=said,
    )  # fmt: skip


def within_trials(cell: CellResults) -> TestResult:
    """Exact McNemar test on cases, by patient where patients have several."""
    before, after = cell.pooled(lambda t: t.right_before), cell.pooled(lambda t: t.right_after)
    patients = cell.pooled(lambda t: t.patients)
    people = len(np.unique(patients))
    alone = people == len(patients)
    test = mcnemar(before, after) if alone else mcnemar_by_patient(before, after, patients=patients)
    share = finite(test.share)
    return TestResult(
        name="exact McNemar test" if alone else "exact McNemar test by patient",
        statistic_name="b", statistic=float(test.b), p=test.p, n=test.n,
        estimate=share, unit=None if share is None else "proportion",
        **reach(math.nan if share is None else test.low, test.high),
        method=f"two-sided, on cases of all trials, {test.method}; estimate: share of changed cases that turned wrong",
        sentence=(
            f"Of {counted(test.n, 'case')} ({counted(people, 'patient')}, {counted(len(cell.trials), 'trial')}), "
            f"{test.b:,} turned from right to wrong and {test.c:,} from wrong to right; {p_text(test.p)}."
        ),
    )  # fmt: skip


def normality(cell: CellResults) -> TestResult:
    """Shapiro-Wilk test of the differences, with what it could have noticed."""
    test = shapiro(percent_before(cell) - percent_after(cell))
    power = (
        f"with {counted(test.n, 'trial')} it would notice an exponential distribution "
        f"{100 * test.power_exponential:.0f}% and a log-normal one {100 * test.power_lognormal:.0f}% of the time"
    )
    w = finite(test.w)
    said = "Normality cannot be tested, since all trials differ alike" if w is None else (
        f"Normality of the drops was {'rejected' if test.p <= 0.05 else 'not rejected'} ({p_text(test.p)})"
    )  # fmt: skip
    return TestResult(
        name="Shapiro-Wilk test", statistic_name="W", statistic=w, p=finite(test.p), n=test.n,
        method="Shapiro-Wilk on clean minus attacked per trial; power by simulation", sentence=f"{said}; {power}.",
    )  # fmt: skip


def sizes(cell: CellResults, rng: np.random.Generator) -> Iterator[TestResult]:
    """The drop in points, then in standard deviations."""
    found = effect_sizes(percent_before(cell), percent_after(cell), rng=rng)
    yield TestResult(
        name="drop", estimate=found.points.value, unit="points",
        **reach(found.points.low, found.points.high), n=found.points.n, method=found.points.method,
        sentence=f"{_moved(cell, found.points.value)} on average; interval by resampling trials.",
    )  # fmt: skip
    # Hedges' factor is 0 with two trials.
    for effect in (found.d_z_exact, found.d_av, *((found.g_z_exact,) if found.g_z.n > 2 else ())):
        yield _size(effect)


def _size(effect: Effect) -> TestResult:
    value = finite(effect.value)
    ends = reach(math.nan if value is None else effect.low, effect.high)
    what = _MEANING[effect.name]
    return TestResult(
        name=effect.name, estimate=value, unit=effect.name, **ends, n=effect.n, method=effect.method,
        sentence=(
            f"{effect.name} does not exist, since the trials do not vary." if value is None else
            f"{effect.name} is {significant(value)}: {what}."
        ),
    )  # fmt: skip


def _moved(cell: CellResults, drop: float) -> str:
    verb = "lowers" if drop >= 0 else "raises"
    return f"{cell.attack} {verb} {outcome(cell)} by {number(abs(drop), 'points')}"

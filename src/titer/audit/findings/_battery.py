"""Do several methods differ over trials: all tests that belong to the question, as the report shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from titer.audit.findings._family import ALPHA
from titer.audit.findings._words import finite, reach
from titer.audit.report.formats import ends, number, p_text, significant
from titer.audit.report.schema import TestResult
from titer.audit.statistics.anova import Anova, one_way, repeated_measures, welch
from titer.audit.statistics.friedman import friedman, nemenyi
from titer.audit.statistics.posthoc import Contrasts, games_howell, paired_contrasts, tukey_blocked
from titer.audit.table import Array

Outcomes = Mapping[str, Array]

FLAG = (
    "The one-way analysis assumes independent trials. These share their splits and seeds, so read the blocked "
    "analysis; the one-way one is printed because published comparisons use it."
)


def blocked(outcomes: Outcomes, what: str) -> Iterator[TestResult]:
    """Tests of methods that share their trials; the first is the primary one.

    Arguments
        outcomes: method -> [trials] values in points, the same trials in the same order. what: name of the value.
    """
    yield _omnibus(repeated_measures(outcomes), outcomes, what)
    if len(outcomes) >= 3:
        yield _friedman(outcomes, what)
    yield _omnibus(one_way(outcomes), outcomes, what)
    if _all_vary(outcomes):
        yield _omnibus(welch(outcomes), outcomes, what)
    yield from _pairs(paired_contrasts(outcomes), "paired t-test, Holm", "points", what)
    if len(outcomes) >= 3:
        yield from _pairs(tukey_blocked(outcomes), "Tukey, blocked", "points", what)
        yield from _pairs(nemenyi(outcomes), "Nemenyi", "mean ranks", what)


def independent(outcomes: Outcomes, what: str) -> Iterator[TestResult]:
    """Tests of methods whose trials have nothing in common; arguments as in `blocked`."""
    if _all_vary(outcomes):
        yield _omnibus(welch(outcomes), outcomes, what)
    yield _omnibus(one_way(outcomes), outcomes, what)
    yield from _pairs(games_howell(outcomes), "Games-Howell", "points", what)


def _all_vary(outcomes: Outcomes) -> bool:
    """Whether Welch's weights exist."""
    return all(np.ptp(column) > 1e-9 * max(1.0, np.abs(column).max()) for column in outcomes.values())


def _omnibus(test: Anova, outcomes: Outcomes, what: str) -> TestResult:
    caution = f"; {test.caution}" if test.caution else ""
    f, names = finite(test.f), ", ".join(outcomes)
    if f is None:
        alike = "differ by the same in every trial" if "block" in test.method else "do not vary between trials"
        sentence = f"The values of {names} {alike}, so F does not exist."
    else:
        p = test.p if test.p_corrected is None else test.p_corrected
        sphericity = "" if test.p_corrected is None else ", corrected for unequal variances of differences"
        verdict = (
            f"{what} differs between {names}" if p <= ALPHA else f"no difference in {what} between {names} was shown"
        )
        sentence = (
            f"{verdict[0].upper()}{verdict[1:]}: F({significant(test.df_between)}, {significant(test.df_error)}) = "
            f"{significant(test.f)}, {p_text(p)}{sphericity}{caution}."
        )
    return TestResult(
        name=test.method, statistic_name="F", statistic=f, df=(float(test.df_between), float(test.df_error)),
        p=finite(test.p), p_adjusted=None if test.p_corrected is None else finite(test.p_corrected),
        adjustment=None if test.epsilon is None else f"Greenhouse-Geisser, epsilon {test.epsilon:.3g}",
        estimate=finite(test.eta_squared), unit="partial eta squared", **reach(test.low, test.high),
        n=test.n, method=f"{test.method}{caution}", sentence=sentence,
    )  # fmt: skip


def _friedman(outcomes: Outcomes, what: str) -> TestResult:
    test = friedman(outcomes)
    chi2, names = finite(test.chi2), ", ".join(outcomes)
    if chi2 is None:
        sentence = f"In every trial {what} is the same for {names}, so ranks say nothing."
    else:
        verdict = "are placed differently" if test.p <= ALPHA else "were not shown to be placed differently"
        shown = f"chi2({test.df}) = {significant(test.chi2)}, {p_text(test.p)}"
        sentence = f"By their ranks within trials {names} {verdict}: {shown}."
    return TestResult(
        name="Friedman test", statistic_name="chi2", statistic=chi2, df=(float(test.df),), p=finite(test.p),
        estimate=finite(test.kendall_w), unit="Kendall's W", n=test.n, method="Friedman, ranks within trials",
        sentence=sentence,
    )  # fmt: skip


def _pairs(found: Contrasts, test: str, unit: str, what: str) -> Iterator[TestResult]:
    """Every pair of methods, with joint intervals and adjusted p."""
    k = len(found.contrasts)
    for pair in found.contrasts:
        p, low, high = finite(pair.p), finite(pair.low), finite(pair.high)
        size = number(abs(pair.difference), unit)
        more = "higher" if pair.difference >= 0 else "lower"
        if unit == "mean ranks":
            size = significant(abs(pair.difference))
            gap = f"the mean rank under {pair.first} is {size} {more} than under {pair.second}"
        else:
            gap = f"{what} under {pair.first} is {size} {more} than under {pair.second}"
        if p is None or low is None or high is None:
            sentence = f"{gap} in every trial, so no test exists."
        else:
            shown = ends(low, high, "points" if unit == "points" else "score")
            doubt = "" if p <= ALPHA else "; a difference was not shown"
            sentence = f"{gap} (joint 95% interval {shown}, {p_text(p)}){doubt}."
        yield TestResult(
            name=f"{pair.first} against {pair.second}: {test}", statistic=finite(pair.statistic),
            statistic_name="t" if test.startswith("paired") else "q",
            df=(pair.df,) if finite(pair.df) is not None else (), p_adjusted=p,
            adjustment=None if p is None else f"{found.method}, {k} pairs" if k > 1 else found.method,
            estimate=pair.difference, unit=unit, **reach(pair.low, pair.high),
            n=found.n, method=found.method,
            sentence=f"{sentence[0].upper()}{sentence[1:]}",
        )  # fmt: skip

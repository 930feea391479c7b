"""Do several methods differ over trials: analysis of variance, with and without the trials as blocks.

Methods that are run on the same trials (split and training seeds) share those trials' luck. `repeated_measures` takes
that luck out of the error; `one_way` leaves it in, as published comparisons often do, and is flagged for it: when
blocks matter it rejects far too seldom. `welch` allows each method its own variance, but assumes the same.
Formulas: F = MS_between / MS_error; blocked error df (n - 1)(k - 1), one-way N - k. Greenhouse and Geisser's epsilon
scales both df when the differences between methods do not share one variance. Welch weights methods by n_i/s_i^2.
The size is partial eta squared, SS_between/(SS_between + SS_error), with the interval of the noncentral F,
lambda/(lambda + df1 + df2 + 1).
Sources: Fisher 1925; Greenhouse and Geisser 1959 (doi 10.1007/BF02289823); Welch 1951 (doi 10.1093/biomet/38.3-4.330);
Steiger 2004 (doi 10.1037/1082-989X.9.2.164) for the interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import chdtri, fdtr, fdtrc, ncfdtr
from statsmodels.stats.oneway import anova_oneway

from titer.audit.statistics._checks import INDEPENDENT, Floats, blocks, fraction, groups, summary
from titer.audit.statistics._result import Result, interval, number, p_value
from titer.errors import DataError


@dataclass(frozen=True)
class Anova(Result):
    """F test that all methods have the same mean; undefined when the trials do not vary at all.

    `epsilon` and `p_corrected` are Greenhouse and Geisser's, for the blocked design only.
    """

    f: float
    df_between: float
    df_error: float
    p: float
    eta_squared: float
    low: float
    high: float
    epsilon: float | None
    p_corrected: float | None
    methods: int
    n: int
    confidence: float
    method: str
    caution: str

    def __str__(self) -> str:
        if math.isnan(self.f):
            counts = f"n = {self.n} outcomes of {self.methods} methods"
            return f"F undefined, as the trials do not vary ({counts}, {self.method})"
        test = f"F({number(self.df_between)}, {number(self.df_error)}) = {number(self.f)}, {p_value(self.p)}"
        if self.p_corrected is not None and self.epsilon is not None:
            test += f", {p_value(self.p_corrected)} with epsilon {number(self.epsilon, 3)}"
        size = f"partial eta squared {number(self.eta_squared)}, {interval(self.low, self.high, self.confidence)}"
        caution = f"; {self.caution}" if self.caution else ""
        return f"{test} ({size}; n = {self.n} outcomes of {self.methods} methods, {self.method}{caution})"


def one_way(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Anova:
    """One-way analysis of variance; flagged, since it assumes that no two methods share a trial.

    Arguments: outcomes {method: (trials,)}, the numbers of trials may differ.
    Refuses fewer than two methods or two trials of one (DataError).

    >>> print(one_way({"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0]}))
    F(1, 4) = 40.5, p = 0.00313 (partial eta squared 0.9101, 95 % CI 0.321 to 0.9527; n = 6 outcomes of 2 methods, \
one-way ANOVA; assumes independent trials)
    """
    columns = groups(outcomes)[1]
    means, sds = [float(column.mean()) for column in columns], [_sd(column) for column in columns]
    return one_way_from_summary(means, sds, [column.size for column in columns], confidence=confidence)


def one_way_from_summary(
    means: npt.ArrayLike, sds: npt.ArrayLike, n: int | Sequence[int], *, confidence: float = 0.95
) -> Anova:
    """One-way analysis of variance from a published table of means and standard deviations.

    Arguments: means, sds (methods,); n trials per method, one number for all or one each.
    Refuses fewer than two methods, negative deviations, or fewer than two trials (DataError).

    >>> round(one_way_from_summary([89, 82, 89, 86], [1.3, 1.2, 1.3, 1.3], 5).f, 2)
    33.79
    """
    fraction("confidence", confidence)
    mean, sd, size = summary(means, sds, n)
    between = float((size * (mean - (size * mean).sum() / size.sum()) ** 2).sum())
    error = float(((size - 1) * sd**2).sum())
    k, total = mean.size, int(size.sum())
    return _anova(
        between,
        error,
        k - 1,
        total - k,
        scale=float(np.abs(mean).max()),
        n=total,
        confidence=confidence,
        method="one-way ANOVA",
        caution=INDEPENDENT,
    )


def repeated_measures(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Anova:
    """Analysis of variance with the trial as block: the main test when all methods share their trials.

    Arguments: outcomes {method: (trials,)}, the same trials in the same order for every method.
    Refuses methods with different numbers of trials (DataError): use the mixed model.

    >>> print(repeated_measures({"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0]}))
    F(1, 2) = 108, p = 0.00913, p = 0.00913 with epsilon 1 (partial eta squared 0.9818, 95 % CI 0.3074 to 0.9902; \
n = 6 outcomes of 2 methods, repeated-measures ANOVA (trial = block))
    """
    fraction("confidence", confidence)
    table = blocks(outcomes)[1]
    n, k = table.shape
    method_means, trial_means, grand = table.mean(axis=0), table.mean(axis=1), table.mean()
    between = n * float(((method_means - grand) ** 2).sum())
    error = float(((table - method_means - trial_means[:, None] + grand) ** 2).sum())
    return _anova(
        between,
        error,
        k - 1,
        (n - 1) * (k - 1),
        scale=float(np.abs(table).max()),
        n=n * k,
        confidence=confidence,
        method="repeated-measures ANOVA (trial = block)",
        epsilon=_epsilon(table),
    )


def welch(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Anova:
    """Welch's analysis of variance, for methods whose trials scatter differently.

    Arguments: outcomes {method: (trials,)}. Refuses a method whose trials do not vary, whose weight would be infinite.
    The size is the plain eta squared of the one-way analysis; its interval comes from Welch's F.

    >>> round(welch({"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0]}).p, 4)
    0.0124
    """
    fraction("confidence", confidence)
    names, columns = groups(outcomes)
    for name, column in zip(names, columns, strict=True):
        if _sd(column) <= 1e-12 * float(np.abs(column).max()):
            raise DataError("trials that vary", f"all trials of {name!r} equal {column[0]}", "leave that method out")
    result = anova_oneway(columns, use_var="unequal", welch_correction=True)
    f, df_error, n = float(result.statistic), float(result.df_denom), sum(column.size for column in columns)
    df_between = len(columns) - 1
    eta = one_way(outcomes, confidence=confidence).eta_squared
    low, high = _eta_interval(f, df_between, df_error, confidence)
    p, k = float(result.pvalue), len(columns)
    return Anova(f, df_between, df_error, p, eta, low, high, None, None, k, n, confidence, "Welch ANOVA", INDEPENDENT)


def _anova(
    between: float,
    error: float,
    df_between: int,
    df_error: int,
    *,
    scale: float,
    n: int,
    confidence: float,
    method: str,
    caution: str = "",
    epsilon: float | None = None,
) -> Anova:
    k = df_between + 1
    # Sums of squares of rounding errors are not variation of trials.
    if error <= n * (1e-12 * scale) ** 2:
        nan = math.nan
        return Anova(nan, df_between, df_error, nan, nan, nan, nan, None, None, k, n, confidence, method, caution)
    f = (between / df_between) / (error / df_error)
    corrected = None if epsilon is None else float(fdtrc(epsilon * df_between, epsilon * df_error, f))
    return Anova(
        f,
        df_between,
        df_error,
        float(fdtrc(df_between, df_error, f)),
        between / (between + error),
        *_eta_interval(f, df_between, df_error, confidence),
        epsilon,
        corrected,
        k,
        n,
        confidence,
        method,
        caution,
    )


def _eta_interval(f: float, df_between: float, df_error: float, confidence: float) -> tuple[float, float]:
    """Limits of partial eta squared: the noncentralities that put the observed F at either tail."""

    def limit(chance: float) -> float:
        if fdtr(df_between, df_error, f) <= chance:
            return 0.0
        # For a large F its normal part no longer matters, which leaves a chi squared; below that this is a start.
        center = f * df_between * float(chdtri(df_error, chance)) / df_error
        if f < 1e6:
            high = 2 * center + 10 * df_between + 50
            while ncfdtr(df_between, df_error, high, f) > chance:
                high *= 2
            center = float(brentq(lambda at: ncfdtr(df_between, df_error, at, f) - chance, 0.0, high, rtol=1e-10))
        return center / (center + df_between + df_error + 1)

    return limit((1 + confidence) / 2), limit((1 - confidence) / 2)


def _epsilon(table: Floats) -> float:
    """Greenhouse and Geisser's epsilon: 1 when all differences between methods share one variance, 1/(k-1) at worst."""
    covariance = np.cov(table, rowvar=False)
    centered = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None] + covariance.mean()
    squares = float((centered**2).sum())
    k = table.shape[1]
    if squares == 0:
        return 1.0
    total = float(np.trace(centered))
    return min(1.0, float(total * total / ((k - 1) * squares)))


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1))

"""Did a number fall over repeated trials: the paired t test, which is the main analysis of an attack's effect.

Formula: with d_i = first_i - second_i over n trials, t = mean(d) / (sd(d)/sqrt(n)), df = n - 1, interval
mean(d) +- t_quantile * sd(d)/sqrt(n). Source: Student 1908 (doi 10.1093/biomet/6.1.1).
A trial is one pair of split seed and training seed; the same trials must stand in both columns.
The companions that do not assume a normal distribution are in `sign_flip` and `wilcoxon`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from titer.audit.statistics._checks import Floats, floats, fraction, same_length
from titer.audit.statistics._result import Result, interval, number, p_value


@dataclass(frozen=True)
class PairedT(Result):
    """Mean difference first - second over trials; t, p and limits are undefined when all differences are identical."""

    name: str
    difference: float
    low: float
    high: float
    sd: float
    t: float
    df: int
    p: float
    n: int
    confidence: float
    method: str = "paired t"

    def __str__(self) -> str:
        if math.isnan(self.t):
            what = f"all {self.n} differences are identical, so a t test does not exist"
            return f"{self.name} {number(self.difference)} ({what}; n = {self.n} trials, {self.method})"
        limits = interval(self.low, self.high, self.confidence)
        test = f"t({self.df}) = {number(self.t)}, {p_value(self.p)}"
        return f"{self.name} {number(self.difference)} ({limits}; {test}; n = {self.n} trials, {self.method})"


def paired_t(
    first: npt.ArrayLike, second: npt.ArrayLike, *, confidence: float = 0.95, name: str = "mean difference"
) -> PairedT:
    """Paired t test of first - second.

    Arguments: first, second (trials,) the same outcome of the same trials, in any unit; confidence in (0, 1).
    Refuses fewer than two trials, and columns of different length (DataError).

    >>> print(paired_t([88.1, 90.3, 86.9, 89.4, 87.8], [81.9, 83.0, 82.2, 84.1, 80.8]))
    mean difference 6.1 (95 % CI 4.731 to 7.469; t(4) = 12.37, p = 0.000245; n = 5 trials, paired t)
    """
    fraction("confidence", confidence)
    change = differences(first, second)
    n, mean, sd = change.size, float(change.mean()), float(change.std(ddof=1))
    if identical(change, first, second):
        return PairedT(name, mean, math.nan, math.nan, 0.0, math.nan, n - 1, math.nan, n, confidence)
    se = sd / math.sqrt(n)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * se
    p = float(2 * stdtr(n - 1, -abs(mean / se)))
    return PairedT(name, mean, mean - half, mean + half, sd, mean / se, n - 1, p, n, confidence)


def differences(first: npt.ArrayLike, second: npt.ArrayLike, *, at_least: int = 2) -> Floats:
    """first - second, trial by trial, once both columns have been checked."""
    one, two = floats("first", first, at_least=at_least), floats("second", second, at_least=at_least)
    same_length(first=one, second=two)
    return one - two


def identical(change: Floats, first: npt.ArrayLike, second: npt.ArrayLike) -> bool:
    """Whether the differences agree to rounding: 0.3 - 0.1 and 0.5 - 0.3 differ in their last bit only."""
    return float(np.ptp(change)) <= rounding(first, second)


def rounding(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """The size below which a difference of first and second is taken for rounding."""
    largest = max(float(np.abs(np.asarray(first)).max()), float(np.abs(np.asarray(second)).max()))
    return 1e-12 * largest if largest > 0 else 1e-12

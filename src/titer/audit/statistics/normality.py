"""May a paired t test be trusted: Shapiro-Wilk on the differences, printed with what it could have noticed.

With five trials the test rejects an exponential sample about once in six times, so "normality was verified" says
next to nothing. Every result therefore carries the power of this very test, at this n and level, against exponential
and log-normal differences, from 10,000 simulated samples of a fixed seed (standard error at most 0.5 points).
Sources: Shapiro and Wilk 1965 (doi 10.1093/biomet/52.3-4.591) with Royston's 1995 p-values (doi 10.2307/2986146);
Q-Q positions by Filliben 1975 (doi 10.1080/00401706.1975.10489279).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import probplot
from scipy.stats import shapiro as shapiro_wilk

from titer.audit.statistics._checks import floats, fraction
from titer.audit.statistics._result import Result, number, p_value

SIMULATIONS = 10_000
_SEED = 1965


@dataclass(frozen=True)
class Shapiro(Result):
    """Shapiro-Wilk W and p, with the chance that it would have rejected two clearly skewed distributions."""

    w: float
    p: float
    n: int
    alpha: float
    power_exponential: float
    power_lognormal: float
    method: str = "Shapiro-Wilk"

    def __str__(self) -> str:
        power = (
            f"power at n = {self.n} and alpha {self.alpha:g}: {100 * self.power_exponential:.0f} % against an "
            f"exponential, {100 * self.power_lognormal:.0f} % against a log-normal distribution"
        )
        if math.isnan(self.w):
            return f"normality cannot be tested (all {self.n} differences are identical; {power}; {self.method})"
        return f"W = {number(self.w)}, {p_value(self.p)} ({power}; {self.method})"


@dataclass(frozen=True)
class NormalPlot(Result):
    """Q-Q values: ordered differences against normal quantiles, with the least-squares line and its correlation."""

    theoretical: tuple[float, ...]
    ordered: tuple[float, ...]
    slope: float
    intercept: float
    correlation: float
    n: int
    method: str = "normal Q-Q plot, Filliben positions"

    def __str__(self) -> str:
        return f"Q-Q correlation {number(self.correlation)} (n = {self.n} differences, {self.method})"


def shapiro(differences: npt.ArrayLike, *, alpha: float = 0.05) -> Shapiro:
    """Shapiro-Wilk test of paired differences, with its power at this n.

    Arguments: differences (trials,) first - second; alpha the level the power is stated for.
    Refuses fewer than three differences (DataError). Identical differences give an undefined W, not an error.

    >>> print(shapiro([6.2, 7.3, 4.7, 5.3, 7.0]))
    W = 0.9409, p = 0.672 (power at n = 5 and alpha 0.05: 16 % against an exponential, 24 % against a log-normal \
distribution; Shapiro-Wilk)
    """
    fraction("alpha", alpha)
    values = floats("differences", differences, at_least=3)
    power = shapiro_power(values.size, alpha=alpha)
    if np.ptp(values) <= 1e-12 * float(np.abs(values).max()):
        return Shapiro(math.nan, math.nan, values.size, alpha, *power)
    result = shapiro_wilk(values)
    return Shapiro(float(result.statistic), float(result.pvalue), values.size, alpha, *power)


def shapiro_power(n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Chance of rejecting an exponential and a log-normal sample of size n, by simulation with a fixed seed.

    >>> [round(power, 2) for power in shapiro_power(5)]
    [0.16, 0.24]
    """
    return _power(n, fraction("alpha", alpha))


@lru_cache(maxsize=64)
def _power(n: int, alpha: float) -> tuple[float, float]:
    rng = np.random.default_rng(_SEED)
    samples = rng.exponential(size=(SIMULATIONS, n)), rng.lognormal(size=(SIMULATIONS, n))
    exponential, lognormal = (float((shapiro_wilk(drawn, axis=1).pvalue < alpha).mean()) for drawn in samples)
    return exponential, lognormal


def normal_plot(differences: npt.ArrayLike) -> NormalPlot:
    """Q-Q values of paired differences, to be looked at rather than tested.

    Arguments: differences (trials,). Refuses fewer than three (DataError).

    >>> round(normal_plot([6.2, 7.3, 4.7, 5.3, 7.0]).correlation, 4)
    0.9815
    """
    values = floats("differences", differences, at_least=3)
    (theoretical, ordered), (slope, intercept, correlation) = probplot(values, dist="norm", fit=True)
    if np.ptp(values) == 0:
        correlation = math.nan
    return NormalPlot(
        tuple(theoretical.tolist()),
        tuple(ordered.tolist()),
        float(slope),
        float(intercept),
        float(correlation),
        values.size,
    )

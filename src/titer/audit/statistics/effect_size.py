"""How large is a difference over trials: in points first, then in standard deviations.

Formula: with d_i = first_i - second_i,
    d_z  = mean(d) / sd(d)                        (what the paired t test sees; shrinks with noise shared less)
    d_av = mean(d) / ((sd(first) + sd(second))/2) (comparable with studies that had no pairs)
    g_z  = d_z * (1 - 3/(4 df - 1)), df = n - 1   (Hedges' correction for small n)
Intervals: percentile bootstrap of trials for all four. For d_z and g_z also the exact interval under normal
differences, by inverting the noncentral t, which is the one to read below about ten trials.
Sources: Cohen 1988, Statistical Power Analysis; Cumming 2012, Understanding the New Statistics (d_av); Hedges 1981
(doi 10.3102/10769986006002107); Lakens 2013 (doi 10.3389/fpsyg.2013.00863).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import chdtri, nctdtr, ndtri

from titer.audit.statistics._checks import Floats, floats, fraction
from titer.audit.statistics._result import Result, interval, number
from titer.audit.statistics.paired import differences, identical
from titer.errors import PlanError


@dataclass(frozen=True)
class Effect(Result):
    """One size with its interval; undefined when the standard deviation it is divided by is zero."""

    name: str
    value: float
    low: float
    high: float
    n: int
    confidence: float
    method: str

    def __str__(self) -> str:
        limits = interval(self.low, self.high, self.confidence)
        return f"{self.name} {number(self.value)} ({limits}; n = {self.n} trials, {self.method})"


@dataclass(frozen=True)
class EffectSizes(Result):
    """The difference in points, its standardized forms, and the exact intervals of two of them."""

    points: Effect
    d_z: Effect
    d_av: Effect
    g_z: Effect
    d_z_exact: Effect
    g_z_exact: Effect

    def __str__(self) -> str:
        return "; ".join(str(effect) for effect in (self.points, self.d_z_exact, self.g_z_exact, self.d_av))


def effect_sizes(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> EffectSizes:
    """Size of the difference first - second over paired trials.

    Arguments: first, second (trials,) in points (or any unit); rng for the bootstrap; resamples how many.
    Refuses fewer than two trials (DataError) and fewer than 100 resamples (PlanError).

    >>> sizes = effect_sizes(
    ...     [88.1, 90.3, 86.9, 89.4, 87.8], [81.9, 83.0, 82.2, 84.1, 80.8], rng=np.random.default_rng(0)
    ... )
    >>> [round(effect.value, 4) for effect in (sizes.points, sizes.d_z, sizes.d_av, sizes.g_z)]
    [6.1, 5.534, 4.7248, 4.4272]
    """
    fraction("confidence", confidence)
    if resamples < 100:
        raise PlanError("at least 100 bootstrap resamples", f"{resamples}", "use 2,000 unless time forbids")
    one, two = floats("first", first, at_least=2), floats("second", second, at_least=2)
    change = differences(one, two)
    n = change.size
    observed = _sizes(one[None], two[None])[:, 0]
    if identical(change, one, two):
        observed[1:] = math.nan
    picked = rng.integers(n, size=(resamples, n))
    drawn = _sizes(one[picked], two[picked])
    method = f"percentile bootstrap, {resamples} resamples"
    points, d_z, d_av, g_z = (
        Effect(name, float(value), *_limits(draws, float(value), confidence), n, confidence, method)
        for name, value, draws in zip(("difference", "d_z", "d_av", "Hedges g_z"), observed, drawn, strict=True)
    )
    low, high = _exact(d_z.value, n, confidence)
    factor = hedges_factor(n - 1)
    return EffectSizes(
        points,
        d_z,
        d_av,
        g_z,
        Effect("d_z", d_z.value, low, high, n, confidence, "noncentral t"),
        Effect("Hedges g_z", g_z.value, factor * low, factor * high, n, confidence, "noncentral t"),
    )


def hedges_factor(df: int) -> float:
    """Hedges' correction 1 - 3/(4 df - 1).

    >>> hedges_factor(4)
    0.8
    """
    return 1 - 3 / (4 * df - 1)


def _sizes(one: Floats, two: Floats) -> Floats:
    """Points, d_z, d_av and g_z (4, rows) of each row of trials; NaN where a standard deviation is zero."""
    change = one - two
    points, spread = change.mean(axis=1), change.std(axis=1, ddof=1)
    average = (one.std(axis=1, ddof=1) + two.std(axis=1, ddof=1)) / 2
    d_z, d_av = (_divide(points, scale, one) for scale in (spread, average))
    return np.stack([points, d_z, d_av, d_z * hedges_factor(one.shape[1] - 1)])


def _divide(top: Floats, bottom: Floats, values: Floats) -> Floats:
    # A resample that drew one trial only has a spread of rounding errors, not of trials.
    smallest = 1e-12 * np.abs(values).max()
    return np.divide(top, bottom, out=np.full_like(top, math.nan), where=bottom > smallest)


def _limits(draws: Floats, value: float, confidence: float) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if math.isnan(value) or known.size == 0:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _exact(d_z: float, n: int, confidence: float) -> tuple[float, float]:
    """The noncentralities that put the observed t at the upper and the lower tail, divided by sqrt(n)."""
    if math.isnan(d_z):
        return math.nan, math.nan
    t, df, tail = abs(d_z) * math.sqrt(n), n - 1, (1 - confidence) / 2
    low, high = _center(t, df, 1 - tail), _center(t, df, tail)
    low, high = (low, high) if d_z >= 0 else (-high, -low)
    return low / math.sqrt(n), high / math.sqrt(n)


def _center(t: float, df: int, chance: float) -> float:
    """The noncentrality at which P(T <= t) = chance, for t >= 0."""
    # For a large t the normal part of T no longer matters, which leaves a chi; below that it is a start.
    far = t * math.sqrt(float(chdtri(df, chance)) / df)
    if t > 1e4:
        return far
    # P(T <= t) is at least Phi(-center), which bounds the center from below.
    low, high = -float(ndtri(chance)) - 1, 2 * far + 10
    while nctdtr(df, high, t) > chance:
        high *= 2
    return float(brentq(lambda center: nctdtr(df, center, t) - chance, low, high, rtol=1e-10))

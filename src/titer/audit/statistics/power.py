"""How many trials or cases the next audit needs, decided before it runs.

Formulas: paired t: T is noncentral t with df n - 1 and center d_z sqrt(n), power = P(|T| > t_quantile).
McNemar: the number of discordant cases is binomial, and given it the exact test rejects with a known chance; power is
the sum over both (no normal approximation). Half-width of an interval: t_quantile sd/sqrt(n) for a mean over trials,
Wilson's half-width for a proportion of cases.
Sources: Cohen 1988; Miettinen 1968 (doi 10.2307/2528465) for the unconditional McNemar power.
Power computed from the effect that was just observed is a restatement of p and no evidence of anything
(Hoenig and Heisey 2001, doi 10.1198/000313001300339897), so nothing here accepts data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, nct, norm
from scipy.stats import t as student

from titer.audit.statistics._checks import fraction
from titer.audit.statistics._result import Result, number
from titer.errors import PlanError

_MOST = 10_000_000


@dataclass(frozen=True)
class Power(Result):
    """Chance that a planned test will reject, if the assumed effect is the true one."""

    power: float
    n: int
    effect: str
    alpha: float
    method: str

    def __str__(self) -> str:
        return (
            f"power {number(self.power)} planned for {self.effect} (n = {self.n}, alpha {self.alpha:g}; {self.method})"
        )


@dataclass(frozen=True)
class SampleSize(Result):
    """Smallest n that reaches a goal (a power, or a half-width), and what it then attains."""

    n: int
    goal: float
    attained: float
    effect: str
    method: str

    def __str__(self) -> str:
        return f"n = {self.n} for {self.effect} (goal {self.goal:g}, attained {number(self.attained)}; {self.method})"


def paired_t_power(d_z: float, n: int, *, alpha: float = 0.05) -> Power:
    """Power of a two-sided paired t test for a true standardized difference d_z with n pairs (n >= 2).

    >>> print(paired_t_power(1.8, 5))
    power 0.8474 planned for d_z = 1.8 (n = 5, alpha 0.05; two-sided paired t, noncentral t)
    """
    fraction("alpha", alpha)
    _at_least("pairs", n, 2)
    method = "two-sided paired t, noncentral t"
    return Power(_paired_t(_effect("d_z", d_z), n, alpha), n, f"d_z = {d_z:g}", alpha, method)


def paired_t_sample_size(d_z: float, *, power: float = 0.8, alpha: float = 0.05) -> SampleSize:
    """Smallest number of pairs whose two-sided paired t test has at least this power for a true d_z.

    >>> print(paired_t_sample_size(0.5))
    n = 34 for d_z = 0.5 (goal 0.8, attained 0.8078; power of a two-sided paired t, alpha 0.05, noncentral t)
    """
    fraction("alpha", alpha), fraction("power", power)
    if _effect("d_z", d_z) == 0:
        raise PlanError("an effect other than 0", "d_z = 0", "state the smallest effect that matters")
    n = _smallest(lambda size: _paired_t(d_z, size, alpha) >= power, 2)
    method = f"power of a two-sided paired t, alpha {alpha:g}, noncentral t"
    return SampleSize(n, power, _paired_t(d_z, n, alpha), f"d_z = {d_z:g}", method)


def mcnemar_power(p_b: float, p_c: float, n: int, *, alpha: float = 0.05) -> Power:
    """Power of the exact McNemar test with n cases.

    Arguments: p_b, p_c the true shares of cases that change one way and the other (p_b + p_c <= 1).

    >>> print(mcnemar_power(0.2, 0.1, 150))
    power 0.5646 planned for shares 0.2 and 0.1 changing (n = 150, alpha 0.05; exact McNemar, unconditional)
    """
    fraction("alpha", alpha)
    _at_least("cases", n, 1)
    _shares(p_b, p_c)
    effect = f"shares {p_b:g} and {p_c:g} changing"
    return Power(_mcnemar(p_b, p_c, n, alpha), n, effect, alpha, "exact McNemar, unconditional")


def mcnemar_sample_size(p_b: float, p_c: float, *, power: float = 0.8, alpha: float = 0.05) -> SampleSize:
    """Smallest number of cases from which on the exact McNemar test has at least this power.

    The power of an exact test dips now and then as n grows; the n given is above the last dip.

    >>> print(mcnemar_sample_size(0.2, 0.1))
    n = 249 for shares 0.2 and 0.1 changing (goal 0.8, attained 0.8014; power of the exact McNemar, alpha 0.05)
    """
    fraction("alpha", alpha), fraction("power", power)
    _shares(p_b, p_c)
    if p_b == p_c:
        raise PlanError("shares that differ", f"both {p_b}", "state the smallest difference that matters")
    first = _smallest(lambda size: _mcnemar(p_b, p_c, size, alpha) >= power, 1)
    window = range(first, first + max(64, first // 10))
    n = 1 + max((size for size in window if _mcnemar(p_b, p_c, size, alpha) < power), default=first - 1)
    method = f"power of the exact McNemar, alpha {alpha:g}"
    return SampleSize(n, power, _mcnemar(p_b, p_c, n, alpha), f"shares {p_b:g} and {p_c:g} changing", method)


def mean_half_width(sd: float, n: int, *, confidence: float = 0.95) -> float:
    """Half-width of the t interval of a mean over n trials whose standard deviation is sd.

    >>> round(mean_half_width(2.0, 5), 2)
    2.48
    """
    fraction("confidence", confidence)
    _at_least("trials", n, 2)
    return float(student.ppf(0.5 + confidence / 2, n - 1)) * _positive("sd", sd) / math.sqrt(n)


def trials_for_half_width(sd: float, half_width: float, *, confidence: float = 0.95) -> SampleSize:
    """Smallest number of trials whose mean has a t interval of at most this half-width.

    Arguments: sd of the outcome (or paired difference) over trials, and half_width, in the same unit.

    >>> print(trials_for_half_width(2.0, 1.0))
    n = 18 for sd = 2 (goal 1, attained 0.9946; half-width of the 95 % t interval)
    """
    _positive("half_width", half_width)
    n = _smallest(lambda size: mean_half_width(sd, size, confidence=confidence) <= half_width, 2)
    attained = mean_half_width(sd, n, confidence=confidence)
    return SampleSize(n, half_width, attained, f"sd = {sd:g}", f"half-width of the {100 * confidence:g} % t interval")


def cases_for_half_width(proportion: float, half_width: float, *, confidence: float = 0.95) -> SampleSize:
    """Smallest number of independent cases whose Wilson interval has at most this half-width.

    Arguments: proportion expected, in [0, 1]; half_width in (0, 0.5).

    >>> print(cases_for_half_width(0.9, 0.05))
    n = 141 for a proportion of 0.9 (goal 0.05, attained 0.05; half-width of the 95 % Wilson interval)
    """
    fraction("confidence", confidence)
    if not (0 <= proportion <= 1 and 0 < half_width < 0.5):
        raise PlanError(
            "a proportion in [0, 1] and a half-width in (0, 0.5)",
            f"{proportion}, {half_width}",
            "give shares, not percent",
        )
    z = float(norm.ppf(0.5 + confidence / 2))

    def wilson_half_width(n: int) -> float:
        return z / (n + z**2) * math.sqrt(n * proportion * (1 - proportion) + z**2 / 4)

    n = _smallest(lambda size: wilson_half_width(size) <= half_width, 1)
    method = f"half-width of the {100 * confidence:g} % Wilson interval"
    return SampleSize(n, half_width, wilson_half_width(n), f"a proportion of {proportion:g}", method)


def _paired_t(d_z: float, n: int, alpha: float) -> float:
    critical, center = float(student.ppf(1 - alpha / 2, n - 1)), abs(d_z) * math.sqrt(n)
    # Beyond this the chance of missing is below any double, and scipy's tails give NaN.
    if center > critical * 10 + 40:
        return 1.0
    return min(1.0, float(nct.sf(critical, n - 1, center)) + max(0.0, float(nct.cdf(-critical, n - 1, center))))


def _mcnemar(p_b: float, p_c: float, n: int, alpha: float) -> float:
    changing = p_b + p_c
    few, many = (int(binom.ppf(tail, n, changing)) for tail in (1e-12, 1 - 1e-12))
    discordant = np.arange(few, many + 1)
    limit = binom.ppf(alpha / 2, discordant, 0.5)
    limit = np.where(2 * binom.cdf(limit, discordant, 0.5) <= alpha, limit, limit - 1)
    share = p_b / changing
    rejects = binom.cdf(limit, discordant, share) + binom.sf(discordant - limit - 1, discordant, share)
    return float((binom.pmf(discordant, n, changing) * np.where(limit >= 0, rejects, 0.0)).sum())


def _smallest(enough: Callable[[int], bool], start: int) -> int:
    """The smallest n from start on that is enough, by doubling and halving."""
    high = start
    while not enough(high):
        if high >= _MOST:
            raise PlanError(
                f"a goal within reach of {_MOST:,} cases", "one beyond", "plan for a larger effect or width"
            )
        high *= 2
    low = max(start - 1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _shares(p_b: float, p_c: float) -> None:
    if not (p_b >= 0 and p_c >= 0 and 0 < p_b + p_c <= 1):
        raise PlanError("shares >= 0 whose sum is in (0, 1]", f"{p_b} and {p_c}", "give shares, not percent")


def _effect(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise PlanError(f"a finite {name}", f"{value}", "state the smallest effect that matters")
    return value


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise PlanError(f"{name} above 0", f"{value}", "give it in the unit of the outcome")
    return value


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise PlanError(f"at least {least} {name}", f"{value}", "plan for more")

"""Did a number fall over repeated trials, without assuming a distribution: flip the sign of every difference.

If nothing happened, each difference first - second was as likely to be its negative. So
    p = share of the 2^n sign patterns whose sum is at least as far from zero as the observed one,
over all patterns up to n = 16, over patterns drawn at random beyond, p = (1 + hits) / (1 + draws).
With few trials the smallest possible p, 2 / 2^n, may lie above the significance level (0.0625 for five trials); the
result says so instead of reporting "not significant".
The interval inverts the same test: its limits are among the means of all subsets of the differences (Hartigan's
typical values), and it does not exist where the test cannot reach the level.
Sources: Fisher 1935, The Design of Experiments, section 21; Hartigan 1969 (doi 10.1080/01621459.1969.10501057);
Phipson and Smyth 2010 (doi 10.2202/1544-6115.1585) for the random patterns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from titer.audit.statistics._checks import Bools, Floats, fraction
from titer.audit.statistics._result import Result, interval, number, p_value
from titer.audit.statistics.paired import differences
from titer.errors import PlanError

EXACT_UP_TO = 16


@dataclass(frozen=True)
class SignFlip(Result):
    """Mean difference with its permutation p; `reachable` is whether p could have fallen to 1 - confidence at all."""

    name: str
    difference: float
    low: float
    high: float
    p: float
    smallest_p: float
    reachable: bool
    patterns: int
    n: int
    confidence: float
    method: str

    def __str__(self) -> str:
        level = number(1 - self.confidence)
        if self.reachable:
            verdict = f"{interval(self.low, self.high, self.confidence)}; {p_value(self.p)}"
        else:
            verdict = (
                f"{p_value(self.p)}; {self.n} trials cannot reach {level}, the smallest p is {self.smallest_p:.4g}"
            )
        return f"{self.name} {number(self.difference)} ({verdict}; n = {self.n} trials, {self.method})"


def sign_flip(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    draws: int = 20_000,
    name: str = "mean difference",
) -> SignFlip:
    """Two-sided sign-flip permutation test of first - second, exact up to 16 trials.

    Arguments: first, second (trials,); rng needed beyond 16 trials only; draws the patterns drawn there.
    Refuses fewer than two trials (DataError), and more than 16 without a generator (PlanError).

    >>> print(sign_flip([88.1, 90.3, 86.9, 89.4, 87.8], [81.9, 83.0, 82.2, 84.1, 80.8]))
    mean difference 6.1 (p = 0.0625; 5 trials cannot reach 0.05, the smallest p is 0.0625; n = 5 trials, \
sign flips, all 32 patterns)
    """
    fraction("confidence", confidence)
    change = differences(first, second)
    flipped, exact = _patterns(change.size, rng, draws)
    patterns = len(flipped) + 1
    sums = flipped @ change
    slack = 1e-9 * float(np.abs(change).sum())
    # Flipping a set turns the sum S into S - 2 * (sum of the set); the unflipped pattern is the observed one.
    total = float(change.sum())
    hits = 1 + int((np.abs(total - 2 * sums) >= abs(total) - slack).sum())
    smallest = _smallest(change, patterns, exact)
    reachable = smallest <= (1 - confidence) * (1 + 1e-9)
    low, high = (
        _typical_values(sums / flipped.sum(axis=1), patterns, confidence) if reachable else (-math.inf, math.inf)
    )
    method = f"sign flips, {'all' if exact else 'random'} {patterns if exact else patterns - 1} patterns"
    return SignFlip(
        name,
        total / change.size,
        low,
        high,
        hits / patterns,
        smallest,
        reachable,
        patterns,
        change.size,
        confidence,
        method,
    )


def _patterns(n: int, rng: np.random.Generator | None, draws: int) -> tuple[Bools, bool]:
    """Which trials each pattern flips, all non-empty sets or a random choice of them."""
    if n <= EXACT_UP_TO:
        return (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1 == 1, True
    if rng is None:
        raise PlanError(
            f"a random generator for more than {EXACT_UP_TO} trials", "none", "pass rng=numpy.random.default_rng(seed)"
        )
    if draws < 1000:
        raise PlanError("at least 1000 random patterns", f"{draws}", "use the default of 20,000")
    chosen = rng.random((draws, n)) < 0.5
    # The empty set stands for the observed pattern, which is counted already.
    return chosen[chosen.any(axis=1)], False


def _smallest(change: Floats, patterns: int, exact: bool) -> float:
    """The p of the most extreme result with these magnitudes; differences of zero count for both signs."""
    if not change.any():
        return 1.0
    if not exact:
        return 1 / patterns
    zeros = int((change == 0).sum())
    return float(2.0 ** (1 + zeros - change.size))


def _typical_values(means: Floats, patterns: int, confidence: float) -> tuple[float, float]:
    tail = math.floor((1 - confidence) / 2 * patterns * (1 + 1e-9))
    if tail < 1:
        return -math.inf, math.inf
    ordered = np.sort(means)
    return float(ordered[tail - 1]), float(ordered[-tail])

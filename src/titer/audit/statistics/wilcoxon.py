"""Did a number fall over repeated trials, judged by ranks: the Wilcoxon signed-rank test.

Formula: rank the sizes of the differences first - second (zeros left out, ties share their mean rank); W is the
smaller of the rank sums of the positive and the negative ones. p is exact, ties included, up to 100 differences, by
the distribution of the rank sum over all sign patterns; the normal approximation with tie correction beyond.
The number with the interval is the Hodges-Lehmann median of all pairwise means of the differences.
Sources: Wilcoxon 1945 (doi 10.2307/3001968); Hodges and Lehmann 1963 (doi 10.1214/aoms/1177704172).
Where we differ from R: with ties R falls back to the approximation, we stay exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from titer.audit.statistics._checks import Floats, fraction
from titer.audit.statistics._result import Result, interval, number, p_value
from titer.audit.statistics._signs import positive_part, two_sided
from titer.audit.statistics.paired import differences, rounding

EXACT_UP_TO = 100


@dataclass(frozen=True)
class Wilcoxon(Result):
    """Hodges-Lehmann difference first - second with the signed-rank p; the limits are infinite where none exist."""

    name: str
    difference: float
    low: float
    high: float
    statistic: float
    p: float
    n: int
    nonzero: int
    confidence: float
    method: str

    def __str__(self) -> str:
        if math.isfinite(self.low) and math.isfinite(self.high):
            limits = interval(self.low, self.high, self.confidence)
        else:
            limits = f"no {100 * self.confidence:g} % CI exists with so few trials"
        test = f"W = {number(self.statistic)}, {p_value(self.p)}"
        return f"{self.name} {number(self.difference)} ({limits}; {test}; n = {self.n} trials, {self.method})"


def wilcoxon(
    first: npt.ArrayLike, second: npt.ArrayLike, *, confidence: float = 0.95, name: str = "median difference"
) -> Wilcoxon:
    """Two-sided Wilcoxon signed-rank test of first - second.

    Arguments: first, second (trials,). Refuses fewer than two trials (DataError). If no difference is nonzero, p is 1.

    >>> print(wilcoxon([88.1, 90.3, 86.9, 89.4, 87.8], [81.9, 83.0, 82.2, 84.1, 80.8]))
    median difference 6.15 (no 95 % CI exists with so few trials; W = 0, p = 0.0625; n = 5 trials, exact signed ranks)
    """
    fraction("confidence", confidence)
    change = differences(first, second)
    # Differences of decimals that are equal on paper differ in their last bits, which would break ties.
    steps = np.rint(change / rounding(first, second))
    moved = steps[steps != 0]
    ranks = rankdata(np.abs(moved)) if moved.size else np.zeros(0)
    positive = float(ranks[moved > 0].sum())
    statistic = min(positive, float(ranks.sum()) - positive)
    exact = moved.size <= EXACT_UP_TO
    p = _exact(ranks, positive) if exact else _approximate(ranks, positive)
    middle, low, high = _hodges_lehmann(change, confidence)
    method = "exact signed ranks" if exact else "signed ranks, normal approximation"
    return Wilcoxon(name, middle, low, high, statistic, p, change.size, moved.size, confidence, method)


def _exact(ranks: Floats, positive: float) -> float:
    # Mean ranks are halves at most, so twice the rank is a whole number.
    doubled = np.rint(2 * ranks).astype(np.int64)
    return two_sided(doubled, round(4 * positive) - int(doubled.sum()))


def _approximate(ranks: Floats, positive: float) -> float:
    z = (positive - ranks.sum() / 2) / math.sqrt(float((ranks**2).sum()) / 4)
    return float(2 * norm.sf(abs(z)))


def _hodges_lehmann(change: Floats, confidence: float) -> tuple[float, float, float]:
    """Median of the pairwise means, and the pairwise means that the signed-rank test would just not reject."""
    rows, columns = np.triu_indices(change.size)
    means = np.sort((change[rows] + change[columns]) / 2)
    n, alpha = change.size, 1 - confidence
    if n <= EXACT_UP_TO:
        chance = np.cumsum(positive_part(np.arange(1, n + 1)))
        tail = int((chance <= alpha / 2 * (1 + 1e-9)).sum())
    else:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        tail = math.floor(n * (n + 1) / 4 - float(norm.ppf(1 - alpha / 2)) * spread)
    if tail < 1:
        return float(np.median(means)), -math.inf, math.inf
    return float(np.median(means)), float(means[tail - 1]), float(means[-tail])

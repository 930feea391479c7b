"""The exact distribution of a sum whose terms take either sign with equal chance.

It underlies every exact paired test here: Wilcoxon (terms are ranks), McNemar (terms are ones) and McNemar by patient
(terms are each patient's net number of changed cases). Equal terms are handled together by a binomial, the rest by
convolution, so that thousands of terms cost milliseconds and nothing is drawn at random.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom

from titer.audit.statistics._checks import Floats, Integers


def positive_part(magnitudes: Integers) -> Floats:
    """Probability of each total 0, 1, ..., sum(magnitudes) of the terms that came out positive.

    >>> positive_part(np.array([1, 2])).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    chance = np.ones(1)
    sizes, counts = np.unique(magnitudes[magnitudes > 0], return_counts=True)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        spaced = np.zeros(size * count + 1)
        spaced[::size] = _coins(count)
        chance = np.convolve(chance, spaced)
    return chance


def _coins(count: int) -> Floats:
    """Probability of each number of heads; whole-number arithmetic keeps small p-values such as 1/16 exact."""
    if count > 1000:
        return np.asarray(binom.pmf(np.arange(count + 1), count, 0.5))
    return np.array([math.comb(count, heads) / 2**count for heads in range(count + 1)])


def two_sided(magnitudes: Integers, observed: int) -> float:
    """Probability that the signed sum is at least as far from zero as `observed`.

    >>> two_sided(np.ones(5, dtype=np.int64), 5)
    0.0625
    """
    if observed == 0:
        return 1.0
    chance = positive_part(magnitudes)
    lower = (int(magnitudes.sum()) - abs(observed)) // 2
    return min(1.0, 2.0 * float(chance[: lower + 1].sum()))

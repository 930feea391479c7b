"""How much a rate moved when the same cases were asked twice, with an interval that uses the pairing.

Formula: with p1, p2 the rates before and after, Wilson limits l and u of each, and phi the correlation of the two
answers (its numerator ad - bc lowered by n/2, not below 0, when positive),
    low  = d - sqrt((p2-l2)^2 - 2 phi (p2-l2)(u1-p1) + (u1-p1)^2),   d = p2 - p1,
    high = d + sqrt((u2-p2)^2 - 2 phi (u2-p2)(p1-l1) + (p1-l1)^2).
Source: Newcombe 1998, method 10 (doi 10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt

from titer.audit.statistics._checks import bools, same_length
from titer.audit.statistics._result import Result, interval, number
from titer.audit.statistics.proportions import wilson
from titer.errors import DataError


@dataclass(frozen=True)
class PairedShift(Result):
    """Rate after minus rate before on the same n cases; `gained` turned to yes, `lost` turned to no."""

    name: str
    shift: float
    low: float
    high: float
    before: float
    after: float
    gained: int
    lost: int
    n: int
    confidence: float
    method: str = "Newcombe paired"

    def __str__(self) -> str:
        if self.n == 0:
            return f"{self.name} cannot be estimated (no such cases)"
        change = f"{number(self.before)} to {number(self.after)}"
        limits = interval(self.low, self.high, self.confidence)
        return f"{self.name} {self.shift:+.4g} ({limits}; {change}; n = {self.n} cases, {self.method})"


def paired_shift(
    before: npt.ArrayLike, after: npt.ArrayLike, *, confidence: float = 0.95, name: str = "shift"
) -> PairedShift:
    """Change in the share of yes from `before` to `after` on the same cases.

    Arguments: before, after (n,) yes or no per case, such as missed when clean and missed when attacked.
    Refuses columns of different length (DataError). With no cases the shift is undefined, its interval -1 to 1.

    >>> print(paired_shift([0, 0, 0, 0, 1], [1, 1, 0, 0, 1], name="FNR shift"))
    FNR shift +0.4 (95 % CI -0.1626 to 0.7264; 0.2 to 0.6; n = 5 cases, Newcombe paired)
    """
    one, two = bools("before", before), bools("after", after)
    same_length(before=one, after=two)
    counts = (one & two, one & ~two, ~one & two, ~one & ~two)
    both, lost, gained, neither = (int(chosen.sum()) for chosen in counts)
    return paired_shift_counts(both, lost, gained, neither, confidence=confidence, name=name)


def paired_shift_counts(
    both: int, lost: int, gained: int, neither: int, *, confidence: float = 0.95, name: str = "shift"
) -> PairedShift:
    """The same from counts: yes both times, yes only before, yes only after, never yes.

    Refuses negative counts (DataError).

    >>> round(paired_shift_counts(1, 1, 7, 12).shift, 4)
    0.2857
    """
    if min(both, lost, gained, neither) < 0:
        raise DataError("counts of at least 0", f"{(both, lost, gained, neither)}", "count each case once")
    n = both + lost + gained + neither
    before = wilson(both + lost, n, confidence=confidence)
    after = wilson(both + gained, n, confidence=confidence)
    if n == 0:
        return PairedShift(name, math.nan, -1.0, 1.0, math.nan, math.nan, 0, 0, 0, confidence)
    phi = _correlation(both, lost, gained, neither)
    # From the counts rather than from the two rates, so that a shift of no case is 0 exactly.
    shift = (gained - lost) / n
    below = _combine(after.value - after.low, before.high - before.value, phi)
    above = _combine(after.high - after.value, before.value - before.low, phi)
    low, high = max(-1.0, shift - below), min(1.0, shift + above)
    return PairedShift(name, shift, low, high, before.value, after.value, gained, lost, n, confidence)


def _correlation(both: int, lost: int, gained: int, neither: int) -> float:
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    if margins == 0:
        return 0.0
    top: float = both * neither - lost * gained
    if top > 0:
        top = max(top - (both + lost + gained + neither) / 2, 0.0)
    return top / math.sqrt(margins)


def _combine(one: float, two: float, phi: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * two + two**2))

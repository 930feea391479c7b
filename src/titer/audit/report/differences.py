"""The difference of one measure between two audits, with its interval.

Shares come with Newcombe's hybrid score interval (Newcombe 1998, Statist. Med. 17:873, method 10), other measures with
the same rule applied to the two printed intervals (Zou & Donner 2008, doi 10.1002/sim.3095). Both treat the audits as
independent. Where both asked the same cases and the answers of each case are at hand, the paired interval of Newcombe
(1998, Statist. Med. 17:2635, method 10) is used instead.
"""

from __future__ import annotations

import re
from math import sqrt
from statistics import NormalDist
from typing import Literal

from pydantic import Field

from titer.audit.report.schema import Block, Measure
from titer.audit.report.schema.base import Text
from titer.errors import ReportError

Meaning = Literal["better", "worse", "unclear", "neutral", "no interval"]


class PairedCounts(Block):
    """The answers to the same cases in both audits, under attack."""

    both: int = Field(ge=0, description="Cases answered correctly in both audits.")
    only_a: int = Field(ge=0, description="Cases answered correctly in the first audit only.")
    only_b: int = Field(ge=0, description="Cases answered correctly in the second audit only.")
    neither: int = Field(ge=0, description="Cases answered wrongly in both audits.")


class Difference(Block):
    """One measure in both audits."""

    name: Text = Field(description="Name of the measure.")
    a: Measure = Field(description="In the first audit.")
    b: Measure = Field(description="In the second audit.")
    value: float = Field(description="Second minus first; shares in points.")
    low: float | None = Field(description="Lower end of the difference's interval.")
    high: float | None = Field(description="Upper end of the difference's interval.")
    unit: Text = Field(description="Unit of the difference.")
    method: Text = Field(description="How the interval was made, and whether it is paired.")
    meaning: Meaning = Field(
        description="For the defender: 'unclear' where the interval holds zero, 'neutral' where no direction is better."
    )


def difference(name: str, a: Measure, b: Measure, *, higher_is_better: bool | None) -> Difference:
    """Second minus first, with an interval that treats them as independent.

    Measures without an interval (one case, one patient) give none. With intervals [l1, u1] of a and [l2, u2] of b,
    d = b - a has the interval
    [d - sqrt((b - l2)^2 + (u1 - a)^2), d + sqrt((u2 - b)^2 + (a - l1)^2)]; for shares the ends are Wilson's,
    computed from k and n, and this is Newcombe's interval.

    Arguments
        name: the measure.
        a, b: the measure in both audits, in one unit.
        higher_is_better: for the defender; None where neither direction is.

    >>> share = lambda k, n: Measure(value=k / n, n=n, k=k, method="Wilson")
    >>> found = difference("accuracy", share(48, 80), share(56, 70), higher_is_better=True)
    >>> round(found.low, 2), round(found.high, 2)  # Newcombe 1998, table II (a), in points
    (5.24, 33.39)
    """
    scale, unit = (100.0, "points") if a.unit == "proportion" else (1.0, a.unit)
    ends_a, ends_b, method = _ends(a), _ends(b), "unpaired, square-and-add of the two intervals"
    if _plain(a) and _plain(b):
        ends_a, ends_b, method = _wilson(a), _wilson(b), "unpaired, Newcombe hybrid score"
    value = scale * (b.value - a.value)
    if ends_a is None or ends_b is None:
        return Difference(name=name, a=a, b=b, value=value, low=None, high=None, unit=unit,
                          method="no interval: one side has none", meaning="no interval")  # fmt: skip
    low = value - scale * sqrt((b.value - ends_b[0]) ** 2 + (ends_a[1] - a.value) ** 2)
    high = value + scale * sqrt((ends_b[1] - b.value) ** 2 + (a.value - ends_a[0]) ** 2)
    meaning = _meaning(low, high, higher_is_better)
    return Difference(name=name, a=a, b=b, value=value, low=low, high=high, unit=unit, method=method, meaning=meaning)


def paired_difference(name: str, a: Measure, b: Measure, counts: PairedCounts) -> Difference:
    """Second minus first for shares of the same cases (Newcombe 1998, method 10).

    Arguments
        name: the measure.
        a, b: the shares as reported; their values must follow from the counts.
        counts: how the cases fell in both audits.

    Errors: `ReportError` when counts and reported shares disagree.
    """
    n = counts.both + counts.only_a + counts.only_b + counts.neither
    if n == 0 or abs((counts.both + counts.only_a) / n - a.value) > 1e-6:
        raise ReportError(
            f"paired counts that give {a.value:.4f} in the first audit", repr(counts), "pair the same cases"
        )
    if abs((counts.both + counts.only_b) / n - b.value) > 1e-6:
        raise ReportError(
            f"paired counts that give {b.value:.4f} in the second audit", repr(counts), "pair the same cases"
        )
    first = _wilson_ends(counts.both + counts.only_a, n, level=a.level)
    second = _wilson_ends(counts.both + counts.only_b, n, level=b.level)
    phi = _phi(counts)
    down_b, up_a, up_b, down_a = b.value - second[0], first[1] - a.value, second[1] - b.value, a.value - first[0]
    value = b.value - a.value
    low = 100 * (value - sqrt(down_b**2 - 2 * phi * down_b * up_a + up_a**2))
    high = 100 * (value + sqrt(up_b**2 - 2 * phi * up_b * down_a + down_a**2))
    return Difference(
        name=name, a=a, b=b, value=100 * value, low=low, high=high, unit="points",
        method="paired on the same cases, Newcombe score", meaning=_meaning(low, high, True),
    )  # fmt: skip


def _phi(counts: PairedCounts) -> float:
    """Newcombe's correlation, with the continuity correction of method 10 for positive association."""
    both, only_a, only_b, neither = counts.both, counts.only_a, counts.only_b, counts.neither
    n = both + only_a + only_b + neither
    spread = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if spread == 0:
        return 0.0
    product = float(both * neither - only_a * only_b)
    if product > 0:
        product = max(product - n / 2, 0.0)
    return product / sqrt(spread)


def _meaning(low: float, high: float, higher_is_better: bool | None) -> Meaning:
    if higher_is_better is None:
        return "neutral"
    if low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) == higher_is_better else "worse"


def _plain(measure: Measure) -> bool:
    """Whether k of n independent cases stand behind a share: intervals by patient may not be replaced by Wilson's."""
    return measure.k is not None and measure.n > 0 and re.fullmatch(r"Wilson( score)?", measure.method) is not None


def _ends(measure: Measure) -> tuple[float, float] | None:
    """The ends of an interval; one of zero width claims certainty and counts as none."""
    if measure.low is None or measure.high is None or measure.low == measure.high:
        return None
    return measure.low, measure.high


def _wilson(measure: Measure) -> tuple[float, float]:
    return _wilson_ends(measure.k or 0, measure.n, level=measure.level)


def _wilson_ends(k: int, n: int, *, level: float) -> tuple[float, float]:
    """Wilson's interval; written out here so that comparing reports needs no statistics library."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = k / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, center - half), min(1.0, center + half)

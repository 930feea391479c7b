"""Did the same cases change sides more often in one direction than in the other: McNemar's test, exact.

Formula: of the b + c cases on which two answers disagree, b favor the first and c the second; with no difference b is
binomial with chance 1/2, and p = P(|B - C| >= |b - c|). The share b/(b + c) has exact (Clopper-Pearson) limits.
Where patients have several cases, `mcnemar_by_patient` flips the sign of each patient's net change instead, which is
exact as well and is McNemar's test when every patient has one case.
Sources: McNemar 1947 (doi 10.1007/BF02295996); Clopper and Pearson 1934 (doi 10.1093/biomet/26.4.404); the test by
patient is the permutation form of Obuchowski 1998 (Statistics in Medicine 17, 1495-1507).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from titer.audit.statistics._checks import bools, fraction, labels, same_length
from titer.audit.statistics._result import Result, interval, number, p_value
from titer.audit.statistics._signs import two_sided
from titer.errors import DataError


@dataclass(frozen=True)
class McNemar(Result):
    """Cases that only the first (`b`) or only the second (`c`) got right, and the share b/(b + c)."""

    b: int
    c: int
    share: float
    low: float
    high: float
    p: float
    n: int
    confidence: float
    method: str

    def __str__(self) -> str:
        counts = f"{self.b} cases right in the first only, {self.c} in the second only"
        if self.b + self.c == 0:
            return f"{counts} (no case changed, {p_value(self.p)}; n = {self.n} cases, {self.method})"
        share = f"share {number(self.share)}, {interval(self.low, self.high, self.confidence)}"
        return f"{counts} ({share}; {p_value(self.p)}; n = {self.n} cases, {self.method})"


@dataclass(frozen=True)
class McNemarByDisease(Result):
    """McNemar's test apart for the diseased (b: newly missed) and the healthy (b: newly alarmed)."""

    diseased: McNemar
    healthy: McNemar

    def __str__(self) -> str:
        return f"diseased: {self.diseased}; healthy: {self.healthy}"


def mcnemar_counts(b: int, c: int, *, n: int | None = None, confidence: float = 0.95) -> McNemar:
    """Exact McNemar test from the counts of discordant cases, out of n cases (b + c if not told).

    Refuses negative counts, and n below b + c (DataError).

    >>> print(mcnemar_counts(25, 9))
    25 cases right in the first only, 9 in the second only (share 0.7353, 95 % CI 0.5564 to 0.8712; p = 0.00904; \
n = 34 cases, exact McNemar)
    """
    fraction("confidence", confidence)
    size = b + c if n is None else n
    if min(b, c) < 0 or size < b + c:
        raise DataError("counts b, c >= 0 with b + c <= n", f"b={b}, c={c}, n={size}", "count each case once")
    p = two_sided(np.ones(b + c, dtype=np.int64), b - c)
    alpha = 1 - confidence
    low = 0.0 if b == 0 else float(betaincinv(b, c + 1, alpha / 2))
    high = 1.0 if c == 0 else float(betaincinv(b + 1, c, 1 - alpha / 2))
    share = b / (b + c) if b + c else math.nan
    return McNemar(b, c, share, low, high, p, size, confidence, "exact McNemar")


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike, *, confidence: float = 0.95) -> McNemar:
    """Exact McNemar test of two columns of answers on the same cases.

    Arguments: first, second (n,) whether each case was answered rightly, such as clean and attacked.

    >>> mcnemar([1, 1, 1, 1, 0], [0, 0, 0, 1, 1]).p
    0.625
    """
    one, two = bools("first", first), bools("second", second)
    n = same_length(first=one, second=two)
    return mcnemar_counts(int((one & ~two).sum()), int((~one & two).sum()), n=n, confidence=confidence)


def mcnemar_by_disease(
    actual: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, *, confidence: float = 0.95
) -> McNemarByDisease:
    """McNemar's test apart in diseased and healthy cases, since an attack may trade one error for the other.

    Arguments: actual (n,) whether diseased; first, second (n,) whether answered rightly.

    >>> result = mcnemar_by_disease([1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0])
    >>> result.diseased.b, result.healthy.b
    (2, 0)
    """
    ill, one, two = bools("actual", actual), bools("first", first), bools("second", second)
    same_length(actual=ill, first=one, second=two)
    return McNemarByDisease(
        diseased=mcnemar(one[ill], two[ill], confidence=confidence),
        healthy=mcnemar(one[~ill], two[~ill], confidence=confidence),
    )


def mcnemar_by_patient(
    first: npt.ArrayLike, second: npt.ArrayLike, *, patients: npt.ArrayLike, confidence: float = 0.95
) -> McNemar:
    """Exact test that allows for several cases per patient; the limits of the share still count cases.

    Arguments: first, second (n,) whether answered rightly; patients (n,) label of each case's patient.

    >>> mcnemar_by_patient([1] * 6, [0] * 6, patients=[1, 1, 1, 2, 2, 2]).p
    0.5
    """
    one, two, names = bools("first", first), bools("second", second), labels("patients", patients)
    same_length(first=one, second=two, patients=names)
    by_case = mcnemar(one, two, confidence=confidence)
    patient = np.unique(names, return_inverse=True)[1]
    net = np.rint(np.bincount(patient, weights=one.astype(float) - two)).astype(np.int64)
    p = two_sided(np.abs(net), int(net.sum()))
    method = f"exact sign flips of {int(patient.max()) + 1} patients"
    return McNemar(
        by_case.b, by_case.c, by_case.share, by_case.low, by_case.high, p, by_case.n, by_case.confidence, method
    )

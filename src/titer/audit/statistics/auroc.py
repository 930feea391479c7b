"""How well scores rank the diseased above the healthy: area under the ROC curve with DeLong's variance.

Formula: AUROC = mean over pairs of [x > y] + [x = y]/2, with x a diseased and y a healthy score. With the placement
values V10 of each diseased case (share of healthy it beats) and V01 of each healthy case (share of diseased that beat
it), Var = S10/m + S01/n. Where a patient has several cases the deviations are added up by patient first (Obuchowski),
    Var = S10/M^2 + S01/N^2 + 2 S11/(M N), over M diseased and N healthy cases,
which is DeLong's variance exactly when every patient has one case. Sorting makes it O(n log n).
Interval: on the logit scale, so that it stays within 0 and 1. Where the variance is zero (perfect separation, all
scores equal) that scale says nothing, and the exact binomial limits over min(m, n) disjoint pairs are given instead:
those pairs are independent, so a perfect ranking has probability at most AUROC^min(m, n).
Sources: DeLong, DeLong, Clarke-Pearson 1988 (doi 10.2307/2531595); Sun and Xu 2014 (doi 10.1109/LSP.2014.2337313);
Obuchowski 1997 (doi 10.2307/2533958); Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2 (logit).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, expit, logit, ndtr, ndtri

from titer.audit.statistics._checks import Bools, Floats, bools, fraction, labels, same_length
from titer.audit.statistics._result import Result, interval, number, p_value
from titer.errors import DataError


@dataclass(frozen=True)
class Auroc(Result):
    """An area under the ROC curve; `patients` is the number of cases when each is its own patient."""

    value: float
    low: float
    high: float
    se: float
    n_diseased: int
    n_healthy: int
    patients: int
    confidence: float
    method: str

    def __str__(self) -> str:
        limits = interval(self.low, self.high, self.confidence)
        counts = f"{self.n_diseased} diseased and {self.n_healthy} healthy cases"
        return f"AUROC {number(self.value)} ({limits}; {counts}, {self.method})"


@dataclass(frozen=True)
class AurocDifference(Result):
    """The first AUROC minus the second, both measured on the same cases."""

    first: Auroc
    second: Auroc
    difference: float
    low: float
    high: float
    se: float
    z: float
    p: float
    confidence: float
    method: str

    def __str__(self) -> str:
        limits = interval(self.low, self.high, self.confidence)
        n = self.first.n_diseased + self.first.n_healthy
        return f"AUROC difference {number(self.difference)} ({limits}; {p_value(self.p)}; n = {n} cases, {self.method})"


@dataclass(frozen=True)
class _Cases:
    """Who is diseased, and which patient each case belongs to."""

    diseased: Bools
    patient: npt.NDArray[np.intp]
    patients: int
    clustered: bool

    @property
    def m(self) -> int:
        return int(self.diseased.sum())

    @property
    def n(self) -> int:
        return self.diseased.size - self.m

    def among(self, chosen: Bools) -> int:
        """The number of patients with at least one of the chosen cases."""
        return np.unique(self.patient[chosen]).size

    def disjoint_pairs(self) -> int:
        """How many pairs, one diseased and one healthy, share no patient whatever the patients are."""
        return min(self.among(self.diseased), self.among(~self.diseased), max(1, self.patients // 2))

    @property
    def name(self) -> str:
        return "Obuchowski (by patient)" if self.clustered else "DeLong"


@dataclass(frozen=True)
class _Placement:
    """AUROC with each patient's summed deviation from it, apart for the diseased and healthy cases."""

    value: float
    diseased: Floats
    healthy: Floats


def auroc(
    actual: npt.ArrayLike, scores: npt.ArrayLike, *, patients: npt.ArrayLike | None = None, confidence: float = 0.95
) -> Auroc:
    """Area under the ROC curve of one model's scores.

    Arguments: actual (n,) yes or no; scores (n,) higher means more likely diseased, any unit, infinite allowed;
        patients (n,) label of each case's patient, left out when every case is its own patient.
    Refuses fewer than two cases, or two patients, of either class, and scores that are not numbers (DataError).

    >>> print(auroc([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.8, 0.9]))
    AUROC 0.8889 (95 % CI 0.2614 to 0.9945; 3 diseased and 3 healthy cases, DeLong, logit scale)
    """
    fraction("confidence", confidence)
    cases = _cases(actual, patients)
    return _area(_place(cases, _scores("scores", scores, cases)), cases, confidence)


def compare_auroc(
    actual: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    patients: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> AurocDifference:
    """Paired comparison of two score columns on the same cases, such as clean and attacked.

    Arguments: actual (n,) yes or no; first, second (n,) scores; patients as for `auroc`. Interval on the plain scale.
    Refuses what `auroc` refuses. Where both columns rank the cases alike, the difference is 0 and p is 1.

    >>> result = compare_auroc([0, 0, 0, 1, 1, 1], [1, 2, 4, 3, 5, 6], [1, 5, 4, 3, 2, 6])
    >>> round(result.difference, 4), round(result.p, 4)
    (0.3333, 0.2207)
    """
    fraction("confidence", confidence)
    cases = _cases(actual, patients)
    one = _place(cases, _scores("first", first, cases))
    two = _place(cases, _scores("second", second, cases))
    gap = _Placement(one.value - two.value, one.diseased - two.diseased, one.healthy - two.healthy)
    se = math.sqrt(_variance(gap, cases))
    z, p = _wald(gap.value, se)
    half = float(ndtri(0.5 + confidence / 2)) * se
    return AurocDifference(
        _area(one, cases, confidence),
        _area(two, cases, confidence),
        gap.value,
        max(-1.0, gap.value - half),
        min(1.0, gap.value + half),
        se,
        z,
        p,
        confidence,
        f"paired {cases.name}, plain scale",
    )


def _cases(actual: npt.ArrayLike, patients: npt.ArrayLike | None) -> _Cases:
    diseased = bools("actual", actual)
    if patients is None:
        cases = _Cases(diseased, np.arange(diseased.size), diseased.size, clustered=False)
    else:
        labeled = labels("patients", patients)
        same_length(actual=diseased, patients=labeled)
        names, patient = np.unique(labeled, return_inverse=True)
        cases = _Cases(diseased, patient, names.size, clustered=True)
    for name, chosen in (("diseased", diseased), ("healthy", ~diseased)):
        found = cases.among(chosen)
        if found < 2:
            what = "patients with such cases" if cases.clustered else "cases"
            raise DataError(f"at least two {name} {what} for an AUROC", f"{found}", "add cases of that class")
    return cases


def _scores(name: str, values: npt.ArrayLike, cases: _Cases) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    if scores.shape != cases.diseased.shape:
        raise DataError(
            f"one score per case in {name}: {cases.diseased.size}", f"shape {scores.shape}", "score the same cases"
        )
    if np.isnan(scores).any():
        where = int(np.flatnonzero(np.isnan(scores))[0])
        raise DataError(f"numbers in {name}", f"NaN at position {where}", "find out why the model gave no score")
    return scores


def _place(cases: _Cases, scores: Floats) -> _Placement:
    x, y = scores[cases.diseased], scores[~cases.diseased]
    wins = _doubled_wins(x, y)
    beats, beaten = wins / (2 * y.size), 1.0 - _doubled_wins(y, x) / (2 * x.size)
    # In whole numbers first, so that equal rankings are equal to the last bit.
    value = int(wins.sum()) / (2 * x.size * y.size)
    return _Placement(
        value,
        _by_patient(beats - value, cases, cases.diseased),
        _by_patient(beaten - value, cases, ~cases.diseased),
    )


def _doubled_wins(values: Floats, others: Floats) -> npt.NDArray[np.intp]:
    """Twice the number of others below each value, ties half: Sun and Xu's difference of midranks, by two searches."""
    ordered = np.sort(others)
    return np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")


def _by_patient(values: Floats, cases: _Cases, chosen: Bools) -> Floats:
    return np.bincount(cases.patient[chosen], weights=values, minlength=cases.patients).astype(np.float64)


def _variance(placed: _Placement, cases: _Cases) -> float:
    """Obuchowski's variance of a placement, or of the difference of two."""
    i10, i01 = cases.among(cases.diseased), cases.among(~cases.diseased)
    s10 = float(placed.diseased @ placed.diseased) * i10 / (i10 - 1)
    s01 = float(placed.healthy @ placed.healthy) * i01 / (i01 - 1)
    s11 = float(placed.diseased @ placed.healthy) * cases.patients / (cases.patients - 1)
    return max(0.0, s10 / cases.m**2 + s01 / cases.n**2 + 2 * s11 / (cases.m * cases.n))


def _area(placed: _Placement, cases: _Cases, confidence: float) -> Auroc:
    se = math.sqrt(_variance(placed, cases))
    if se > 1e-12 and 0.0 < placed.value < 1.0:
        center = float(logit(placed.value))
        half = float(ndtri(0.5 + confidence / 2)) * se / (placed.value * (1 - placed.value))
        low, high = float(expit(center - half)), float(expit(center + half))
        method = f"{cases.name}, logit scale"
    else:
        pairs = cases.disjoint_pairs()
        low, high = _exact(placed.value, pairs, 1 - confidence)
        method = f"binomial over {pairs} disjoint pairs, as the {cases.name} variance is zero"
    return Auroc(placed.value, low, high, se, cases.m, cases.n, cases.patients, confidence, method)


def _exact(value: float, pairs: int, alpha: float) -> tuple[float, float]:
    wins = value * pairs
    low = 0.0 if wins <= 0 else float(betaincinv(wins, pairs - wins + 1, alpha / 2))
    high = 1.0 if wins >= pairs else float(betaincinv(wins + 1, pairs - wins, 1 - alpha / 2))
    return low, high


def _wald(difference: float, se: float) -> tuple[float, float]:
    if se > 1e-12:
        z = difference / se
        return z, float(2 * ndtr(-abs(z)))
    return (0.0, 1.0) if abs(difference) < 1e-12 else (math.nan, math.nan)

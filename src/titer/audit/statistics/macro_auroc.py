"""The mean AUROC over several findings of the same cases, with an interval that knows they are the same cases.

Formula: macro = mean over findings k of AUROC_k. Patient i moves AUROC_k by d_ik = V10_ik / M_k + V01_ik / N_k, with
V10 and V01 the summed deviations of the patient's placement values from AUROC_k (see `auroc`) and M_k, N_k the
diseased and healthy cases. Hence, over P patients,
    Var(macro) = P/(P - 1) sum_i (mean_k d_ik)^2,
which for one finding is DeLong's variance (Obuchowski's with several cases per patient) up to the small-sample factors
of the two groups. Interval on the logit scale; where the variance is zero there is none.
Sources: DeLong, DeLong, Clarke-Pearson 1988 (doi 10.2307/2531595); Obuchowski 1997 (doi 10.2307/2533958). The mean over
findings follows by the same linearization.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtri

from titer.audit.statistics._checks import fraction
from titer.audit.statistics._result import Result, interval, number
from titer.audit.statistics.auroc import _cases, _place, _scores
from titer.errors import DataError


@dataclass(frozen=True)
class MacroAuroc(Result):
    """A mean AUROC; `low` and `high` are NaN where there is no interval."""

    value: float
    low: float
    high: float
    se: float
    findings: int
    n: int
    patients: int
    confidence: float
    method: str

    def __str__(self) -> str:
        limits = interval(self.low, self.high, self.confidence)
        counts = f"{self.findings} findings, n = {self.n} cases"
        return f"macro AUROC {number(self.value)} ({limits}; {counts}, {self.method})"


def macro_auroc(
    actual: npt.ArrayLike, scores: npt.ArrayLike, *, patients: npt.ArrayLike | None = None, confidence: float = 0.95
) -> MacroAuroc:
    """Mean AUROC over the columns of findings.

    Arguments: actual (n, K) yes or no; scores (n, K) higher means more likely there; patients (n,) label of each case's
        patient, left out when every case is its own.
    Refuses columns of different shape, and a finding with fewer than two cases or patients of either kind (DataError).

    >>> actual = np.array([[0, 1], [0, 0], [1, 1], [1, 0], [0, 1], [1, 0]])
    >>> scores = np.array([[0.1, 0.9], [0.4, 0.2], [0.8, 0.6], [0.3, 0.7], [0.2, 0.5], [0.9, 0.1]])
    >>> print(macro_auroc(actual, scores))
    macro AUROC 0.8333 (95 % CI 0.3789 to 0.9762; 2 findings, n = 6 cases, DeLong over findings, logit scale)
    """
    fraction("confidence", confidence)
    truth, said = np.asarray(actual), np.asarray(scores)
    if truth.ndim != 2 or truth.shape != said.shape or truth.shape[1] == 0:
        raise DataError(
            "findings and scores of one shape [n, K]", f"{truth.shape} and {said.shape}", "give both per case"
        )
    areas, moves = [], []
    for k in range(truth.shape[1]):
        cases = _cases(truth[:, k], patients)
        placed = _place(cases, _scores("scores", said[:, k], cases))
        areas.append(placed.value)
        moves.append(placed.diseased / cases.m + placed.healthy / cases.n)
    value, people = float(np.mean(areas)), len(moves[0])
    se = math.sqrt(people / (people - 1) * float((np.mean(moves, axis=0) ** 2).sum()))
    low = high = math.nan
    how = f"{cases.name} over findings, no interval as the variance is zero"
    if se > 1e-12 and 0 < value < 1:
        half = float(ndtri(0.5 + confidence / 2)) * se / (value * (1 - value))
        low, high = float(expit(logit(value) - half)), float(expit(logit(value) + half))
        how = f"{cases.name} over findings, logit scale"
    return MacroAuroc(value, low, high, se, truth.shape[1], len(truth), people, confidence, how)

"""Do several methods differ over shared trials, judged by ranks: Friedman's test and Nemenyi's comparison of all pairs.

Formula: rank the k methods within each of n trials (ties share their mean rank), R_j the mean ranks;
    chi2 = 12 n/(k (k+1)) * sum (R_j - (k+1)/2)^2, df = k - 1, corrected for ties; Kendall's W = chi2/(n (k-1)).
    Nemenyi: q = |R_i - R_j| / sqrt(k (k+1)/(12 n)) against the studentized range with infinite df.
Sources: Friedman 1937 (doi 10.1080/01621459.1937.10503522); Nemenyi 1963; Demsar 2006 (JMLR 7, 1-30).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.stats import friedmanchisquare, rankdata

from titer.audit.statistics._checks import Floats, blocks, fraction
from titer.audit.statistics._result import Result, number, p_value
from titer.audit.statistics.posthoc import Contrasts, range_contrast
from titer.errors import DataError


@dataclass(frozen=True)
class Friedman(Result):
    """Chi squared of the mean ranks (1 = lowest outcome); undefined when every trial ranks all methods alike."""

    chi2: float
    df: int
    p: float
    kendall_w: float
    mean_ranks: dict[str, float]
    n: int
    method: str = "Friedman"

    def __str__(self) -> str:
        if math.isnan(self.chi2):
            return f"chi2 undefined, as every trial has all methods equal (n = {self.n} trials, {self.method})"
        ranks = ", ".join(f"{name} {rank:.3g}" for name, rank in self.mean_ranks.items())
        test = f"chi2({self.df}) = {number(self.chi2)}, {p_value(self.p)}"
        return f"{test} (Kendall's W {number(self.kendall_w)}; mean ranks {ranks}; n = {self.n} trials, {self.method})"


def friedman(outcomes: Mapping[str, npt.ArrayLike]) -> Friedman:
    """Friedman's rank test that no method is placed higher than another over shared trials.

    Arguments: outcomes {method: (trials,)}, the same trials for every method.
    Refuses fewer than three methods (DataError): compare two with a paired test.

    >>> print(friedman({"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0], "C": [89.0, 90.5, 86.0]}))
    chi2(2) = 4.667, p = 0.097 (Kendall's W 0.7778; mean ranks A 2.33, B 1, C 2.67; n = 3 trials, Friedman)
    """
    names, table = blocks(outcomes)
    n, k = table.shape
    if k < 3:
        raise DataError("at least three methods", f"{k}", "compare two methods with wilcoxon or sign_flip")
    ranks = _mean_ranks(table)
    chi2, p = math.nan, math.nan
    if np.ptp(table, axis=1).any():
        result = friedmanchisquare(*table.T)
        chi2, p = float(result.statistic), float(result.pvalue)
    by_name = dict(zip(names, ranks.tolist(), strict=True))
    return Friedman(chi2, k - 1, p, chi2 / (n * (k - 1)), by_name, n)


def nemenyi(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Contrasts:
    """Nemenyi's comparison of all pairs by mean rank, to follow `friedman`; differences and intervals are in ranks.

    Arguments as in `friedman`.

    >>> outcomes = {"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0], "C": [89.0, 90.5, 86.0]}
    >>> print(nemenyi(outcomes).between("C", "B"))
    C - B 1.667 (-0.247 to 3.58; p = 0.102)
    """
    fraction("confidence", confidence)
    names, table = blocks(outcomes)
    n, k = table.shape
    ranks = _mean_ranks(table)
    se = math.sqrt(k * (k + 1) / (12 * n))
    contrasts = [
        range_contrast(
            (names[i], names[j]), float(ranks[i] - ranks[j]), se, methods=k, df=math.inf, confidence=confidence
        )
        for i, j in combinations(range(k), 2)
    ]
    return Contrasts(tuple(contrasts), n * k, confidence, "Nemenyi, differences of mean ranks")


def _mean_ranks(table: Floats) -> Floats:
    return np.asarray(rankdata(table, axis=1).mean(axis=0), dtype=np.float64)

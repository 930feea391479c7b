"""Is the loss smaller than a margin: two one-sided tests, for claims such as "no loss of clean accuracy".

A large p of a t test is no evidence of equality; a small p here is. Formula: with mean difference m, standard error se
and margin e, t_low = (m + e)/se against "at most -e", t_high = (m - e)/se against "at least e", p the larger of both.
Equivalence at alpha holds exactly when the 1 - 2 alpha interval lies inside -e to e.
Source: Schuirmann 1987 (doi 10.1007/BF01068419). The margin must be declared before the data are seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt
from scipy.special import stdtr

from titer.audit.statistics._checks import fraction
from titer.audit.statistics._result import Result, interval, number, p_value
from titer.audit.statistics.paired import paired_t
from titer.errors import PlanError


@dataclass(frozen=True)
class Tost(Result):
    """Mean difference first - second against a margin; `equivalent` is None when no t test exists."""

    difference: float
    low: float
    high: float
    margin: float
    p_low: float
    p_high: float
    p: float
    equivalent: bool | None
    n: int
    alpha: float
    method: str = "TOST on pairs"

    def __str__(self) -> str:
        margin = f"margin {self.margin:g}"
        if self.equivalent is None:
            what = f"all {self.n} differences are identical, so no t test exists"
            return f"difference {number(self.difference)} ({margin}; {what}; {self.method})"
        verdict = "equivalent" if self.equivalent else "equivalence not shown"
        limits = interval(self.low, self.high, 1 - 2 * self.alpha)
        return (
            f"difference {number(self.difference)} ({limits}; {margin}: {verdict}, {p_value(self.p)}; "
            f"n = {self.n} trials, {self.method})"
        )


def tost_paired(first: npt.ArrayLike, second: npt.ArrayLike, *, margin: float, alpha: float = 0.05) -> Tost:
    """Two one-sided paired t tests that first - second lies within -margin to margin.

    Arguments: first, second (trials,); margin in the same unit, above 0; alpha below 0.5.
    Refuses another margin or alpha (PlanError), and fewer than two trials (DataError).

    >>> print(tost_paired([88.1, 90.3, 86.9, 89.4, 87.8], [88.0, 90.9, 86.5, 89.9, 87.6], margin=2.0))
    difference -0.08 (90 % CI -0.5032 to 0.3432; margin 2: equivalent, p = 0.00032; n = 5 trials, TOST on pairs)
    """
    if not (math.isfinite(margin) and margin > 0):
        raise PlanError("a margin above 0", f"{margin}", "declare the largest difference that does not matter")
    if fraction("alpha", alpha) >= 0.5:
        raise PlanError("alpha below 0.5", f"{alpha}", "use 0.05")
    test = paired_t(first, second, confidence=1 - 2 * alpha)
    if math.isnan(test.t):
        nan = math.nan
        return Tost(test.difference, nan, nan, margin, nan, nan, nan, None, test.n, alpha)
    se = test.sd / math.sqrt(test.n)
    p_low = float(stdtr(test.df, -(test.difference + margin) / se))
    p_high = float(stdtr(test.df, (test.difference - margin) / se))
    p = max(p_low, p_high)
    return Tost(test.difference, test.low, test.high, margin, p_low, p_high, p, p <= alpha, test.n, alpha)

"""How often a model was right, with the interval that the number of cases allows.

Formula (Wilson score interval, z the normal quantile of the confidence):
    center = (k + z^2/2) / (n + z^2),  half-width = z/(n + z^2) * sqrt(k (n - k)/n + z^2/4)
Means of several rates combine the Wilson limits by "square and add" (MOVER):
    low = mean - sqrt(sum (p_i - low_i)^2)/K,  high = mean + sqrt(sum (high_i - p_i)^2)/K
Sources: Wilson 1927 (doi 10.1080/01621459.1927.10502953); Brown, Cai, DasGupta 2001 (doi 10.1214/ss/1009213286);
Zou and Donner 2008 (doi 10.1002/sim.3095) for the combination.
All assume independent cases; where a patient has several, use `bootstrap.cluster_ratio` beside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.stats.proportion import proportion_confint

from titer.audit.statistics._checks import Bools, bools, fraction, labels, same_length
from titer.audit.statistics._result import Result, interval, number
from titer.errors import DataError


@dataclass(frozen=True)
class Proportion(Result):
    """A share of cases, `successes` of `n`, with its interval; of no cases it is undefined, the interval 0 to 1."""

    name: str
    value: float
    low: float
    high: float
    successes: int
    n: int
    confidence: float
    method: str = "Wilson score"

    def __str__(self) -> str:
        if self.n == 0:
            return f"{self.name} cannot be estimated (no such cases)"
        limits = interval(self.low, self.high, self.confidence)
        return f"{self.name} {number(self.value)} ({limits}; {self.successes} of {self.n} cases, {self.method})"


@dataclass(frozen=True)
class MeanRate(Result):
    """The mean of several rates, each counted equally however many cases it has."""

    name: str
    value: float
    low: float
    high: float
    n: int
    confidence: float
    method: str = "mean of rates, Wilson limits combined by MOVER"

    def __str__(self) -> str:
        limits = interval(self.low, self.high, self.confidence)
        return f"{self.name} {number(self.value)} ({limits}; n = {self.n} cases, {self.method})"


@dataclass(frozen=True)
class Confusion(Result):
    """Counts of cases: the diseased that were found (tp) or missed (fn), the healthy alarmed (fp) or cleared (tn)."""

    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def diseased(self) -> int:
        return self.tp + self.fn

    @property
    def healthy(self) -> int:
        return self.fp + self.tn

    @property
    def n(self) -> int:
        return self.diseased + self.healthy

    def __str__(self) -> str:
        return f"TP {self.tp}, FN {self.fn}, FP {self.fp}, TN {self.tn} (n = {self.n} cases)"


@dataclass(frozen=True)
class Rates(Result):
    """Accuracy and the rates that must stand beside it, from one table of counts."""

    confusion: Confusion
    accuracy: Proportion
    sensitivity: Proportion
    specificity: Proportion
    fnr: Proportion
    fpr: Proportion
    balanced_accuracy: MeanRate

    def __str__(self) -> str:
        rates = (self.accuracy, self.sensitivity, self.specificity, self.fnr, self.fpr, self.balanced_accuracy)
        return "; ".join(str(rate) for rate in rates)


@dataclass(frozen=True)
class OneVsRest(Result):
    """Rates of a model with several classes: each class against all others, and their plain (macro) means.

    A false alarm for one class excludes one for another, so the interval of the macro specificity is a little wide.
    """

    accuracy: Proportion
    macro_sensitivity: MeanRate
    macro_specificity: MeanRate
    classes: dict[str, Rates]

    def __str__(self) -> str:
        return "; ".join(str(rate) for rate in (self.accuracy, self.macro_sensitivity, self.macro_specificity))


def wilson(successes: int, n: int, *, confidence: float = 0.95, name: str = "proportion") -> Proportion:
    """The share `successes` of `n` independent cases with its Wilson interval.

    Arguments: successes and n are counts of cases; confidence in (0, 1).
    Refuses: counts that are negative or a share above 1 (DataError), a confidence outside (0, 1) (PlanError).

    >>> print(wilson(45, 50, name="sensitivity"))
    sensitivity 0.9 (95 % CI 0.7864 to 0.9565; 45 of 50 cases, Wilson score)
    """
    fraction("confidence", confidence)
    if not 0 <= successes <= n:
        raise DataError("0 <= successes <= n", f"{successes} of {n}", "count both over the same cases")
    if n == 0:
        return Proportion(name, math.nan, 0.0, 1.0, 0, 0, confidence)
    low, high = proportion_confint(int(successes), int(n), alpha=1 - confidence, method="wilson")
    # At k = 0 and k = n the limit is 0 or 1 exactly; rounding leaves it a hair beside.
    low = 0.0 if successes == 0 else max(0.0, float(low))
    high = 1.0 if successes == n else min(1.0, float(high))
    return Proportion(name, int(successes) / int(n), low, high, int(successes), int(n), confidence)


def mean_rate(rates: Sequence[Proportion], *, name: str) -> MeanRate:
    """The unweighted mean of rates from separate groups of cases, with the MOVER interval.

    Refuses an empty list (DataError). If one rate cannot be estimated, neither can the mean.

    >>> print(mean_rate([wilson(8, 10), wilson(18, 20)], name="balanced accuracy"))
    balanced accuracy 0.85 (95 % CI 0.6653 to 0.9302; n = 30 cases, mean of rates, Wilson limits combined by MOVER)
    """
    if not rates:
        raise DataError("at least one rate", "none", "pass the rate of every class")
    value, low, high = (np.array([getattr(rate, field) for rate in rates]) for field in ("value", "low", "high"))
    n, confidence = sum(rate.n for rate in rates), rates[0].confidence
    mean = float(value.mean())
    if math.isnan(mean):
        return MeanRate(name, mean, 0.0, 1.0, n, confidence)
    below = math.sqrt(float(((value - low) ** 2).sum())) / len(rates)
    above = math.sqrt(float(((high - value) ** 2).sum())) / len(rates)
    return MeanRate(name, mean, max(0.0, mean - below), min(1.0, mean + above), n, confidence)


def confusion(actual: npt.ArrayLike, predicted: npt.ArrayLike) -> Confusion:
    """Counts of true and false, positive and negative.

    Arguments: actual (n,) whether each case is diseased; predicted (n,) whether the model said so.
    Refuses columns of different lengths or with other values than yes and no (DataError).

    >>> print(confusion([1, 1, 0, 0, 0], [1, 0, 0, 0, 1]))
    TP 1, FN 1, FP 1, TN 2 (n = 5 cases)
    """
    diseased, positive = bools("actual", actual), bools("predicted", predicted)
    same_length(actual=diseased, predicted=positive)
    return _counts(diseased, positive)


def rates(counts: Confusion, *, confidence: float = 0.95) -> Rates:
    """Accuracy, sensitivity, specificity, FNR, FPR and balanced accuracy of one table of counts.

    >>> result = rates(Confusion(tp=45, fn=5, fp=10, tn=90))
    >>> print(result.fnr)
    FNR 0.1 (95 % CI 0.04348 to 0.2136; 5 of 50 cases, Wilson score)
    """
    share = {
        name: wilson(successes, n, confidence=confidence, name=name)
        for name, successes, n in (
            ("accuracy", counts.tp + counts.tn, counts.n),
            ("sensitivity", counts.tp, counts.diseased),
            ("specificity", counts.tn, counts.healthy),
            ("FNR", counts.fn, counts.diseased),
            ("FPR", counts.fp, counts.healthy),
        )
    }
    balanced = mean_rate([share["sensitivity"], share["specificity"]], name="balanced accuracy")
    return Rates(
        counts,
        share["accuracy"],
        share["sensitivity"],
        share["specificity"],
        share["FNR"],
        share["FPR"],
        balanced,
    )


def accuracy(correct: npt.ArrayLike, *, confidence: float = 0.95, name: str = "accuracy") -> Proportion:
    """The share of cases answered correctly; correct (n,) is yes or no per case.

    >>> print(accuracy([True, True, False, True]))
    accuracy 0.75 (95 % CI 0.3006 to 0.9544; 3 of 4 cases, Wilson score)
    """
    right = bools("correct", correct)
    return wilson(int(right.sum()), right.size, confidence=confidence, name=name)


def one_vs_rest(
    actual: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    classes: Sequence[int] | Sequence[str] | None = None,
    confidence: float = 0.95,
) -> OneVsRest:
    """Sensitivity and specificity of each class against the rest, and their macro means.

    Arguments: actual, predicted (n,) class labels; classes the labels that exist, by default those in `actual`.
    Refuses a label outside `classes`, and a class without cases, whose rate does not exist (DataError).

    >>> print(one_vs_rest([0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 2]).macro_sensitivity.value.__round__(4))
    0.8333
    """
    truth, answer = labels("actual", actual), labels("predicted", predicted)
    n = same_length(actual=truth, predicted=answer)
    known = np.unique(truth) if classes is None else np.asarray(list(classes))
    strangers = np.setdiff1d(np.concatenate([truth, answer]), known)
    if strangers.size:
        raise DataError(f"labels among {known.tolist()}", f"{strangers[0]!r}", "name every class in `classes`")
    missing = np.setdiff1d(known, truth)
    if missing.size:
        raise DataError("at least one case of every class", f"none of {missing[0]!r}", "drop that class or add cases")
    by_class = {
        str(label): rates(_counts(truth == label, answer == label), confidence=confidence) for label in known.tolist()
    }
    right = wilson(int((truth == answer).sum()), n, confidence=confidence, name="accuracy")
    sensitivity = mean_rate([entry.sensitivity for entry in by_class.values()], name="macro sensitivity")
    specificity = mean_rate([entry.specificity for entry in by_class.values()], name="macro specificity")
    # Every case is in the pool of every class, so the sizes must not be added up.
    return OneVsRest(right, sensitivity, _of(specificity, n), by_class)


def _of(rate: MeanRate, n: int) -> MeanRate:
    return MeanRate(rate.name, rate.value, rate.low, rate.high, n, rate.confidence)


def _counts(diseased: Bools, positive: Bools) -> Confusion:
    found = int((diseased & positive).sum())
    alarmed = int((~diseased & positive).sum())
    missed = int(diseased.sum()) - found
    return Confusion(tp=found, fn=missed, fp=alarmed, tn=diseased.size - found - missed - alarmed)

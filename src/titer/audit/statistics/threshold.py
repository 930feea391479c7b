"""Which score counts as positive: an operating point chosen on clean validation cases and then left alone.

A case is called positive when its score is at least the threshold, so all cases tied at the threshold are positive.
The threshold is always one of the observed scores (or the next number above the largest, when nothing may be called
positive), so that it needs no rounding and the same scores give the same bits.
Rules
    sensitivity   the highest threshold that finds at least the target share of the diseased
    specificity   the lowest threshold that clears at least the target share of the healthy
    youden        the threshold with the largest sensitivity + specificity - 1; of equals, the lowest (fewer missed)
    percentile    the specificity rule when only normal cases exist, as in anomaly detection
Source of the third: Youden 1950 (doi 10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from titer.audit.statistics._checks import Bools, Floats, bools, floats, same_length
from titer.audit.statistics._result import Result, number
from titer.audit.statistics.proportions import Proportion, wilson
from titer.errors import DataError, PlanError

# A target of 0.9 of 10 cases means 9, although 0.9 * 10 may come out a hair above.
_SLACK = 1e-9


@dataclass(frozen=True)
class Threshold(Result):
    """A score from which cases count as positive, the rule that chose it and what it achieved where it was chosen."""

    value: float
    rule: str
    target: float | None
    sensitivity: Proportion
    specificity: Proportion

    def __str__(self) -> str:
        target = "" if self.target is None else f" of at least {self.target:g}"
        reached = f"{self.sensitivity}; {self.specificity}"
        return f"threshold {number(self.value, 6)} chosen by {self.rule}{target}: {reached}"

    def apply(self, scores: npt.ArrayLike) -> Bools:
        """Which cases count as positive.

        >>> at_percentile([0.1, 0.2, 0.3, 0.4], percentile=75).apply([0.3, 0.4, 0.5]).tolist()
        [False, True, True]
        """
        return np.asarray(floats("scores", scores) >= self.value)


def at_sensitivity(
    actual: npt.ArrayLike, scores: npt.ArrayLike, *, target: float, confidence: float = 0.95
) -> Threshold:
    """The highest threshold whose sensitivity is at least `target` (in (0, 1]).

    Arguments: actual (n,) whether diseased; scores (n,) higher means more likely diseased.
    Refuses a target outside (0, 1] (PlanError), and data without diseased cases (DataError).

    >>> at_sensitivity([0, 0, 1, 1, 1, 1], [0.1, 0.6, 0.3, 0.5, 0.7, 0.9], target=0.75).value
    0.5
    """
    ill, values = _columns(actual, scores)
    positive = np.sort(values[ill])[::-1]
    if positive.size == 0:
        raise DataError("at least one diseased case", "none", "choose the threshold on data with diseased cases")
    needed = max(1, math.ceil(_target(target) * positive.size - _SLACK))
    return _achieved(ill, values, float(positive[needed - 1]), rule="sensitivity", target=target, confidence=confidence)


def at_specificity(
    actual: npt.ArrayLike, scores: npt.ArrayLike, *, target: float, confidence: float = 0.95
) -> Threshold:
    """The lowest threshold whose specificity is at least `target` (in (0, 1]).

    Arguments and refusals as in `at_sensitivity`, with healthy for diseased.

    >>> at_specificity([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.4, 0.6, 0.5, 0.9], target=0.75).value
    0.5
    """
    ill, values = _columns(actual, scores)
    return _achieved(
        ill, values, _clearing(values[~ill], values, target), rule="specificity", target=target, confidence=confidence
    )


def at_youden(actual: npt.ArrayLike, scores: npt.ArrayLike, *, confidence: float = 0.95) -> Threshold:
    """The threshold with the largest sum of sensitivity and specificity; of equals, the lowest.

    Refuses data without a diseased or without a healthy case (DataError).

    >>> at_youden([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9]).value
    0.3
    """
    ill, values = _columns(actual, scores)
    if ill.all() or not ill.any():
        raise DataError("diseased and healthy cases", "one kind only", "choose another rule or other cases")
    candidates = np.unique(values)
    found = ill.sum() - np.searchsorted(np.sort(values[ill]), candidates, side="left")
    cleared = np.searchsorted(np.sort(values[~ill]), candidates, side="left")
    # In whole numbers, so that equal candidates are equal to the last bit.
    gain = found * int((~ill).sum()) + cleared * int(ill.sum())
    return _achieved(
        ill, values, float(candidates[int(np.argmax(gain))]), rule="youden", target=None, confidence=confidence
    )


def at_percentile(normals: npt.ArrayLike, *, percentile: float, confidence: float = 0.95) -> Threshold:
    """The lowest threshold that clears at least `percentile` percent of normal cases.

    Arguments: normals (n,) anomaly scores of normal validation cases; percentile in (0, 100].
    Refuses a percentile outside that range (PlanError).

    >>> at_percentile([0.1, 0.2, 0.3, 0.4], percentile=75).value
    0.4
    """
    if not 0 < percentile <= 100:
        raise PlanError("a percentile above 0 and up to 100", f"{percentile}", "give 95 for one false alarm in twenty")
    values = floats("normals", normals)
    healthy = np.zeros(values.size, dtype=np.bool_)
    value = _clearing(values, values, percentile / 100)
    return _achieved(
        healthy, values, value, rule="percentile of normal cases", target=percentile / 100, confidence=confidence
    )


def choose_threshold(
    actual: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    rule: str,
    target: float | None = None,
    confidence: float = 0.95,
) -> Threshold:
    """The threshold by the name of its rule, as a plan writes it: sensitivity, specificity, youden or percentile.

    Arguments: actual, scores (n,); target a share, needed by all rules but youden (percentile: the share of normal
        cases to be cleared, and diseased cases are not looked at).
    Refuses an unknown rule, and a target that is missing or that the rule has no use for (PlanError).

    >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], rule="sensitivity", target=1.0).value
    0.3
    """
    rules = ("sensitivity", "specificity", "youden", "percentile")
    if rule not in rules:
        raise PlanError(f"a threshold rule among {', '.join(rules)}", f"{rule!r}", "correct the name in the plan")
    if rule == "youden":
        if target is not None:
            raise PlanError("no target for the rule youden", f"{target}", "remove the target or choose another rule")
        return at_youden(actual, scores, confidence=confidence)
    if target is None:
        raise PlanError(f"a target for the rule {rule}", "none", "give a share such as 0.9")
    if rule == "percentile":
        ill, values = _columns(actual, scores)
        return at_percentile(values[~ill], percentile=100 * _target(target), confidence=confidence)
    chooser = at_sensitivity if rule == "sensitivity" else at_specificity
    return chooser(actual, scores, target=target, confidence=confidence)


def _columns(actual: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Bools, Floats]:
    ill, values = bools("actual", actual), floats("scores", scores)
    same_length(actual=ill, scores=values)
    return ill, values


def _target(target: float) -> float:
    if not 0 < target <= 1:
        raise PlanError("a target share above 0 and up to 1", f"{target}", "give 0.9 for 90 %")
    return target


def _clearing(healthy: Floats, candidates: Floats, target: float) -> float:
    """The lowest candidate that leaves enough of the healthy strictly below it."""
    if healthy.size == 0:
        raise DataError("at least one healthy case", "none", "choose the threshold on data with healthy cases")
    needed = math.ceil(_target(target) * healthy.size - _SLACK)
    above = candidates[candidates > np.sort(healthy)[needed - 1]]
    return float(above.min()) if above.size else float(np.nextafter(candidates.max(), math.inf))


def _achieved(
    ill: Bools, values: Floats, threshold: float, *, rule: str, target: float | None, confidence: float
) -> Threshold:
    found, cleared = int((values[ill] >= threshold).sum()), int((values[~ill] < threshold).sum())
    sensitivity = wilson(found, int(ill.sum()), confidence=confidence, name="sensitivity")
    specificity = wilson(cleared, int((~ill).sum()), confidence=confidence, name="specificity")
    return Threshold(threshold, rule, target, sensitivity, specificity)

"""What an attack did to missed and to false alarms at a fixed threshold, and what that costs per 1,000 patients.

The threshold is fixed on clean validation cases (`threshold`) and stays. With prevalence q among the cases tested,
    FNR shift = FNR attacked - FNR clean (over the diseased),  FPR shift likewise (over the healthy),
    harm per 1,000 = 1000 * (c_FN * q * FNR shift + c_FP * (1 - q) * FPR shift), with costs that must be stated,
    check: FNR shift * q + FPR shift * (1 - q) = accuracy drop, to rounding.
Rates have Wilson intervals, shifts Newcombe's paired interval, the tests are McNemar's, apart in diseased and healthy.
The interval of the harm combines those of the shifts by square and add, at a prevalence taken as known.
Sources: those of `proportions`, `paired_proportions` and `mcnemar`; Zou and Donner 2008 (doi 10.1002/sim.3095).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from titer.audit.statistics._checks import Bools, bools, floats, fraction, labels, same_length
from titer.audit.statistics._result import Result, interval, number, p_value
from titer.audit.statistics.bootstrap import Bootstrap, cluster_ratio
from titer.audit.statistics.mcnemar import McNemar, McNemarByDisease, mcnemar_by_disease, mcnemar_by_patient
from titer.audit.statistics.paired_proportions import PairedShift, paired_shift
from titer.audit.statistics.proportions import Rates, confusion, rates
from titer.audit.statistics.threshold import Threshold
from titer.errors import PlanError


@dataclass(frozen=True)
class Costs:
    """What one missed patient and one false alarm cost, in a unit of the reader's choice.

    Arguments: false_negative, false_positive at least 0; unit such as "QALY" or "EUR"; prevalence the share of diseased
    among the patients the 1,000 stand for, by default the share among the cases tested.
    """

    false_negative: float
    false_positive: float
    unit: str = "cost units"
    prevalence: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("false_negative", self.false_negative), ("false_positive", self.false_positive)):
            if not (math.isfinite(value) and value >= 0):
                raise PlanError(f"a cost {name} of at least 0", f"{value}", "state costs as positive numbers")
        if self.prevalence is not None:
            fraction("prevalence", self.prevalence)

    def __str__(self) -> str:
        return f"{self.false_negative:g} {self.unit} per missed patient, {self.false_positive:g} per false alarm"


@dataclass(frozen=True)
class Harm(Result):
    """Additional cost per 1,000 patients, with the additional missed patients and false alarms behind it."""

    per_1000: float
    low: float
    high: float
    missed_per_1000: float
    false_alarms_per_1000: float
    prevalence: float
    false_negative_cost: float
    false_positive_cost: float
    unit: str
    n: int
    confidence: float
    method: str = "costs times shifts at a fixed prevalence"

    def __str__(self) -> str:
        costs = f"{self.false_negative_cost:g} per missed patient, {self.false_positive_cost:g} per false alarm"
        limits = interval(self.low, self.high, self.confidence)
        return (
            f"harm {self.per_1000:+.4g} {self.unit} per 1,000 patients ({limits}; {self.missed_per_1000:+.4g} missed, "
            f"{self.false_alarms_per_1000:+.4g} false alarms; prevalence {number(self.prevalence)}; {costs}; "
            f"n = {self.n} cases, {self.method})"
        )


@dataclass(frozen=True)
class ByPatient(Result):
    """The shifts once more, allowing for several cases per patient; None where a kind of case is missing."""

    fnr_shift: Bootstrap | None
    fpr_shift: Bootstrap | None
    accuracy_drop: Bootstrap
    diseased: McNemar | None
    healthy: McNemar | None

    def __str__(self) -> str:
        parts = [str(part) for part in (self.fnr_shift, self.fpr_shift, self.accuracy_drop) if part is not None]
        return "by patient: " + "; ".join(parts)


@dataclass(frozen=True)
class ErrorShift(Result):
    """Errors before and after an attack; `identity_gap` is what the accuracy drop and the two shifts differ by."""

    threshold: float | None
    clean: Rates
    attacked: Rates
    fnr_shift: PairedShift
    fpr_shift: PairedShift
    accuracy_drop: PairedShift
    mcnemar: McNemarByDisease
    harm: Harm
    identity_gap: float
    by_patient: ByPatient | None

    def __str__(self) -> str:
        diseased, healthy = p_value(self.mcnemar.diseased.p), p_value(self.mcnemar.healthy.p)
        return f"{self.fnr_shift}, {diseased}; {self.fpr_shift}, {healthy}; {self.accuracy_drop}; {self.harm}"


def error_shift(
    actual: npt.ArrayLike,
    clean: npt.ArrayLike,
    attacked: npt.ArrayLike,
    *,
    costs: Costs,
    patients: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    threshold: float | None = None,
) -> ErrorShift:
    """Shift of missed and false alarms between clean and attacked answers on the same cases.

    Arguments: actual (n,) whether diseased; clean, attacked (n,) whether the model called the case positive; costs as
        stated by the plan; patients (n,) with rng adds intervals and tests by patient; threshold only for the record.
    Refuses columns of different length (DataError), and patients without a generator (PlanError).

    >>> result = error_shift([1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], costs=Costs(5, 1))
    >>> result.fnr_shift.shift, result.fpr_shift.shift, round(result.accuracy_drop.shift, 4)
    (0.5, 0.0, 0.3333)
    """
    ill, before, after = bools("actual", actual), bools("clean", clean), bools("attacked", attacked)
    n = same_length(actual=ill, clean=before, attacked=after)
    fnr = paired_shift(~before[ill], ~after[ill], confidence=confidence, name="FNR shift")
    fpr = paired_shift(before[~ill], after[~ill], confidence=confidence, name="FPR shift")
    drop = paired_shift(before != ill, after != ill, confidence=confidence, name="accuracy drop")
    by_patient = None
    if patients is not None:
        by_patient = _by_patient(
            ill, before, after, patients=patients, rng=rng, resamples=resamples, confidence=confidence
        )
    return ErrorShift(
        threshold=threshold,
        clean=rates(confusion(ill, before), confidence=confidence),
        attacked=rates(confusion(ill, after), confidence=confidence),
        fnr_shift=fnr,
        fpr_shift=fpr,
        accuracy_drop=drop,
        mcnemar=mcnemar_by_disease(ill, before == ill, after == ill, confidence=confidence),
        harm=_harm(fnr, fpr, costs, n),
        identity_gap=_identity_gap(fnr, fpr, drop),
        by_patient=by_patient,
    )


def error_shift_at(
    threshold: Threshold,
    actual: npt.ArrayLike,
    clean_scores: npt.ArrayLike,
    attacked_scores: npt.ArrayLike,
    *,
    costs: Costs,
    patients: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> ErrorShift:
    """`error_shift` from scores, at a threshold that was chosen on other, clean cases.

    Arguments: clean_scores, attacked_scores (n,) higher means more likely diseased; the others as in `error_shift`.
    """
    return error_shift(
        actual,
        threshold.apply(floats("clean_scores", clean_scores)),
        threshold.apply(floats("attacked_scores", attacked_scores)),
        costs=costs,
        patients=patients,
        rng=rng,
        resamples=resamples,
        confidence=confidence,
        threshold=threshold.value,
    )


def _identity_gap(fnr: PairedShift, fpr: PairedShift, drop: PairedShift) -> float:
    """Both shifts weighted with their cases, less the accuracy drop; a kind without cases has no share in it."""
    weighted = sum(part.shift * part.n for part in (fnr, fpr) if part.n) / max(1, drop.n)
    return weighted - drop.shift if drop.n else 0.0


def _harm(fnr: PairedShift, fpr: PairedShift, costs: Costs, n: int) -> Harm:
    measured = fnr.n / n if n else math.nan
    prevalence = measured if costs.prevalence is None else costs.prevalence
    missed, alarms = 1000 * prevalence, 1000 * (1 - prevalence)
    weights = (costs.false_negative * missed, costs.false_positive * alarms)
    # A kind of case that the 1,000 do not have cannot do harm, though its own shift is undefined.
    parts = [(weight, part) for weight, part in zip(weights, (fnr, fpr), strict=True) if weight]
    value = sum(weight * part.shift for weight, part in parts)
    below = math.sqrt(sum((weight * (part.shift - part.low)) ** 2 for weight, part in parts))
    above = math.sqrt(sum((weight * (part.high - part.shift)) ** 2 for weight, part in parts))
    return Harm(
        per_1000=value,
        low=value - below,
        high=value + above,
        missed_per_1000=missed * fnr.shift if missed else 0.0,
        false_alarms_per_1000=alarms * fpr.shift if alarms else 0.0,
        prevalence=prevalence,
        false_negative_cost=costs.false_negative,
        false_positive_cost=costs.false_positive,
        unit=costs.unit,
        n=n,
        confidence=fnr.confidence,
    )


def _by_patient(
    ill: Bools,
    before: Bools,
    after: Bools,
    *,
    patients: npt.ArrayLike,
    rng: np.random.Generator | None,
    resamples: int,
    confidence: float,
) -> ByPatient:
    if rng is None:
        raise PlanError("a random generator beside `patients`", "none", "pass rng=numpy.random.default_rng(seed)")
    names = labels("patients", patients)
    same_length(actual=ill, patients=names)
    worse = (after != ill).astype(float) - (before != ill)

    def shift(chosen: Bools, name: str) -> Bootstrap | None:
        if not chosen.any():
            return None
        return cluster_ratio(
            worse * chosen, chosen, patients=names, rng=rng, resamples=resamples, confidence=confidence, name=name
        )

    def test(chosen: Bools) -> McNemar | None:
        if not chosen.any():
            return None
        right = (before == ill)[chosen], (after == ill)[chosen]
        return mcnemar_by_patient(*right, patients=names[chosen], confidence=confidence)

    fnr, fpr = shift(ill, "FNR shift"), shift(~ill, "FPR shift")
    drop = cluster_ratio(
        worse, patients=names, rng=rng, resamples=resamples, confidence=confidence, name="accuracy drop"
    )
    return ByPatient(fnr, fpr, drop, test(ill), test(~ill))

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.audit.statistics.error_shift import Costs, error_shift, error_shift_at
from titer.audit.statistics.threshold import at_sensitivity
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=60)
CASES = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=80)
COSTS = Costs(false_negative=10, false_positive=1, unit="points")


def columns(cases):
    return tuple(np.array(column) for column in zip(*cases, strict=True))


@LAW
@given(CASES)
def test_shifts_weighted_with_prevalence_are_the_accuracy_drop(cases):
    actual, clean, attacked = columns(cases)
    result = error_shift(actual, clean, attacked, costs=COSTS)
    assert abs(result.identity_gap) < 1e-12
    drop = np.mean(clean == actual) - np.mean(attacked == actual)
    assert result.accuracy_drop.shift == pytest.approx(drop, abs=1e-12)
    if actual.any() and not actual.all():
        q = actual.mean()
        assert result.fnr_shift.shift * q + result.fpr_shift.shift * (1 - q) == pytest.approx(drop, abs=1e-12)


@LAW
@given(CASES)
def test_an_attack_on_positives_only_leaves_the_fpr_bit_identical(cases):
    actual, clean, attacked = columns(cases)
    attacked = np.where(actual, attacked, clean)
    result = error_shift(actual, clean, attacked, costs=COSTS)
    assert result.attacked.fpr == result.clean.fpr or not (~actual).any()
    if (~actual).any():
        assert result.fpr_shift.shift == 0.0
        assert result.mcnemar.healthy.p == 1.0
        assert result.harm.false_alarms_per_1000 == 0.0


@LAW
@given(CASES)
def test_going_back_takes_the_harm_back(cases):
    actual, clean, attacked = columns(cases)
    there = error_shift(actual, clean, attacked, costs=COSTS)
    back = error_shift(actual, attacked, clean, costs=COSTS)
    assert there.harm.per_1000 == pytest.approx(-back.harm.per_1000, abs=1e-9)
    assert (there.harm.low, there.harm.high) == pytest.approx((-back.harm.high, -back.harm.low), abs=1e-9)


def test_harm_by_hand():
    """40 of 200 diseased newly missed, 30 of 800 healthy newly alarmed: 40 * 10 + 30 * 1 in 1,000 patients."""
    actual = np.arange(1000) < 200
    clean = actual.copy()
    attacked = clean.copy()
    attacked[:40] = False
    attacked[200:230] = True
    result = error_shift(actual, clean, attacked, costs=COSTS)
    assert (result.clean.confusion.tp, result.attacked.confusion.fn, result.attacked.confusion.fp) == (200, 40, 30)
    assert result.harm.missed_per_1000 == pytest.approx(40)
    assert result.harm.false_alarms_per_1000 == pytest.approx(30)
    assert result.harm.per_1000 == pytest.approx(430)
    elsewhere = error_shift(actual, clean, attacked, costs=Costs(10, 1, prevalence=0.05))
    assert elsewhere.harm.per_1000 == pytest.approx(1000 * (0.05 * 0.2 * 10 + 0.95 * 30 / 800))
    assert elsewhere.harm.low < elsewhere.harm.per_1000 < elsewhere.harm.high


def test_harm_that_costs_only_missed_patients_is_the_fnr_shift():
    actual = np.arange(40) < 20
    attacked = actual & (np.arange(40) > 4)
    result = error_shift(actual, actual, attacked, costs=Costs(1, 0))
    assert result.harm.per_1000 == pytest.approx(500 * result.fnr_shift.shift)
    assert (result.harm.low, result.harm.high) == pytest.approx(
        (500 * result.fnr_shift.low, 500 * result.fnr_shift.high)
    )


def test_threshold_from_clean_validation_cases_is_applied_to_both(rng):
    actual = rng.random(300) < 0.5
    clean = actual + rng.normal(size=300)
    attacked = clean - 0.8 * actual
    threshold = at_sensitivity(actual[:100], clean[:100], target=0.9)
    result = error_shift_at(threshold, actual[100:], clean[100:], attacked[100:], costs=COSTS)
    by_hand = error_shift(
        actual[100:],
        clean[100:] >= threshold.value,
        attacked[100:] >= threshold.value,
        costs=COSTS,
        threshold=threshold.value,
    )
    assert result == by_hand
    assert result.threshold == threshold.value
    assert result.fpr_shift.shift == 0.0 < result.fnr_shift.shift


def test_by_patient(rng):
    patients = np.repeat(np.arange(50), 4)
    actual = np.repeat(rng.random(50) < 0.5, 4)
    clean = actual ^ (rng.random(200) < 0.1)
    fooled = np.repeat(rng.random(50) < 0.3, 4)
    attacked = clean ^ fooled
    result = error_shift(actual, clean, attacked, costs=COSTS, patients=patients, rng=rng)
    inner = result.by_patient
    assert inner.fnr_shift.value == pytest.approx(result.fnr_shift.shift)
    assert inner.fpr_shift.value == pytest.approx(result.fpr_shift.shift)
    assert inner.accuracy_drop.value == pytest.approx(result.accuracy_drop.shift)
    assert inner.fnr_shift.patients == 50
    # Whole patients are fooled, so the cases alone pretend to too much.
    width = result.fnr_shift.high - result.fnr_shift.low
    assert inner.fnr_shift.high - inner.fnr_shift.low > 1.4 * width
    assert inner.diseased.p > result.mcnemar.diseased.p
    assert str(inner).startswith("by patient: FNR shift")


def test_one_kind_of_case_only(rng):
    result = error_shift([1, 1, 1], [1, 1, 1], [0, 1, 1], costs=COSTS, patients=[1, 2, 3], rng=rng)
    assert result.to_dict()["fpr_shift"]["shift"] is None
    assert result.by_patient.fpr_shift is None
    assert result.by_patient.healthy is None
    assert result.harm.per_1000 == pytest.approx(10_000 / 3)
    assert result.identity_gap == 0.0


def test_sentence_and_costs():
    text = str(error_shift([1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], costs=COSTS))
    for part in ("FNR shift +0.5", "FPR shift +0", "accuracy drop +0.25", "points per 1,000 patients", "10 per missed"):
        assert part in text
    assert str(COSTS) == "10 points per missed patient, 1 per false alarm"


def test_refusals(rng):
    with pytest.raises(PlanError, match="false_negative of at least 0"):
        Costs(-1, 1)
    with pytest.raises(PlanError, match="prevalence strictly between"):
        Costs(1, 1, prevalence=5)
    with pytest.raises(PlanError, match="a random generator beside `patients`"):
        error_shift([1, 0], [1, 0], [1, 0], costs=COSTS, patients=[1, 2])
    with pytest.raises(DataError, match="1 of attacked"):
        error_shift([1, 0], [1, 0], [1], costs=COSTS)
    threshold = at_sensitivity([0, 1], [0.1, 0.9], target=0.9)
    threshold = at_sensitivity([0, 1], [0.1, 0.9], target=0.9)
    with pytest.raises(DataError, match="finite attacked_scores"):
        error_shift_at(threshold, [0, 1], [0.1, 0.9], [np.nan, 1], costs=COSTS)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from titer.audit.statistics.mcnemar import mcnemar, mcnemar_by_disease, mcnemar_by_patient, mcnemar_counts
from titer.audit.statistics.sign_flip import sign_flip
from titer.errors import DataError

LAW = settings(deadline=None, max_examples=60)
COUNT = st.integers(0, 300)
ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 6)), min_size=2, max_size=60)


@LAW
@given(COUNT, COUNT)
def test_symmetric_and_equal_to_other_libraries(b, c):
    result, mirror = mcnemar_counts(b, c), mcnemar_counts(c, b)
    assert result.p == mirror.p
    assert 0 < result.p <= 1
    if b + c:
        assert result.p == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-9)
        assert result.p == pytest.approx(statsmodels_mcnemar([[0, b], [c, 0]], exact=True).pvalue, rel=1e-9)
        low, high = binomtest(b, b + c).proportion_ci(0.95, method="exact")
        assert (result.low, result.high) == pytest.approx((low, high), abs=1e-9)
        assert (result.low, result.high) == pytest.approx((1 - mirror.high, 1 - mirror.low), abs=1e-9)


# R 4.2.2: binom.test(25, 34)
def test_agrees_with_r():
    result = mcnemar_counts(25, 9)
    assert result.p == pytest.approx(0.009041185, rel=1e-6)
    assert (result.low, result.high) == pytest.approx((0.5563846317, 0.8711826084), rel=1e-9)


@LAW
@given(ANSWERS)
def test_one_case_per_patient_is_mcnemar(answers):
    first, second, _ = zip(*answers, strict=True)
    by_case = mcnemar(first, second)
    by_patient = mcnemar_by_patient(first, second, patients=np.arange(len(first)))
    assert by_patient.p == pytest.approx(by_case.p, rel=1e-12)
    assert (by_patient.b, by_patient.c, by_patient.n) == (by_case.b, by_case.c, by_case.n)


@LAW
@given(ANSWERS)
def test_by_patient_is_the_sign_flip_of_net_changes(answers):
    first, second, patients = (np.array(column) for column in zip(*answers, strict=True))
    net = np.array([first[patients == one].sum() - second[patients == one].sum() for one in range(7)], dtype=float)
    ours = mcnemar_by_patient(first, second, patients=patients)
    assert ours.p == pytest.approx(sign_flip(net, np.zeros(7)).p)


def test_patients_with_many_alike_cases_weigh_less_than_their_cases():
    first, second = np.ones(40, dtype=bool), np.zeros(40, dtype=bool)
    assert mcnemar(first, second).p < 1e-11
    assert mcnemar_by_patient(first, second, patients=np.arange(40) // 10).p == 0.125


def test_thousands_of_patients_need_no_random_numbers(rng):
    first, second = rng.random(20_000) < 0.9, rng.random(20_000) < 0.89
    patients = rng.integers(5000, size=20_000)
    assert 0 < mcnemar_by_patient(first, second, patients=patients).p < 1


def test_diseased_and_healthy_are_tested_apart():
    actual = np.array([1, 1, 1, 0, 0, 0])
    first, second = np.array([1, 1, 1, 1, 0, 1]), np.array([0, 0, 1, 1, 1, 1])
    result = mcnemar_by_disease(actual, first, second)
    assert (result.diseased.b, result.diseased.c, result.diseased.n) == (2, 0, 3)
    assert (result.healthy.b, result.healthy.c, result.healthy.n) == (0, 1, 3)
    assert "diseased:" in str(result)


def test_nothing_changed_is_no_evidence():
    result = mcnemar([1, 0, 1], [1, 0, 1])
    assert result.p == 1.0
    assert math.isnan(result.share)
    assert "no case changed" in str(result)


def test_refusals():
    with pytest.raises(DataError, match="b=-1"):
        mcnemar_counts(-1, 3)
    with pytest.raises(DataError, match="n=3"):
        mcnemar_counts(2, 3, n=3)
    with pytest.raises(DataError, match="booleans or 0 and 1"):
        mcnemar([0.5, 1], [1, 1])
    with pytest.raises(DataError, match="2 of first, 1 of second"):
        mcnemar([0, 1], [1])

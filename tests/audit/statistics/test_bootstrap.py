from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap

from titer.audit.statistics import bootstrap
from titer.audit.statistics.bootstrap import cluster_bootstrap, cluster_ratio
from titer.errors import DataError, PlanError

SEED = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=30)
@given(SEED, st.integers(3, 40))
def test_one_case_per_patient_is_the_ordinary_bootstrap(seed, n):
    """Bit for bit: the same generator draws the same rows as a plain loop over resampled cases."""
    values = np.random.default_rng(seed).normal(size=n)
    ours = cluster_bootstrap(np.mean, [values], patients=np.arange(n), rng=np.random.default_rng(seed), resamples=200)
    picked = np.random.default_rng(seed).integers(n, size=(200, n), dtype=np.int32)
    draws = np.array([np.mean(values[rows]) for rows in picked])
    assert (ours.low, ours.high) == tuple(np.quantile(draws, [(1 - 0.95) / 2, (1 + 0.95) / 2]))
    assert ours.se == draws.std(ddof=1)


@settings(deadline=None, max_examples=30)
@given(SEED, st.integers(2, 30), st.integers(1, 4))
def test_order_of_cases_and_names_of_patients_do_not_matter(seed, count, cases):
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(count), cases)
    values = np.round(rng.normal(size=patients.size), 3)
    order = rng.permutation(patients.size)
    names = np.array([f"p{place:03d}" for place in range(count)])
    one = cluster_ratio(values, patients=patients, rng=np.random.default_rng(1), resamples=150)
    two = cluster_ratio(values[order], patients=names[patients][order], rng=np.random.default_rng(1), resamples=150)
    assert (one.low, one.high, one.se) == pytest.approx((two.low, two.high, two.se), rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(SEED, st.floats(-50, 50), st.floats(0.1, 20))
def test_interval_moves_and_stretches_with_the_data(seed, shift, stretch):
    values = np.random.default_rng(seed).normal(size=30)
    patients = np.arange(30) // 2
    plain = cluster_ratio(values, patients=patients, rng=np.random.default_rng(3), resamples=200)
    moved = cluster_ratio(stretch * values + shift, patients=patients, rng=np.random.default_rng(3), resamples=200)
    assert moved.low == pytest.approx(stretch * plain.low + shift, abs=1e-6)
    assert moved.high == pytest.approx(stretch * plain.high + shift, abs=1e-6)


def test_bca_limits_agree_with_scipy(rng):
    values = rng.exponential(size=40)
    ours = cluster_ratio(values, patients=np.arange(40), rng=rng, resamples=40_000)
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=40_000, method="BCa", rng=rng)
    low, high = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    assert ours.se == pytest.approx(theirs.standard_error, rel=0.03)


def test_bca_limits_of_shares_agree_with_scipy(rng):
    """Many resamples equal the estimate exactly; they count half to either side."""
    correct = np.arange(50) < 34
    ours = cluster_ratio(correct, patients=np.arange(50), rng=rng, resamples=40_000)
    theirs = scipy_bootstrap((correct.astype(float),), np.mean, n_resamples=40_000, method="BCa", rng=rng)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-9)


def test_drawing_kinds_of_patients_is_drawing_patients(rng, monkeypatch):
    """The short cut for patients with equal sums has the same distribution as the draw itself."""
    correct = rng.random(400) < 0.8
    patients = np.arange(400) // 2
    quick = cluster_ratio(correct, patients=patients, rng=rng, resamples=20_000)
    unequal = correct + 1e-9 * rng.random(400)
    slow = cluster_ratio(unequal, patients=patients, rng=rng, resamples=20_000)
    assert quick.se == pytest.approx(slow.se, rel=0.03)
    assert (quick.low, quick.high) == pytest.approx((slow.low, slow.high), abs=0.006)


def test_memory_blocks_do_not_change_the_draws(rng, monkeypatch):
    values, patients = rng.normal(size=60), np.arange(60) // 2
    whole = cluster_ratio(values, patients=patients, rng=np.random.default_rng(9))
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 100)
    assert cluster_ratio(values, patients=patients, rng=np.random.default_rng(9)) == whole


def test_cases_of_one_patient_count_as_one(rng):
    """Copying every case changes nothing; taking the copies for new patients would halve the variance."""
    values = rng.normal(size=50)
    once = cluster_ratio(values, patients=np.arange(50), rng=np.random.default_rng(2))
    copied = cluster_ratio(np.tile(values, 4), patients=np.tile(np.arange(50), 4), rng=np.random.default_rng(2))
    assert (once.low, once.high, once.se) == pytest.approx((copied.low, copied.high, copied.se))
    assert copied.n == 200
    assert copied.patients == 50


def test_ratio_and_general_form_agree(rng):
    patients = rng.integers(60, size=300)
    ill, found = rng.random(300) < 0.4, rng.random(300) < 0.7
    ratio = cluster_ratio(found & ill, ill, patients=patients, rng=rng, resamples=8000, name="sensitivity")
    general = cluster_bootstrap(lambda f, d: f[d].mean(), [found, ill], patients=patients, rng=rng, resamples=8000)
    assert ratio.value == general.value == found[ill].mean()
    assert ratio.se == pytest.approx(general.se, rel=0.05)


def test_resamples_without_the_number_are_counted(rng):
    ill = np.zeros(6, dtype=bool)
    ill[0] = True
    result = cluster_ratio(ill, ill, patients=np.arange(6), rng=rng, name="sensitivity")
    # A patient is missed by a resample of six with probability (5/6)^6, which is 0.335.
    assert result.undefined / result.resamples == pytest.approx(0.335, abs=0.04)
    assert "few patients" in str(result)


def test_constant_outcome_has_an_interval_of_one_point(rng):
    result = cluster_ratio(np.ones(40), patients=np.arange(40), rng=rng)
    assert (result.value, result.low, result.high, result.se) == (1.0, 1.0, 1.0, 0.0)


def test_refusals(rng):
    with pytest.raises(DataError, match="at least two patients"):
        cluster_ratio([1, 0, 1], patients=["a", "a", "a"], rng=rng)
    with pytest.raises(DataError, match="does not sum to zero"):
        cluster_ratio([0, 0], [0, 0], patients=["a", "b"], rng=rng)
    with pytest.raises(DataError, match="2 of patients, 3 of column 1"):
        cluster_ratio([1, 0, 1], patients=["a", "b"], rng=rng)
    with pytest.raises(DataError, match="nan at position 1"):
        cluster_ratio([1, np.nan], patients=["a", "b"], rng=rng)
    with pytest.raises(DataError, match="exists in most resamples"):
        cluster_bootstrap(lambda _: float("nan"), [[1, 2]], patients=["a", "b"], rng=rng)
    with pytest.raises(PlanError, match="at least 100"):
        cluster_ratio([1, 0], patients=["a", "b"], rng=rng, resamples=10)

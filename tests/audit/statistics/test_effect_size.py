from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pingouin import compute_effsize
from scipy.stats import nct

from titer.audit.statistics.effect_size import effect_sizes, hedges_factor
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=40)
POINTS = st.integers(-400, 400).map(lambda tenths: tenths / 8)
TRIALS = st.lists(st.tuples(POINTS, POINTS), min_size=3, max_size=12)


def sizes(first, second, **options):
    return effect_sizes(first, second, rng=np.random.default_rng(0), resamples=200, **options)


@LAW
@given(TRIALS, st.integers(1, 20))
def test_standardized_sizes_have_no_unit_and_turn_with_the_columns(trials, unit):
    first, second = (np.array(column) for column in zip(*trials, strict=True))
    plain, scaled, turned = sizes(first, second), sizes(unit * first, unit * second), sizes(second, first)
    assert scaled.points.value == pytest.approx(unit * plain.points.value)
    for name in ("d_z", "d_av", "g_z"):
        one, two, three = (getattr(result, name) for result in (plain, scaled, turned))
        assert two.value == pytest.approx(one.value, nan_ok=True)
        assert three.value == pytest.approx(-one.value, nan_ok=True)
        assert (three.low, three.high) == pytest.approx((-one.high, -one.low), nan_ok=True, rel=1e-6)


@LAW
@given(TRIALS)
def test_exact_interval_inverts_the_noncentral_t(trials):
    first, second = (np.array(column) for column in zip(*trials, strict=True))
    result = sizes(first, second)
    exact, n = result.d_z_exact, first.size
    if np.isnan(exact.value) or abs(exact.value) > 50:
        return
    assert exact.low < exact.value < exact.high
    t = exact.value * np.sqrt(n)
    assert nct.cdf(t, n - 1, exact.low * np.sqrt(n)) == pytest.approx(0.975, abs=1e-6)
    assert nct.cdf(t, n - 1, exact.high * np.sqrt(n)) == pytest.approx(0.025, abs=1e-6)
    assert result.g_z_exact.low == pytest.approx(hedges_factor(n - 1) * exact.low)


# R 4.2.2: for (p in c(.975, .025)) uniroot(function(d) pt(12.374473, 4, d) - p, c(-5, 60), tol = 1e-12)$root / sqrt(5)
def test_exact_interval_agrees_with_r(defences):
    exact = sizes(defences["AT"], defences["GM"]).d_z_exact
    assert (exact.low, exact.high) == pytest.approx((1.797350074, 9.324137208), rel=1e-7)


@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-6])
def test_enormous_effects_have_an_interval_too(spread):
    change = 52 + spread * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    exact = sizes(change, np.zeros(5)).d_z_exact
    # Far out the interval is that of the standard deviation alone: sd * sqrt(df / chi2) with df = 4.
    ratios = exact.low / exact.value, exact.high / exact.value
    assert ratios == pytest.approx((np.sqrt(0.48441856 / 4), np.sqrt(11.14328678 / 4)), rel=2e-3)


def test_sizes_by_their_definition_and_by_pingouin(rng):
    first, second = rng.normal(1, 2, size=9), rng.normal(size=9)
    result, change = sizes(first, second), first - second
    assert result.d_z.value == pytest.approx(change.mean() / change.std(ddof=1))
    assert result.d_z.value == pytest.approx(compute_effsize(change, 0.0, eftype="cohen"))
    # With equal deviations the mean deviation and the root mean square, which pingouin takes, are the same.
    mirrored = first.mean() - (first - first.mean()) * np.where(np.arange(9) % 2, 1, -1)
    mirrored = (mirrored - mirrored.mean()) / mirrored.std(ddof=1) * first.std(ddof=1) + 5
    same = sizes(first, mirrored)
    assert same.d_av.value == pytest.approx(compute_effsize(first, mirrored, paired=True, eftype="cohen"))


def test_bootstrap_interval_of_the_points_is_that_of_the_mean(rng):
    first, second = rng.normal(3, 1, size=40), rng.normal(size=40)
    result = effect_sizes(first, second, rng=rng, resamples=20_000).points
    se = (first - second).std(ddof=0) / np.sqrt(40)
    assert (result.low, result.high) == pytest.approx((result.value - 1.96 * se, result.value + 1.96 * se), abs=0.05)


def test_identical_differences_have_points_only():
    result = sizes([0.3, 0.5, 0.9], [0.1, 0.3, 0.7])
    assert result.points.value == pytest.approx(0.2)
    assert np.isnan([result.d_z.value, result.d_av.value, result.g_z_exact.low]).all()
    assert "d_z undefined" in str(result)


def test_points_come_first_in_the_sentence(defences):
    assert str(sizes(defences["AT"], defences["GM"])).startswith("difference 6.1 (95 % CI")


def test_refusals(rng):
    with pytest.raises(DataError, match="at least 2 values"):
        sizes([1.0], [2.0])
    with pytest.raises(DataError, match="2 of first, 3 of second"):
        sizes([1.0, 2], [1.0, 2, 3])
    with pytest.raises(PlanError, match="at least 100"):
        effect_sizes([1.0, 2], [1.0, 3], rng=rng, resamples=5)

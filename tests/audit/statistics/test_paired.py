from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_rel
from statsmodels.stats.weightstats import DescrStatsW

from titer.audit.statistics.paired import paired_t
from titer.audit.statistics.sign_flip import sign_flip
from titer.audit.statistics.wilcoxon import wilcoxon
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=60)
POINTS = st.integers(-400, 400).map(lambda tenths: tenths / 8)
TRIALS = st.lists(st.tuples(POINTS, POINTS), min_size=2, max_size=12)


def columns(trials: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    first, second = zip(*trials, strict=True)
    return np.array(first), np.array(second)


@LAW
@given(TRIALS)
def test_exchanging_the_columns_turns_the_sign_only(trials):
    first, second = columns(trials)
    for test in (paired_t, sign_flip, wilcoxon):
        there, back = test(first, second), test(second, first)
        assert there.difference == pytest.approx(-back.difference)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), nan_ok=True)
        assert there.p == pytest.approx(back.p, nan_ok=True)


@LAW
@given(TRIALS, POINTS, st.integers(1, 50))
def test_unit_and_origin_do_not_matter(trials, shift, unit):
    first, second = columns(trials)
    for test in (paired_t, sign_flip, wilcoxon):
        plain, moved = test(first, second), test(unit * (first + shift), unit * (second + shift))
        assert moved.p == pytest.approx(plain.p, rel=1e-6, nan_ok=True)
        assert moved.difference == pytest.approx(unit * plain.difference, abs=1e-9)


@LAW
@given(TRIALS)
def test_paired_t_agrees_with_scipy_and_statsmodels(trials):
    first, second = columns(trials)
    ours = paired_t(first, second)
    if np.ptp(first - second) == 0:
        assert np.isnan([ours.t, ours.p, ours.low, ours.high]).all()
        assert "identical" in str(ours)
        return
    theirs = ttest_rel(first, second)
    assert (ours.t, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)
    assert (ours.low, ours.high) == pytest.approx(DescrStatsW(first - second).tconfint_mean(), rel=1e-9, abs=1e-9)


@LAW
@given(TRIALS)
def test_sign_flip_agrees_with_scipy(trials):
    first, second = columns(trials)
    theirs = permutation_test((first, second), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples")
    ours = sign_flip(first, second)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.p >= ours.smallest_p - 1e-12
    assert ours.patterns == 2**first.size


@LAW
@given(TRIALS)
def test_p_and_interval_of_sign_flips_say_the_same(trials):
    first, second = columns(trials)
    result = sign_flip(first, second)
    assert result.reachable == (result.smallest_p <= 0.05)
    slack = 1e-9
    if result.p <= 0.05:
        assert result.low > -slack or result.high < slack
    if result.low > slack or result.high < -slack:
        assert result.p <= 0.05


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("test", "n"), [(sign_flip, 8), (sign_flip, 11), (wilcoxon, 8), (wilcoxon, 11)])
def test_limits_are_where_the_test_would_just_not_reject(test, n, seed):
    change = np.random.default_rng(seed).normal(0.5, 1, size=n)
    result = test(change, np.zeros(n))
    for inside, outside in ((result.low + 1e-7, result.low - 1e-7), (result.high - 1e-7, result.high + 1e-7)):
        assert test(change, np.full(n, inside)).p > 0.05 >= test(change, np.full(n, outside)).p


@pytest.mark.parametrize(("n", "reachable"), [(4, False), (5, False), (6, True)])
def test_how_many_trials_reach_five_percent(n, reachable):
    result = sign_flip(np.arange(1.0, n + 1), np.zeros(n))
    assert result.p == result.smallest_p == 2.0 ** (1 - n)
    assert result.reachable is reachable


def test_a_trial_without_difference_counts_for_neither_side():
    result = sign_flip([1.0, 2, 3, 4, 5, 0], np.zeros(6))
    assert result.p == result.smallest_p == 0.0625
    assert not result.reachable
    assert sign_flip([1.0, 2], [1.0, 2]).p == 1.0


def test_random_patterns_agree_with_all_patterns(rng, monkeypatch):
    first, second = rng.normal(0.5, 1, size=14), np.zeros(14)
    exact = sign_flip(first, second)
    monkeypatch.setattr("titer.audit.statistics.sign_flip.EXACT_UP_TO", 10)
    drawn = sign_flip(first, second, rng=rng, draws=50_000)
    assert drawn.p == pytest.approx(exact.p, rel=0.15)
    assert (drawn.low, drawn.high) == pytest.approx((exact.low, exact.high), abs=0.03)
    assert "random" in drawn.method


def test_more_than_sixteen_trials_need_a_generator(rng):
    with pytest.raises(PlanError, match="a random generator for more than 16 trials"):
        sign_flip(np.arange(17.0), np.zeros(17))
    with pytest.raises(PlanError, match="at least 1000 random patterns"):
        sign_flip(np.arange(17.0), np.zeros(17), rng=rng, draws=10)
    assert sign_flip(np.arange(17.0), np.zeros(17), rng=rng).p == pytest.approx(1 / 20_001, rel=2)


# R 4.2.2: wilcox.test(x, y, paired = TRUE, conf.int = TRUE); the third pair has 12 trials without ties
def test_wilcoxon_agrees_with_r():
    x = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    result = wilcoxon(x, y)
    assert result.p == pytest.approx(0.0390625)
    assert result.statistic == 45 - 40
    assert (result.difference, result.low, result.high) == pytest.approx((0.46, 0.010, 0.786))
    x = [12.1, 9.7, 11.3, 10.8, 13.5, 9.9, 12.7, 11.9, 10.2, 12.2, 14.1, 8.7]
    y = [11.0, 9.9, 10.1, 10.95, 11.8, 9.1, 12.2, 12.6, 9.3, 10.6, 12.0, 8.4]
    result = wilcoxon(x, y)
    assert (result.p, result.statistic) == (pytest.approx(0.01220703, rel=1e-6), 78 - 70)
    assert (result.difference, result.low, result.high) == pytest.approx((0.7625, 0.175, 1.350))


@LAW
@given(TRIALS)
def test_wilcoxon_is_the_sign_flip_of_its_own_ranks(trials):
    """With ties as well, where other libraries approximate: the exact p is that of flipping the signed ranks."""
    first, second = columns(trials)
    change = first - second
    moved = change[change != 0]
    if moved.size < 2:
        return
    from scipy.stats import rankdata

    signed = np.sign(moved) * rankdata(np.abs(moved))
    assert wilcoxon(first, second).p == pytest.approx(sign_flip(signed, np.zeros(signed.size)).p)


def test_decimals_that_are_equal_on_paper_are_ties():
    assert wilcoxon([0.3, 0.5, 0.9], [0.1, 0.3, 0.7]).p == wilcoxon([3, 5, 9], [1, 3, 7]).p == 0.25
    assert np.isnan(paired_t([0.3, 0.5, 0.9], [0.1, 0.3, 0.7]).t)


def test_many_trials_use_the_normal_approximation(rng):
    from scipy.stats import wilcoxon as theirs

    first, second = rng.normal(0.3, 1, size=150), rng.normal(size=150)
    ours = wilcoxon(first, second)
    assert ours.p == pytest.approx(theirs(first, second, method="approx").pvalue)
    assert ours.low < ours.difference < ours.high
    assert "approximation" in ours.method


def test_no_difference_at_all_is_no_evidence():
    assert wilcoxon([1.0, 2, 3], [1.0, 2, 3]).p == 1.0


@pytest.mark.parametrize("test", [paired_t, sign_flip, wilcoxon])
def test_refuses_what_cannot_be_paired(test):
    with pytest.raises(DataError, match="2 of first, 3 of second"):
        test([1.0, 2], [1.0, 2, 3])
    with pytest.raises(DataError, match="at least 2 values of first"):
        test([1.0], [2.0])
    with pytest.raises(DataError, match="finite second"):
        test([1.0, 2], [1.0, np.inf])
    with pytest.raises(DataError, match="one-dimensional"):
        test([[1.0, 2]], [[1.0, 2]])
    with pytest.raises(PlanError):
        test([1.0, 2], [1.0, 3], confidence=0)

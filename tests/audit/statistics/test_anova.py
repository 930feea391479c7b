from __future__ import annotations

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway
from statsmodels.stats.anova import AnovaRM

from titer.audit.statistics.anova import one_way, one_way_from_summary, repeated_measures, welch
from titer.audit.statistics.paired import paired_t
from titer.errors import DataError

LAW = settings(deadline=None, max_examples=40)
SHAPES = st.tuples(st.integers(2, 8), st.integers(2, 5), st.integers(0, 2**32 - 1))


def outcomes(table: np.ndarray) -> dict[str, np.ndarray]:
    return {f"m{place}": column for place, column in enumerate(table.T)}


def draw(shape: tuple[int, int, int]) -> np.ndarray:
    n, k, seed = shape
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, k)) + rng.normal(0, 2, size=(n, 1)) + np.arange(k) / 2


def long(table: np.ndarray) -> pd.DataFrame:
    n, k = table.shape
    cells = {"y": table.ravel(), "trial": np.repeat(np.arange(n), k), "method": np.tile(np.arange(k), n)}
    return pd.DataFrame(cells)


@LAW
@given(SHAPES)
def test_agrees_with_scipy_and_statsmodels(shape):
    table = draw(shape)
    ours, theirs = one_way(outcomes(table)), f_oneway(*table.T)
    assert (ours.f, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-7)
    blocked = repeated_measures(outcomes(table))
    reference = AnovaRM(long(table), "y", "trial", within=["method"]).fit().anova_table.iloc[0]
    assert blocked.f == pytest.approx(reference["F Value"], rel=1e-6)
    assert blocked.p == pytest.approx(reference["Pr > F"], rel=1e-6)
    assert (blocked.df_between, blocked.df_error) == (reference["Num DF"], reference["Den DF"])


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_pingouin(seed):
    table = draw((6, 4, seed))
    reference = pingouin.rm_anova(long(table), dv="y", within="method", subject="trial", correction=True).iloc[0]
    ours = repeated_measures(outcomes(table))
    assert ours.epsilon == pytest.approx(reference["eps"], rel=1e-6)
    assert ours.p_corrected == pytest.approx(reference["p_GG_corr"], rel=1e-5)
    partial = pingouin.rm_anova(long(table), dv="y", within="method", subject="trial", effsize="np2").iloc[0]
    assert ours.eta_squared == pytest.approx(partial["np2"], rel=1e-6)
    uneven = {name: column[: 6 - place] for place, (name, column) in enumerate(outcomes(table).items())}
    rows = pd.concat([pd.DataFrame({"y": column, "method": name}) for name, column in uneven.items()])
    reference = pingouin.welch_anova(rows, dv="y", between="method").iloc[0]
    ours = welch(uneven)
    assert (ours.f, ours.df_error) == pytest.approx((reference["F"], reference["ddof2"]), rel=1e-9)


# R 4.2.2: oneway.test(y ~ m, d); uniroot(function(d) pf(29.31916, 3, 16, d) - p, c(0, 300))$root as l, l/(l + 20)
def test_agrees_with_r(defences):
    result = welch(defences)
    assert (result.f, result.df_error, result.p) == pytest.approx((26.053516, 8.8841332, 9.745821e-05), rel=1e-6)
    result = one_way(defences)
    assert (result.low, result.high) == pytest.approx((0.59329164, 0.8945763407), rel=1e-7)
    assert result.eta_squared == pytest.approx(144.756 / (144.756 + 26.332), rel=1e-5)


@LAW
@given(SHAPES, st.integers(1, 30), st.integers(-99, 99))
def test_unit_origin_and_order_of_methods_do_not_matter(shape, unit, shift):
    table = draw(shape)
    moved = outcomes((unit * table + shift)[:, ::-1])
    for analysis in (one_way, repeated_measures, welch):
        plain, other = analysis(outcomes(table)), analysis(moved)
        assert (other.f, other.p) == (pytest.approx(plain.f, rel=1e-6), pytest.approx(plain.p, rel=1e-6))
        assert (other.low, other.high) == pytest.approx((plain.low, plain.high), rel=1e-4, abs=1e-6)


@LAW
@given(SHAPES)
def test_luck_shared_by_a_trial_leaves_the_blocked_analysis_alone(shape):
    table = draw(shape)
    lucky = table + 10 * np.arange(len(table))[:, None]
    assert repeated_measures(outcomes(lucky)).f == pytest.approx(repeated_measures(outcomes(table)).f, rel=1e-6)
    if len(table) > 2:
        assert one_way(outcomes(lucky)).f < one_way(outcomes(table)).f + 1e-9


@LAW
@given(SHAPES)
def test_two_methods_are_the_paired_t_squared(shape):
    table = draw((shape[0], 2, shape[2]))
    blocked, t = repeated_measures(outcomes(table)), paired_t(table[:, 0], table[:, 1])
    assert (blocked.f, blocked.p) == pytest.approx((t.t**2, t.p), rel=1e-6)
    assert blocked.epsilon == pytest.approx(1)


@LAW
@given(SHAPES)
def test_interval_of_the_size_is_ordered_and_within_one(shape):
    for analysis in (one_way, repeated_measures):
        result = analysis(outcomes(draw(shape)))
        assert 0 <= result.low <= result.high < 1
        assert 1 / (shape[1] - 1) - 1e-9 <= (result.epsilon or 1) <= 1


def test_summary_and_data_agree(defences):
    means, sds = [v.mean() for v in defences.values()], [v.std(ddof=1) for v in defences.values()]
    assert one_way_from_summary(means, sds, 5).f == pytest.approx(one_way(defences).f)
    assert one_way_from_summary(means, sds, [5] * 4).p == pytest.approx(one_way(defences).p)


def test_trials_that_do_not_vary_have_no_f():
    for analysis in (one_way, repeated_measures):
        result = analysis({"A": [0.3, 0.3], "B": [0.1, 0.1]})
        assert np.isnan(result.f)
        assert "undefined" in str(result)
        assert result.to_dict()["p"] is None
    assert np.isnan(repeated_measures({"A": [0.3, 0.5, 0.9], "B": [0.1, 0.3, 0.7]}).f)
    with pytest.raises(DataError, match=r"all trials of 'A' equal 0\.3"):
        welch({"A": [0.3, 0.3], "B": [0.1, 0.2]})


@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-5, 1e-7])
def test_enormous_effects_have_an_interval_too(spread):
    """The noncentral F is not asked beyond its reach; the interval closes in on 1."""
    noise = spread * np.array([-1.0, 0.5, 0.2, 0.3])
    result = repeated_measures({"A": 90 + noise, "B": 40 - noise, "C": 60 + noise[::-1]})
    assert 0.9 < result.low <= result.high <= 1
    assert result.low <= result.eta_squared <= 1


def test_flags(defences):
    for analysis in (one_way, welch):
        assert str(analysis(defences)).endswith("assumes independent trials)")
    assert "assumes" not in str(repeated_measures(defences))
    assert "with epsilon" in str(repeated_measures(defences))


def test_refusals():
    with pytest.raises(DataError, match="at least two methods"):
        one_way({"A": [1.0, 2.0]})
    with pytest.raises(DataError, match="outcomes of 'B'"):
        one_way({"A": [1.0, 2.0], "B": [1.0]})
    with pytest.raises(DataError, match="use the mixed model"):
        repeated_measures({"A": [1.0, 2.0], "B": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match="finite outcomes of 'A'"):
        repeated_measures({"A": [1.0, np.nan], "B": [1.0, 2.0]})
    with pytest.raises(DataError, match="standard deviations >= 0"):
        one_way_from_summary([1, 2], [1, -1], 5)
    with pytest.raises(DataError, match="2 of means, 3 of sds"):
        one_way_from_summary([1, 2], [1, 1, 1], 5)

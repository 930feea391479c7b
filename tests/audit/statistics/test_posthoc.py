from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare, studentized_range, tukey_hsd

from titer.audit.statistics._studentized_range import quantile, upper_tail
from titer.audit.statistics.anova import repeated_measures
from titer.audit.statistics.friedman import friedman, nemenyi
from titer.audit.statistics.paired import paired_t
from titer.audit.statistics.posthoc import games_howell, paired_contrasts, tukey, tukey_blocked, tukey_from_summary
from titer.errors import DataError

LAW = settings(deadline=None, max_examples=8)
SEED = st.integers(0, 2**32 - 1)
FAMILIES = (tukey, tukey_blocked, games_howell, paired_contrasts, nemenyi)


def draw(seed: int, n: int = 6, k: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, k)) * np.arange(1, k + 1) + rng.normal(size=(n, 1))
    return {f"m{place}": column for place, column in enumerate(table.T)}


@pytest.mark.parametrize("df", [1, 2, 5, 12, 200, math.inf])
@pytest.mark.parametrize("means", [2, 4, 9])
def test_studentized_range_agrees_with_scipy(means, df):
    for q in (0.5, 2, 3.6, 8, 30):
        assert upper_tail(q, means, df) == pytest.approx(studentized_range.sf(q, means, df), abs=1e-9)
    assert upper_tail(quantile(0.95, means, df), means, df) == pytest.approx(0.05, abs=1e-10)


# R 4.2.2: ptukey(c(3.5, 4.2), c(3, 5), c(10, 20), lower.tail = FALSE); qtukey(.95, c(3, 5), c(10, 20))
def test_studentized_range_agrees_with_r():
    assert (upper_tail(3.5, 3, 10), upper_tail(4.2, 5, 20)) == pytest.approx((0.07710331084, 0.05235357668), abs=1e-9)
    assert (quantile(0.95, 3, 10), quantile(0.95, 5, 20)) == pytest.approx((3.876776749, 4.231856683), abs=1e-7)


def test_tukey_agrees_with_scipy(defences):
    ours, theirs = tukey(defences), tukey_hsd(*defences.values())
    low, high = theirs.confidence_interval(0.95).low, theirs.confidence_interval(0.95).high
    names = list(defences)
    for i in range(4):
        for j in range(4):
            if i != j:
                pair = ours.between(names[i], names[j])
                assert pair.p == pytest.approx(theirs.pvalue[i, j], abs=1e-9)
                assert (pair.low, pair.high) == pytest.approx((low[i, j], high[i, j]), abs=1e-6)


# R 4.2.2: TukeyHSD(aov(y ~ tr + m, d), "m")
def test_blocked_tukey_agrees_with_r(defences):
    result = tukey_blocked(defences)
    for first, second, difference, low, high, p in (
        ("GM", "AT", -6.10, -7.21205065, -4.9879493, 8.1314488e-09),
        ("RS", "AT", 0.74, -0.37205065, 1.8520507, 2.4987021e-01),
        ("LC", "AT", -2.80, -3.91205065, -1.6879493, 3.8541664e-05),
        ("LC", "GM", 3.30, 2.18794935, 4.4120507, 7.2037293e-06),
    ):
        pair = result.between(first, second)
        assert (pair.difference, pair.low, pair.high) == pytest.approx((difference, low, high), abs=1e-6)
        # R's ptukey is good to about ten decimals.
        assert pair.p == pytest.approx(p, rel=1e-5, abs=2e-10)


@pytest.mark.parametrize("seed", range(3))
def test_games_howell_agrees_with_pingouin(seed):
    outcomes = {name: column[: 6 - place] for place, (name, column) in enumerate(draw(seed).items())}
    rows = pd.concat([pd.DataFrame({"y": column, "method": name}) for name, column in outcomes.items()])
    theirs = pingouin.pairwise_gameshowell(rows, dv="y", between="method")
    ours = games_howell(outcomes)
    for _, row in theirs.iterrows():
        pair = ours.between(row["A"], row["B"])
        assert (pair.difference, pair.df) == pytest.approx((row["diff"], row["df"]))
        assert pair.p == pytest.approx(row["pval"], abs=1e-6)


# R 4.2.2: friedman.test(g); ptukey(abs(r[i] - r[j]) / sqrt(4*5/(12*5)), 4, Inf, lower.tail = FALSE)
def test_friedman_and_nemenyi_agree_with_r(defences):
    result = friedman(defences)
    assert (result.chi2, result.p) == pytest.approx((14.04, 0.002851208), rel=1e-6)
    assert result.mean_ranks == pytest.approx({"AT": 3.2, "GM": 1.0, "RS": 3.8, "LC": 2.0})
    assert result.kendall_w == pytest.approx(14.04 / 15)
    pairs = nemenyi(defences)
    for first, second, p in (
        ("AT", "GM", 0.03552541824),
        ("AT", "RS", 0.8830866105),
        ("AT", "LC", 0.4559327685),
        ("GM", "RS", 0.003389141985),
        ("GM", "LC", 0.6110608111),
        ("RS", "LC", 0.1219432407),
    ):
        assert pairs.between(first, second).p == pytest.approx(p, abs=1e-8)


@LAW
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=2, max_size=10))
def test_friedman_agrees_with_scipy_and_pingouin_ties_included(rows):
    table = np.array(rows, dtype=float)
    result = friedman({"A": table[:, 0], "B": table[:, 1], "C": table[:, 2]})
    if not np.ptp(table, axis=1).any():
        assert np.isnan(result.chi2)
        assert "undefined" in str(result)
        return
    theirs = friedmanchisquare(*table.T)
    assert (result.chi2, result.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    if len(table) > 2:
        assert result.kendall_w == pytest.approx(float(pingouin.friedman(pd.DataFrame(table)).iloc[0]["W"]))


@LAW
@given(SEED)
def test_paired_contrasts_are_holm_adjusted_paired_t(seed):
    outcomes = draw(seed)
    result = paired_contrasts(outcomes)
    raw = [paired_t(outcomes[pair.first], outcomes[pair.second]).p for pair in result.contrasts]
    reference = pingouin.multicomp(raw, method="holm")[1]
    assert [pair.p for pair in result.contrasts] == pytest.approx(list(reference))
    for pair in result.contrasts:
        joint = paired_t(outcomes[pair.first], outcomes[pair.second], confidence=1 - 0.05 / 6)
        assert (pair.low, pair.high) == pytest.approx((joint.low, joint.high))


@LAW
@given(SEED)
def test_order_of_methods_does_not_matter_and_contrasts_turn(seed):
    outcomes = draw(seed)
    backwards = dict(reversed(outcomes.items()))
    for family in FAMILIES:
        one, two = family(outcomes).between("m0", "m2"), family(backwards).between("m0", "m2")
        assert (one.difference, one.low, one.high, one.p) == pytest.approx((two.difference, two.low, two.high, two.p))
        turned = family(outcomes).between("m2", "m0")
        assert (turned.difference, turned.low, turned.high) == (-one.difference, -one.high, -one.low)


@LAW
@given(SEED)
def test_p_and_joint_interval_say_the_same(seed):
    for family in (tukey, tukey_blocked, games_howell, nemenyi):
        for pair in family(draw(seed)).contrasts:
            assert (pair.p < 0.05) == (pair.low > 0 or pair.high < 0)


@LAW
@given(SEED)
def test_two_methods_give_the_paired_t(seed):
    outcomes = draw(seed, k=2)
    pair, t = tukey_blocked(outcomes).contrasts[0], paired_t(outcomes["m0"], outcomes["m1"])
    assert (pair.p, pair.low, pair.high) == pytest.approx((t.p, t.low, t.high), rel=1e-6, abs=1e-9)
    assert repeated_measures(outcomes).p == pytest.approx(pair.p, rel=1e-6, abs=1e-9)


def test_summary_and_data_agree(defences):
    means, sds = [v.mean() for v in defences.values()], [v.std(ddof=1) for v in defences.values()]
    assert [c.p for c in tukey_from_summary(list(defences), means, sds, 5).contrasts] == pytest.approx(
        [c.p for c in tukey(defences).contrasts]
    )


def test_trials_that_do_not_vary_are_undefined_not_a_crash():
    still = {"A": [1.0, 1.0], "B": [2.0, 2.0], "C": [2.0, 2.0]}
    for family in (tukey, tukey_blocked, games_howell, paired_contrasts):
        assert np.isnan([pair.p for pair in family(still).contrasts]).all()
    mixed = {"A": [1.0, 2.0, 3.0], "B": [2.0, 3.0, 4.0], "C": [9.0, 9.5, 8.0]}
    pairs = paired_contrasts(mixed)
    assert np.isnan(pairs.between("A", "B").p)
    assert pairs.between("A", "C").p < 1


def test_flags_and_refusals(defences):
    assert "assumes independent trials" in str(tukey(defences))
    assert "assumes independent trials" in str(games_howell(defences))
    assert "assumes" not in str(tukey_blocked(defences))
    with pytest.raises(KeyError):
        tukey(defences).between("AT", "nobody")
    with pytest.raises(DataError, match="at least three methods"):
        friedman({"A": [1.0, 2.0], "B": [2.0, 1.0]})
    with pytest.raises(DataError, match="use the mixed model"):
        paired_contrasts({"A": [1.0, 2.0], "B": [1.0, 2.0, 3.0]})

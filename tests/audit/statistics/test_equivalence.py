from __future__ import annotations

import math

import numpy as np
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from titer.audit.statistics.equivalence import tost_paired
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=60)
POINTS = st.integers(-400, 400).map(lambda tenths: tenths / 8)
TRIALS = st.lists(st.tuples(POINTS, POINTS), min_size=3, max_size=12)
MARGIN = st.integers(1, 80).map(lambda tenths: tenths / 10)


@LAW
@given(TRIALS, MARGIN)
def test_agrees_with_statsmodels_and_pingouin(trials, margin):
    first, second = (np.array(column) for column in zip(*trials, strict=True))
    result = tost_paired(first, second, margin=margin)
    if np.ptp(first - second) == 0:
        assert result.equivalent is None
        return
    p, lower, upper = ttost_paired(first, second, -margin, margin)
    assert (result.p, result.p_low, result.p_high) == pytest.approx((p, lower[1], upper[1]), rel=1e-7)
    assert result.p == pytest.approx(
        float(pingouin.tost(first, second, bound=margin, paired=True)["pval"].iloc[0]), abs=1e-6
    )


@LAW
@given(TRIALS, MARGIN)
def test_equivalent_exactly_when_the_interval_lies_within_the_margin(trials, margin):
    first, second = zip(*trials, strict=True)
    result = tost_paired(first, second, margin=margin)
    if result.equivalent is not None:
        assert result.equivalent == (-margin <= result.low and result.high <= margin)
        assert tost_paired(first, second, margin=2 * margin).p <= result.p
        assert tost_paired(second, first, margin=margin).p == pytest.approx(result.p)


# R 4.2.2: t.test(d, mu = -2, alternative = "greater"); t.test(d, mu = 2, alternative = "less");
#   t.test(d, conf.level = .9)$conf.int
def test_agrees_with_r(defences):
    result = tost_paired(defences["AT"], [88.0, 90.9, 86.5, 89.9, 87.6], margin=2)
    assert (result.p_low, result.p_high) == pytest.approx((0.0003195808677, 0.0002343920082), rel=1e-7)
    assert (result.low, result.high) == pytest.approx((-0.5031595047, 0.3431595047), rel=1e-7)
    assert result.equivalent is True


def test_a_large_p_of_a_t_test_is_no_equivalence():
    result = tost_paired([80.0, 90, 70, 95, 60], [81.0, 84, 79, 86, 66], margin=2)
    assert result.equivalent is False
    assert "equivalence not shown" in str(result)


def test_identical_differences_and_refusals():
    result = tost_paired([0.3, 0.5], [0.1, 0.3], margin=1)
    assert result.equivalent is None
    assert math.isnan(result.p)
    assert "identical" in str(result)
    for margin in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(PlanError, match="margin above 0"):
            tost_paired([1.0, 2], [1.0, 3], margin=margin)
    with pytest.raises(PlanError, match="alpha below"):
        tost_paired([1.0, 2], [1.0, 3], margin=1, alpha=0.6)
    with pytest.raises(DataError):
        tost_paired([1.0], [1.0], margin=1)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from titer.audit.statistics.paired_proportions import paired_shift, paired_shift_counts
from titer.errors import DataError

LAW = settings(deadline=None, max_examples=200)
CELL = st.integers(0, 200)


@LAW
@given(CELL, CELL, CELL, CELL)
def test_within_range_around_the_shift_and_mirrored(both, lost, gained, neither):
    result = paired_shift_counts(both, lost, gained, neither)
    assert -1 <= result.low <= result.high <= 1
    if result.n == 0:
        assert math.isnan(result.shift)
        return
    assert result.low <= result.shift <= result.high
    back = paired_shift_counts(both, gained, lost, neither)
    assert (back.shift, back.low, back.high) == pytest.approx((-result.shift, -result.high, -result.low))
    failures = paired_shift_counts(neither, gained, lost, both)
    assert (failures.low, failures.high) == pytest.approx((-result.high, -result.low))


# Airway hyper-responsiveness before and after stem cell transplantation, 21 children (Bentur and others 2009): the
# square-and-add interval of before - after is printed as -0.507 to -0.026 by Fagerland, Lydersen and Laake 2014
# (doi 10.1002/sim.6148).
def test_agrees_with_a_published_interval():
    result = paired_shift_counts(1, 1, 7, 12)
    assert (round(result.low, 3), round(result.high, 3)) == (0.026, 0.507)


def test_closed_form_without_correlation():
    """With phi = 0 the interval is the independent square-and-add of the two Wilson intervals."""
    result = paired_shift_counts(4, 16, 16, 64)
    independent = confint_proportions_2indep(20, 100, 20, 100, compare="diff", method="newcomb")
    assert (result.low, result.high) == pytest.approx(independent, abs=1e-12)


@pytest.mark.parametrize("cells", [(30, 5, 12, 53), (10, 20, 40, 30), (200, 3, 9, 88), (0, 50, 50, 0)])
def test_correlated_answers_by_the_formula_written_out(cells):
    """Square and add with the correlation of the answers; a positive one narrows the interval, a negative widens."""
    a, b, c, d = cells
    n = sum(cells)
    (l1, u1), (l2, u2) = (proportion_confint(k, n, method="wilson") for k in (a + b, a + c))
    p1, p2 = (a + b) / n, (a + c) / n
    top = a * d - b * c
    top = max(top - n / 2, 0) if top > 0 else top
    phi = top / math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    low = p2 - p1 - math.sqrt((p2 - l2) ** 2 + (u1 - p1) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1))
    high = p2 - p1 + math.sqrt((u2 - p2) ** 2 + (p1 - l1) ** 2 - 2 * phi * (u2 - p2) * (p1 - l1))
    result = paired_shift_counts(*cells)
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-12)
    uncorrelated = math.hypot(p2 - l2, u1 - p1) + math.hypot(u2 - p2, p1 - l1)
    assert (result.high - result.low < uncorrelated) == (phi > 0)


def test_columns_and_counts_agree(rng):
    before, after = rng.random(80) < 0.3, rng.random(80) < 0.5
    cells = (before & after, before & ~after, ~before & after, ~before & ~after)
    counts = [int(cell.sum()) for cell in cells]
    assert paired_shift(before, after) == paired_shift_counts(*counts)
    assert paired_shift(before, after).shift == pytest.approx(after.mean() - before.mean())


def test_no_case_changed_is_exactly_zero():
    assert paired_shift([0, 1, 1], [0, 1, 1]).shift == 0.0


def test_no_cases_and_impossible_counts():
    empty = paired_shift(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool), name="FPR shift")
    assert str(empty) == "FPR shift cannot be estimated (no such cases)"
    assert empty.to_dict()["shift"] is None
    with pytest.raises(DataError, match="counts of at least 0"):
        paired_shift_counts(1, -1, 0, 0)
    with pytest.raises(DataError, match="1 of before, 2 of after"):
        paired_shift([1], [1, 0])

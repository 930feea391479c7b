from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pingouin import normality as pingouin_normality

from titer.audit.statistics import normality
from titer.audit.statistics.normality import normal_plot, shapiro, shapiro_power
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=30)
SAMPLE = st.lists(st.integers(-1000, 1000), min_size=4, max_size=6, unique=True)


@LAW
@given(SAMPLE, st.integers(1, 50), st.integers(-500, 500))
def test_unit_origin_and_order_do_not_matter(values, unit, shift):
    plain = shapiro(values)
    moved = shapiro([unit * value + shift for value in reversed(values)])
    assert (moved.w, moved.p) == (pytest.approx(plain.w, rel=1e-6), pytest.approx(plain.p, rel=1e-4, abs=1e-9))


# R 4.2.2: shapiro.test(c(6.2, 7.3, 4.7, 5.3, 7.0))
def test_agrees_with_r_and_pingouin():
    values = [6.2, 7.3, 4.7, 5.3, 7.0]
    result = shapiro(values)
    assert (result.w, result.p) == pytest.approx((0.9408732, 0.6721183), abs=5e-8)
    theirs = pingouin_normality(np.array(values))
    assert (result.w, result.p) == pytest.approx((theirs["W"].iloc[0], theirs["pval"].iloc[0]))


def test_power_is_seeded_cached_and_grows_with_trials():
    assert shapiro_power(5) is shapiro_power(5, alpha=0.05)
    assert normality._power.__wrapped__(4, 0.05) == shapiro_power(4)
    five, ten = shapiro_power(5), shapiro_power(10)
    assert five[0] < ten[0] < 0.6
    assert five[1] < ten[1] < 0.7
    # Published for alpha 0.05 and n = 10 against the exponential: about 0.44 (Razali and Wah 2011, J Stat Modeling 2).
    assert ten[0] == pytest.approx(0.44, abs=0.02)


def test_power_at_the_null_is_alpha(monkeypatch):
    class Normal(np.random.Generator):
        def exponential(self, size):
            return self.normal(size=size)

        lognormal = exponential

    monkeypatch.setattr(normality.np.random, "default_rng", lambda seed: Normal(np.random.PCG64(seed)))
    assert normality._power.__wrapped__(6, 0.05) == pytest.approx((0.05, 0.05), abs=0.008)


def test_sentence_carries_the_power():
    text = str(shapiro([6.2, 7.3, 4.7, 5.3, 7.0]))
    assert "W = 0.9409, p = 0.672" in text
    assert "16 % against an exponential" in text


def test_identical_differences_have_no_test():
    result = shapiro([2.0, 2.0, 2.0])
    assert np.isnan(result.w)
    assert "cannot be tested" in str(result)
    assert np.isnan(normal_plot([2.0, 2.0, 2.0]).correlation)


@LAW
@given(SAMPLE)
def test_plot_is_ordered_and_symmetric(values):
    plot = normal_plot(values)
    assert list(plot.ordered) == sorted(values)
    assert np.allclose(plot.theoretical, -np.array(plot.theoretical)[::-1])
    assert 0 < plot.correlation <= 1 + 1e-12
    assert f"n = {len(values)} differences" in str(plot)


def test_plot_of_normal_quantiles_is_a_line():
    plot = normal_plot(3 + 2 * np.array(normal_plot(np.arange(9.0)).theoretical))
    assert (plot.slope, plot.intercept, plot.correlation) == pytest.approx((2, 3, 1))


def test_refusals():
    with pytest.raises(DataError, match="at least 3 values of differences"):
        shapiro([1.0, 2.0])
    with pytest.raises(DataError, match="at least 3 values"):
        normal_plot([1.0, 2.0])
    with pytest.raises(PlanError):
        shapiro([1.0, 2.0, 3.0], alpha=5)

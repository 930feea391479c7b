from __future__ import annotations

import math

import numpy as np
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial
from statsmodels.stats.power import TTestPower

from titer.audit.statistics.power import (
    cases_for_half_width,
    mcnemar_power,
    mcnemar_sample_size,
    mean_half_width,
    paired_t_power,
    paired_t_sample_size,
    trials_for_half_width,
)
from titer.audit.statistics.proportions import wilson
from titer.errors import PlanError

LAW = settings(deadline=None, max_examples=60)


# R 4.2.2: power.t.test(n = n, delta = d, sd = 1, type = "paired", strict = TRUE)$power, and $n for a wanted power
@pytest.mark.parametrize(
    ("d_z", "n", "power"),
    [
        (0.5, 5, 0.14051669),
        (0.8, 5, 0.2809920635),
        (1.8, 5, 0.8474126591),
        (3.2, 5, 0.9991052713),
        (0.5, 34, 0.8077775013),
    ],
)
def test_paired_t_power_agrees_with_r(d_z, n, power):
    assert paired_t_power(d_z, n).power == pytest.approx(power, abs=1e-8)


@pytest.mark.parametrize(
    ("d_z", "power", "n"), [(0.5, 0.8, 33.3671291), (1.8, 0.95, 6.270850708), (0.3, 0.9, 118.6865058)]
)
def test_paired_t_sample_size_agrees_with_r(d_z, power, n):
    assert paired_t_sample_size(d_z, power=power).n == math.ceil(n)


@LAW
@given(st.integers(1, 40).map(lambda tenths: tenths / 10), st.integers(2, 60), st.sampled_from([0.01, 0.05, 0.1]))
def test_paired_t_power_agrees_with_statsmodels_and_pingouin(d_z, n, alpha):
    power = paired_t_power(d_z, n, alpha=alpha).power
    for theirs in (TTestPower().power(d_z, n, alpha), pingouin.power_ttest(d=d_z, n=n, alpha=alpha, contrast="paired")):
        # Both libraries give NaN where the power is nearly 1.
        assert power == pytest.approx(theirs, abs=1e-6) or (np.isnan(theirs) and power > 0.999)
    assert power == paired_t_power(-d_z, n, alpha=alpha).power
    assert power <= paired_t_power(d_z, n + 1, alpha=alpha).power + 1e-12


def test_no_effect_has_the_power_of_alpha_and_enormous_ones_one():
    assert paired_t_power(0.0, 8).power == pytest.approx(0.05)
    assert paired_t_power(1e6, 5).power == paired_t_power(50, 500).power == 1.0


@LAW
@given(st.integers(1, 60), st.integers(5, 95), st.sampled_from([0.01, 0.05]))
def test_sample_size_is_the_smallest(tenths, percent, alpha):
    d_z, power = 0.1 + tenths / 10, percent / 100
    size = paired_t_sample_size(d_z, power=power, alpha=alpha)
    assert size.attained >= power
    assert size.n == 2 or paired_t_power(d_z, size.n - 1, alpha=alpha).power < power


@pytest.mark.parametrize(("p_b", "p_c", "n"), [(0.2, 0.1, 12), (0.5, 0.05, 15), (0.0, 0.4, 18), (0.3, 0.3, 10)])
def test_mcnemar_power_is_the_sum_over_all_outcomes(p_b, p_c, n):
    """By another way: every (b, c) with its multinomial chance and scipy's binomial test."""
    chance = sum(
        multinomial.pmf([b, c, n - b - c], n, [p_b, p_c, 1 - p_b - p_c])
        for b in range(n + 1)
        for c in range(n + 1 - b)
        if b + c and binomtest(b, b + c).pvalue <= 0.05
    )
    assert mcnemar_power(p_b, p_c, n).power == pytest.approx(chance, abs=1e-10)


def test_mcnemar_sample_size_stays_above_the_goal():
    size = mcnemar_sample_size(0.2, 0.1, power=0.8)
    later = [mcnemar_power(0.2, 0.1, n).power for n in range(size.n, size.n + 150)]
    assert min(later) >= 0.8 > mcnemar_power(0.2, 0.1, size.n - 1).power
    # Miettinen's approximation, with the same shares, gives 234 and knows nothing of discreteness.
    assert 225 < size.n < 260


@LAW
@given(st.integers(1, 100), st.integers(1, 100))
def test_half_widths(sd_tenths, width_tenths):
    sd, width = sd_tenths / 10, width_tenths / 10
    size = trials_for_half_width(sd, width)
    assert mean_half_width(sd, size.n) <= width
    assert size.n == 2 or mean_half_width(sd, size.n - 1) > width


@LAW
@given(st.integers(0, 100), st.integers(1, 40))
def test_cases_for_half_width_is_that_of_the_wilson_interval(percent, width_percent):
    p, width = percent / 100, width_percent / 100
    size = cases_for_half_width(p, width)
    assert size.attained <= width
    if (size.n * p).is_integer():
        share = wilson(round(size.n * p), size.n)
        assert (share.high - share.low) / 2 == pytest.approx(size.attained)
    z, smaller = 1.959963984540054, size.n - 1
    if smaller:
        assert z / (smaller + z**2) * np.sqrt(smaller * p * (1 - p) + z**2 / 4) > width


def test_sentences():
    assert (
        str(paired_t_power(1.8, 5))
        == "power 0.8474 planned for d_z = 1.8 (n = 5, alpha 0.05; two-sided paired t, noncentral t)"
    )
    assert str(trials_for_half_width(2.0, 1.0)).startswith("n = 18 for sd = 2 (goal 1")


@pytest.mark.parametrize(
    "call",
    [
        lambda: paired_t_power(0.5, 1),
        lambda: paired_t_power(math.nan, 5),
        lambda: paired_t_sample_size(0.0),
        lambda: paired_t_sample_size(0.5, power=80),
        lambda: paired_t_sample_size(1e-9),
        lambda: mcnemar_power(0.7, 0.6, 10),
        lambda: mcnemar_power(0.1, 0.2, 0),
        lambda: mcnemar_sample_size(0.1, 0.1),
        lambda: mean_half_width(-1.0, 5),
        lambda: trials_for_half_width(1.0, 0.0),
        lambda: cases_for_half_width(90, 0.05),
        lambda: cases_for_half_width(0.9, 5),
    ],
)
def test_refusals(call):
    with pytest.raises(PlanError):
        call()

"""Known answers, to at least four significant digits, for one table of four defences over five shared trials."""

from __future__ import annotations

import math

import numpy as np
import pytest

from titer.audit.statistics.anova import one_way, one_way_from_summary, repeated_measures
from titer.audit.statistics.effect_size import effect_sizes
from titer.audit.statistics.friedman import friedman
from titer.audit.statistics.mcnemar import mcnemar_counts
from titer.audit.statistics.multiplicity import holm
from titer.audit.statistics.normality import shapiro
from titer.audit.statistics.paired import paired_t
from titer.audit.statistics.posthoc import tukey, tukey_from_summary
from titer.audit.statistics.power import mean_half_width, paired_t_power, paired_t_sample_size
from titer.audit.statistics.sign_flip import sign_flip
from titer.audit.statistics.wilcoxon import wilcoxon


def four(value: float) -> object:
    return pytest.approx(value, rel=5e-5)


def test_one_way(defences):
    result = one_way(defences)
    assert (result.df_between, result.df_error) == (3, 16)
    assert result.f == four(29.3192)
    assert result.p == four(9.7656e-07)
    assert "assumes independent trials" in str(result)


def test_repeated_measures(defences):
    result = repeated_measures(defences)
    assert (result.df_between, result.df_error) == (3, 12)
    assert result.f == four(137.568)
    assert result.p == pytest.approx(1.474e-09, rel=5e-4)


def test_friedman(defences):
    result = friedman(defences)
    assert result.chi2 == four(14.04)
    assert result.p == pytest.approx(0.002851, abs=5e-7)


@pytest.mark.parametrize(
    ("pair", "p", "last_digit"),
    [
        (("AT", "GM"), 7e-06, 5e-7),
        (("AT", "RS"), 0.798784, 5e-7),
        (("AT", "LC"), 0.01561, 5e-7),
        (("GM", "RS"), 2e-06, 5e-7),
        (("GM", "LC"), 0.004467, 5e-7),
        (("RS", "LC"), 0.002448, 5e-7),
    ],
)
def test_tukey(defences, pair, p, last_digit):
    assert tukey(defences).between(*pair).p == pytest.approx(p, abs=last_digit)


def test_paired_t(defences):
    result = paired_t(defences["AT"], defences["GM"])
    assert result.t == four(12.374473)
    assert result.p == four(2.4511e-4)
    assert result.difference == four(6.1)
    assert result.sd == four(1.102270)
    assert (result.low, result.high) == (four(4.731351), four(7.468649))


def test_effect_sizes(defences, rng):
    result = effect_sizes(defences["AT"], defences["GM"], rng=rng)
    assert result.d_z.value == four(5.534032)
    assert result.d_av.value == four(4.724785)
    assert result.g_z.value == four(4.427226)


def test_shapiro_and_wilcoxon(defences):
    normal = shapiro(defences["AT"] - defences["GM"])
    assert (normal.w, normal.p) == (four(0.940873), four(0.672118))
    assert wilcoxon(defences["AT"], defences["GM"]).p == 0.0625


def test_five_trials_cannot_reach_five_percent_by_flipping_signs(defences):
    result = sign_flip(defences["AT"], defences["GM"])
    assert (result.p, result.smallest_p, result.reachable) == (0.0625, 0.0625, False)
    assert "cannot reach 0.05" in str(result)


def test_mcnemar():
    assert mcnemar_counts(25, 9).p == four(0.00904119)


def test_holm():
    family = holm({"a": 0.001, "b": 0.012, "c": 0.03, "d": 0.04}, family="four")
    assert [test.adjusted for test in family.tests] == pytest.approx([0.004, 0.036, 0.06, 0.06])


# What a published study of five trials and four defences printed, recomputed from its own means and deviations.


@pytest.mark.parametrize(
    ("d_z", "n", "power", "digits"),
    [(0.5, 5, 0.14, 2), (0.8, 5, 0.28, 2), (1.8, 5, 0.8474, 4), (2.5, 5, 0.98, 2), (3.2, 5, 0.999, 3)],
)
def test_power_of_five_trials(d_z, n, power, digits):
    assert round(paired_t_power(d_z, n).power, digits) == power


def test_trials_that_the_claimed_power_needs():
    assert paired_t_sample_size(0.5, power=0.8).n == 34
    assert paired_t_sample_size(1.8, power=0.95).n == 7


MEANS, SDS = (14.0, 7.0, 15.0, 10.0), (2.0, 1.2, 2.0, 1.5)


def test_anova_from_the_printed_deviations():
    result = one_way_from_summary(MEANS, SDS, 5)
    assert round(result.f, 1) == 23.4
    assert result.p == pytest.approx(4e-6, abs=5e-7)


def test_anova_needs_a_deviation_above_all_printed_ones_for_the_printed_f():
    pooled = 2.1546
    assert one_way_from_summary(MEANS, [pooled] * 4, 5).f == pytest.approx(14.72, abs=0.005)
    assert pooled > max(SDS)
    assert one_way_from_summary(MEANS, [pooled] * 4, 5).p == pytest.approx(7.3e-5, abs=5e-7)


def test_tukey_from_the_printed_deviations():
    printed = tukey_from_summary(("AT", "GM", "RS", "LC"), MEANS, SDS, 5)
    implied = tukey_from_summary(("AT", "GM", "RS", "LC"), MEANS, [2.15] * 4, 5)
    assert round(printed.between("RS", "AT").p, 2) == 0.79
    assert round(implied.between("RS", "AT").p, 2) == 0.88
    assert round(printed.between("LC", "GM").p, 3) == 0.059
    assert round(implied.between("LC", "GM").p, 2) == 0.16


def test_half_widths_and_effects_implied_by_the_printed_intervals():
    assert round(mean_half_width(2.0, 5), 2) == 2.48
    assert round(1.959964 * 2.0 / math.sqrt(5), 2) == 1.75
    sd = (54.2 - 48.1) / 2 / mean_half_width(1.0, 5)
    assert round(sd, 2) == 2.46
    assert round((54.2 + 48.1) / 2 / sd, 1) == 20.8


def test_shapiro_at_five_trials_notices_little(rng):
    power = shapiro(rng.normal(size=5))
    assert power.power_exponential == pytest.approx(0.16, abs=0.01)
    assert power.power_lognormal == pytest.approx(0.24, abs=0.01)
    assert np.isfinite(power.p)

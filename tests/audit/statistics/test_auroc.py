from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from titer.audit.statistics.auroc import auroc, compare_auroc
from titer.audit.statistics.bootstrap import cluster_bootstrap
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=50)
SCORED = st.lists(st.tuples(st.booleans(), st.integers(-20, 20), st.integers(-20, 20)), min_size=4, max_size=60)


def columns(cases: list[tuple[bool, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ill, one, two = (np.array(column) for column in zip(*cases, strict=True))
    assume(2 <= ill.sum() <= ill.size - 2)
    return ill, one.astype(float), two.astype(float)


@LAW
@given(SCORED)
def test_increasing_transforms_change_nothing(cases):
    ill, scores, _ = columns(cases)
    for changed in (np.exp(scores / 5), scores**3, 2 * scores - 7):
        assert auroc(ill, changed) == auroc(ill, scores)


@LAW
@given(SCORED)
def test_negated_scores_and_exchanged_classes_mirror(cases):
    ill, scores, _ = columns(cases)
    straight = auroc(ill, scores)
    for mirror in (auroc(ill, -scores), auroc(~ill, scores)):
        assert mirror.value == pytest.approx(1 - straight.value)
        assert mirror.se == pytest.approx(straight.se, abs=1e-12)
        assert (mirror.low, mirror.high) == pytest.approx((1 - straight.high, 1 - straight.low), abs=1e-9)
    assert auroc(~ill, -scores).value == pytest.approx(straight.value)


@LAW
@given(SCORED)
def test_value_agrees_with_scikit_learn_and_lies_in_its_interval(cases):
    ill, scores, _ = columns(cases)
    result = auroc(ill, scores)
    assert result.value == pytest.approx(roc_auc_score(ill, scores))
    assert 0 <= result.low <= result.value + 1e-12
    assert result.value <= result.high + 1e-12
    assert result.high <= 1


@LAW
@given(SCORED, st.randoms(use_true_random=False))
def test_order_of_cases_does_not_matter(cases, random):
    ill, one, two = columns(cases)
    order = np.array(random.sample(range(ill.size), ill.size))
    first, second = compare_auroc(ill, one, two), compare_auroc(ill[order], one[order], two[order])
    assert first.difference == pytest.approx(second.difference, abs=1e-12)
    assert first.se == pytest.approx(second.se, abs=1e-12)


@LAW
@given(SCORED)
def test_each_case_its_own_patient_is_delong(cases):
    ill, one, two = columns(cases)
    patients = np.arange(ill.size)
    assert auroc(ill, one, patients=patients).se == pytest.approx(auroc(ill, one).se, abs=1e-12)
    assert compare_auroc(ill, one, two, patients=patients).se == pytest.approx(
        compare_auroc(ill, one, two).se, abs=1e-12
    )


@LAW
@given(SCORED)
def test_every_patient_twice_has_the_same_interval_as_once(cases):
    ill, scores, _ = columns(cases)
    twice = auroc(np.tile(ill, 2), np.tile(scores, 2), patients=np.tile(np.arange(ill.size), 2))
    assert (twice.value, twice.se) == pytest.approx((auroc(ill, scores).value, auroc(ill, scores).se), abs=1e-12)


@LAW
@given(SCORED)
def test_comparison_is_antisymmetric_and_zero_with_itself(cases):
    ill, one, two = columns(cases)
    there, back = compare_auroc(ill, one, two), compare_auroc(ill, two, one)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert there.p == pytest.approx(back.p, nan_ok=True)
    same = compare_auroc(ill, one, 3 * one + 1)
    assert (same.difference, same.p, same.z) == (0.0, 1.0, 0.0)


# R 4.2.2, pROC 1.18.0:
#   i <- 0:59; ill <- (i*7) %% 3 == 0
#   s <- ((i*37) %% 41 + 12*ill) %/% 2; q <- ((i*29) %% 43 + 9*ill) %/% 3
#   a <- roc(ill, s, direction="<"); b <- roc(ill, q, direction="<")
#   auc(a); auc(b); var(a); var(b); roc.test(a, b, method="delong", paired=TRUE)
def test_variance_and_comparison_agree_with_r():
    i = np.arange(60)
    ill = (i * 7) % 3 == 0
    s, q = ((i * 37) % 41 + 12 * ill) // 2, ((i * 29) % 43 + 9 * ill) // 3
    result = compare_auroc(ill, s, q)
    assert (result.first.value, result.second.value) == (0.729375, 0.275)
    assert result.first.se**2 == pytest.approx(0.004750241439, rel=1e-9)
    assert result.second.se**2 == pytest.approx(0.004115511134, rel=1e-9)
    assert (result.z, result.p) == pytest.approx((4.702115687, 2.574795377e-06), rel=1e-8)
    assert (result.low, result.high) == pytest.approx((0.2649796948, 0.6437703052), rel=1e-8)


def test_clustered_variance_agrees_with_resampled_patients(rng):
    patients = np.repeat(np.arange(150), 4)
    ill = rng.random(600) < np.repeat(rng.random(150), 4)
    scores = ill + 1.5 * np.repeat(rng.normal(size=150), 4) + rng.normal(size=600)
    clustered = auroc(ill, scores, patients=patients)
    resampled = cluster_bootstrap(
        lambda d, s: auroc(d, s).value, [ill, scores], patients=patients, rng=rng, resamples=500
    )
    assert clustered.se == pytest.approx(resampled.se, rel=0.12)
    assert clustered.se > 1.15 * auroc(ill, scores).se


def test_patients_with_both_kinds_of_cases_are_their_own_controls(rng):
    """Scores that rise and fall with the patient cancel within the pair, so cases taken as independent waste that."""
    shared = 2 * rng.normal(size=200)
    ill = np.tile([False, True], 200)
    scores = np.repeat(shared, 2) + rng.normal(size=400) + ill
    patients = np.repeat(np.arange(200), 2)
    clustered = auroc(ill, scores, patients=patients)
    resampled = cluster_bootstrap(
        lambda d, s: auroc(d, s).value, [ill, scores], patients=patients, rng=rng, resamples=1000
    )
    assert clustered.se == pytest.approx(resampled.se, rel=0.07)
    assert clustered.se < 0.6 * auroc(ill, scores).se


def test_perfect_separation_and_equal_scores_keep_an_honest_interval():
    perfect = auroc([0] * 5 + [1] * 8, range(13))
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.025 ** (1 / 5))
    assert "DeLong variance is zero" in str(perfect)
    blind = auroc([0] * 5 + [1] * 8, [1.0] * 13)
    assert blind.value == 0.5
    assert blind.low < 0.1
    assert blind.high > 0.9


def test_infinite_scores_are_ranks_like_others():
    assert auroc([0, 0, 1, 1], [-np.inf, 0, 1, np.inf]).value == 1.0


def test_opposite_perfect_rankings_have_no_wald_test():
    result = compare_auroc([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1])
    assert result.difference == 1.0
    assert np.isnan(result.p)
    assert "p undefined" in str(result)


def test_a_quarter_of_a_million_cases(rng):
    """The pairs would not fit in memory; sorting does not need them."""
    ill = rng.random(250_000) < 0.3
    result = auroc(ill, rng.normal(size=ill.size) + ill)
    # Two normal distributions one deviation apart: the area is Phi(1/sqrt(2)).
    assert result.value == pytest.approx(0.760250, abs=4 * result.se)


@pytest.mark.parametrize(
    ("actual", "scores", "what"),
    [
        ([0, 0, 0], [1, 2, 3], "diseased"),
        ([0, 1, 1], [1, 2, 3], "healthy"),
        ([0, 0, 1, 1], [1, 2, 3], "one score per case"),
        ([0, 0, 1, 1], [1, 2, np.nan, 3], "NaN at position 2"),
    ],
)
def test_refuses_what_has_no_auroc(actual, scores, what):
    with pytest.raises(DataError, match=what):
        auroc(actual, scores)


def test_refuses_one_patient_per_class_and_bad_confidence():
    with pytest.raises(DataError, match="patients with such cases"):
        auroc([0, 0, 1, 1], [1, 2, 3, 4], patients=["a", "b", "c", "c"])
    with pytest.raises(PlanError):
        auroc([0, 0, 1, 1], [1, 2, 3, 4], confidence=1.0)

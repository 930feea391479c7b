from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from titer.audit.statistics.threshold import at_percentile, at_sensitivity, at_specificity, at_youden, choose_threshold
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=100)
CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 15)), min_size=2, max_size=60)
TARGET = st.integers(1, 100).map(lambda percent: percent / 100)


def columns(cases: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    ill, scores = (np.array(column) for column in zip(*cases, strict=True))
    assume(ill.any() and not ill.all())
    return ill, scores / 10


def rates(ill, scores, value):
    return np.mean(scores[ill] >= value), np.mean(scores[~ill] < value)


@LAW
@given(CASES, TARGET)
def test_sensitivity_is_reached_and_no_higher_threshold_reaches_it(cases, target):
    ill, scores = columns(cases)
    chosen = at_sensitivity(ill, scores, target=target)
    assert rates(ill, scores, chosen.value)[0] >= target - 1e-12
    higher = scores[scores > chosen.value]
    if higher.size:
        assert rates(ill, scores, higher.min())[0] < target


@LAW
@given(CASES, TARGET)
def test_specificity_is_reached_and_no_lower_threshold_reaches_it(cases, target):
    ill, scores = columns(cases)
    chosen = at_specificity(ill, scores, target=target)
    assert rates(ill, scores, chosen.value)[1] >= target - 1e-12
    lower = scores[scores < chosen.value]
    if lower.size:
        assert rates(ill, scores, lower.max())[1] < target


@LAW
@given(CASES)
def test_youden_agrees_with_scikit_learn_and_prefers_fewer_missed(cases):
    ill, scores = columns(cases)
    chosen = at_youden(ill, scores)
    fpr, tpr, thresholds = roc_curve(ill, scores, drop_intermediate=False)
    best = (tpr - fpr)[1:].max()
    sensitivity, specificity = rates(ill, scores, chosen.value)
    assert sensitivity + specificity - 1 == pytest.approx(best)
    equals = thresholds[1:][np.isclose((tpr - fpr)[1:], best)]
    assert chosen.value == equals.min()


@LAW
@given(CASES, TARGET)
def test_reported_rates_are_those_of_applying_it(cases, target):
    ill, scores = columns(cases)
    rules = [
        at_sensitivity(ill, scores, target=target),
        at_specificity(ill, scores, target=target),
        at_youden(ill, scores),
    ]
    for chosen in rules:
        positive = chosen.apply(scores)
        assert chosen.sensitivity.value == positive[ill].mean()
        assert chosen.specificity.value == (~positive)[~ill].mean()


@LAW
@given(CASES, TARGET, st.randoms(use_true_random=False))
def test_order_of_cases_and_increasing_transforms_do_not_matter(cases, target, random):
    ill, scores = columns(cases)
    order = np.array(random.sample(range(ill.size), ill.size))
    for rule in ("sensitivity", "specificity", "percentile"):
        chosen = choose_threshold(ill, scores, rule=rule, target=target)
        assert choose_threshold(ill[order], scores[order], rule=rule, target=target) == chosen
        cubed = choose_threshold(ill, scores**3, rule=rule, target=target)
        assert cubed.apply(scores**3).tolist() == chosen.apply(scores).tolist()


@LAW
@given(st.lists(st.integers(0, 15), min_size=1, max_size=60), TARGET)
def test_percentile_is_the_specificity_rule_on_normals_alone(scores, target):
    chosen = at_percentile(scores, percentile=100 * target)
    assert np.mean(np.array(scores) < chosen.value) >= target - 1e-12
    assert chosen.sensitivity.n == 0
    assert chosen.value == at_specificity(np.zeros(len(scores)), scores, target=target).value


def test_targets_that_rounding_would_miss():
    """0.07 of 100 is 7 cases although 0.07 * 100 is a hair above 7 in floating point."""
    scores = np.arange(100.0)
    assert at_sensitivity(np.ones(100), scores, target=0.07).sensitivity.successes == 7
    assert at_specificity(np.zeros(100), scores, target=0.29).specificity.successes == 29


def test_ties_at_the_threshold_are_all_positive():
    chosen = at_sensitivity([1, 1, 1, 1, 0], [0.5, 0.5, 0.5, 0.9, 0.5], target=0.5)
    assert chosen.value == 0.5
    assert (chosen.sensitivity.successes, chosen.specificity.successes) == (4, 0)


def test_nothing_may_be_positive():
    chosen = at_specificity([0, 0, 1], [0.3, 0.7, 0.7], target=1.0)
    assert chosen.value == np.nextafter(0.7, np.inf)
    assert not chosen.apply([0.3, 0.7]).any()


def test_sentence():
    sentence = str(at_sensitivity([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], target=0.9))
    assert sentence.startswith("threshold 0.3 chosen by sensitivity of at least 0.9: sensitivity 1 (95 % CI")
    assert str(at_youden([0, 1], [0.1, 0.4])).startswith("threshold 0.4 chosen by youden: sensitivity 1")


@pytest.mark.parametrize(
    ("rule", "target", "error", "what"),
    [
        ("accuracy", 0.9, PlanError, "'accuracy'"),
        ("youden", 0.9, PlanError, "no target"),
        ("sensitivity", None, PlanError, "a target for the rule sensitivity"),
        ("sensitivity", 90, PlanError, "above 0 and up to 1"),
        ("percentile", 0.0, PlanError, "above 0 and up to 1"),
    ],
)
def test_refuses_rules_that_cannot_be(rule, target, error, what):
    with pytest.raises(error, match=what):
        choose_threshold([0, 1], [0.1, 0.9], rule=rule, target=target)


def test_refuses_data_that_cannot_serve():
    with pytest.raises(DataError, match="at least one diseased case"):
        at_sensitivity([0, 0], [0.1, 0.9], target=0.9)
    with pytest.raises(DataError, match="at least one healthy case"):
        at_specificity([1, 1], [0.1, 0.9], target=0.9)
    with pytest.raises(DataError, match="diseased and healthy"):
        at_youden([1, 1], [0.1, 0.9])
    with pytest.raises(DataError, match="finite scores"):
        at_youden([0, 1], [0.1, np.nan])
    with pytest.raises(PlanError, match="percentile above 0"):
        at_percentile([1.0], percentile=0)

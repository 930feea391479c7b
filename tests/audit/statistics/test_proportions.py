from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, recall_score
from statsmodels.stats.proportion import proportion_confint

from titer.audit.statistics.proportions import Confusion, accuracy, confusion, mean_rate, one_vs_rest, rates, wilson
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=50)
COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@LAW
@given(COUNTS, st.floats(0.5, 0.999))
def test_wilson_stays_within_zero_and_one_and_around_the_share(counts, confidence):
    share = wilson(*counts, confidence=confidence)
    assert 0 <= share.low <= share.value <= share.high <= 1


@LAW
@given(COUNTS)
def test_wilson_of_the_failures_is_the_mirror_image(counts):
    k, n = counts
    one, other = wilson(k, n), wilson(n - k, n)
    assert (1 - one.high, 1 - one.low) == (pytest.approx(other.low, abs=1e-12), pytest.approx(other.high, abs=1e-12))


@LAW
@given(COUNTS)
def test_wilson_narrows_with_cases_and_widens_with_confidence(counts):
    k, n = counts
    width = wilson(k, n).high - wilson(k, n).low
    assert wilson(4 * k, 4 * n).high - wilson(4 * k, 4 * n).low < width
    assert wilson(k, n, confidence=0.99).high - wilson(k, n, confidence=0.99).low > width


# R 4.2.2: prop.test(k, 50, correct = FALSE)$conf.int, and prop.test(90, 100, conf.level = .9, correct = FALSE)$conf.int
@pytest.mark.parametrize(
    ("k", "n", "confidence", "low", "high"),
    [
        (0, 50, 0.95, 0.0, 0.07134759913),
        (1, 50, 0.95, 0.003539259272, 0.104954435896),
        (45, 50, 0.95, 0.7863976856, 0.9565242351),
        (50, 50, 0.95, 0.9286524009, 1.0),
        (90, 100, 0.90, 0.8396444904, 0.9392813330),
    ],
)
def test_wilson_agrees_with_r(k, n, confidence, low, high):
    share = wilson(k, n, confidence=confidence)
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-10), pytest.approx(high, abs=1e-10))
    assert (share.low, share.high) == pytest.approx(proportion_confint(k, n, 1 - confidence, "wilson"), abs=1e-12)


@LAW
@given(ANSWERS)
def test_counts_add_up_and_complements_are_complements(answers):
    actual, predicted = zip(*answers, strict=True)
    counts = confusion(actual, predicted)
    assert counts.n == len(answers)
    result = rates(counts)
    assert result.accuracy.value == pytest.approx(np.mean(np.array(actual) == np.array(predicted)))
    if counts.diseased:
        assert result.sensitivity.value + result.fnr.value == pytest.approx(1)
        assert result.sensitivity.low == pytest.approx(1 - result.fnr.high)
    if counts.healthy:
        assert result.specificity.value + result.fpr.value == pytest.approx(1)


@LAW
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=4, max_size=80))
def test_several_classes_agree_with_scikit_learn(answers):
    actual, predicted = (np.array([0, 1, 2, 3, *column]) for column in zip(*answers, strict=True))
    result = one_vs_rest(actual, predicted)
    assert result.macro_sensitivity.value == pytest.approx(balanced_accuracy_score(actual, predicted))
    assert result.macro_sensitivity.value == pytest.approx(recall_score(actual, predicted, average="macro"))
    specificity = [recall_score(actual != label, predicted != label) for label in range(4)]
    assert result.macro_specificity.value == pytest.approx(np.mean(specificity))
    assert result.macro_specificity.n == result.accuracy.n == actual.size
    for rate in (result.macro_sensitivity, result.macro_specificity):
        assert 0 <= rate.low <= rate.value + 1e-12
        assert rate.value <= rate.high + 1e-12
        assert rate.high <= 1


def test_two_classes_are_one_against_the_other():
    actual, predicted = [0, 0, 0, 1, 1], [0, 1, 0, 1, 1]
    binary, several = rates(confusion(actual, predicted)), one_vs_rest(actual, predicted)
    assert several.classes["1"] == binary
    assert several.macro_sensitivity.value == several.macro_specificity.value == binary.balanced_accuracy.value


def test_mean_of_one_rate_is_that_rate():
    one = wilson(7, 9)
    mean = mean_rate([one], name="mean")
    assert (mean.value, mean.low, mean.high) == (one.value, pytest.approx(one.low), pytest.approx(one.high))


def test_no_cases_is_not_estimable_rather_than_zero():
    empty = wilson(0, 0, name="sensitivity")
    assert math.isnan(empty.value)
    assert (empty.low, empty.high) == (0.0, 1.0)
    assert "cannot be estimated" in str(empty)
    assert rates(Confusion(tp=0, fn=0, fp=1, tn=3)).sensitivity.to_dict()["value"] is None
    assert math.isnan(rates(Confusion(tp=0, fn=0, fp=1, tn=3)).balanced_accuracy.value)


@pytest.mark.parametrize(
    "call", [lambda: wilson(5, 4), lambda: wilson(-1, 4), lambda: accuracy([0, 2]), lambda: accuracy([[1]])]
)
def test_refuses_counts_and_answers_that_cannot_be(call):
    with pytest.raises(DataError):
        call()


def test_refuses_strangers_empty_classes_and_bad_confidence():
    with pytest.raises(DataError, match=r"expected labels among \[0, 1\]"):
        one_vs_rest([0, 1], [0, 2], classes=[0, 1])
    with pytest.raises(DataError, match="at least one case of every class"):
        one_vs_rest([0, 0], [0, 1], classes=[0, 1])
    with pytest.raises(DataError, match="columns with one entry per case"):
        confusion([0, 1], [1])
    with pytest.raises(PlanError, match="confidence strictly between 0 and 1"):
        wilson(1, 2, confidence=95)
    with pytest.raises(DataError, match="at least one rate"):
        mean_rate([], name="none")


def test_sentence_has_number_interval_n_and_method():
    assert str(accuracy([1, 1, 1, 0])) == "accuracy 0.75 (95 % CI 0.3006 to 0.9544; 3 of 4 cases, Wilson score)"
    assert "TP 1, FN 0, FP 1, TN 0" in str(confusion([1, 0], [1, 1]))
    assert str(rates(confusion([1, 0], [1, 1]))).count("95 % CI") == 6
    assert str(one_vs_rest([0, 1], [0, 1])).count("95 % CI") == 3

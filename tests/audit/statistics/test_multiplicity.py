from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from titer.audit.statistics.multiplicity import adjust, holm
from titer.errors import DataError, PlanError

LAW = settings(deadline=None, max_examples=100)
FAMILY = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=12)


@LAW
@given(FAMILY)
def test_adjusted_is_monotone_and_between_raw_and_bonferroni(p_values):
    adjusted = adjust(p_values)
    for raw, new in zip(p_values, adjusted, strict=True):
        assert raw <= new <= min(1.0, raw * len(p_values) + 1e-12)
    ordered = [new for _, new in sorted(zip(p_values, adjusted, strict=True))]
    assert ordered == sorted(ordered)


@LAW
@given(FAMILY, st.randoms(use_true_random=False))
def test_order_of_tests_does_not_matter(p_values, random):
    named = {f"t{place}": p for place, p in enumerate(p_values)}
    mixed = dict(random.sample(list(named.items()), len(named)))
    one, two = holm(named, family="f"), holm(mixed, family="f")
    assert {test.name: test.adjusted for test in one.tests} == {test.name: test.adjusted for test in two.tests}


@settings(deadline=None, max_examples=15)
@given(FAMILY)
def test_agrees_with_statsmodels(p_values):
    assert adjust(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


# R 4.2.2: p.adjust(c(.5, .01, .9, .01, .2), "holm")
def test_agrees_with_r():
    assert adjust([0.5, 0.01, 0.9, 0.01, 0.2]) == pytest.approx([1.0, 0.05, 1.0, 0.05, 0.6])


def test_rejections_and_look_up():
    family = holm({"FGSM": 0.001, "PGD": 0.03}, family="attacks", alpha=0.02)
    assert [test.rejected for test in family.tests] == [True, False]
    assert family["PGD"].adjusted == 0.03
    assert str(family).startswith("attacks: 1 of 2 tests hold at 0.02")


@pytest.mark.parametrize("p_values", [{}, {"a": 1.5}, {"a": -0.1}, {"a": float("nan")}])
def test_refuses_what_is_no_p_value(p_values):
    with pytest.raises(DataError, match="p-values in"):
        holm(p_values, family="f")
    with pytest.raises(PlanError):
        holm({"a": 0.1}, family="f", alpha=0)

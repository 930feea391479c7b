"""Two audits side by side: intervals against published and outside answers, matching, and the page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_example import example_report
from report_example_results import share

from titer.audit.report import schema as s
from titer.audit.report.compare import compare, render_comparison_html
from titer.audit.report.differences import PairedCounts, difference, paired_difference
from titer.errors import ReportError

COUNTS = st.integers(2, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((48, 80), (56, 70), 5.24, 33.39), ((3, 10), (9, 10), 17.05, 80.90)],
)
def test_published_intervals(first: tuple[int, int], second: tuple[int, int], low: float, high: float) -> None:
    """Newcombe 1998, Statist. Med. 17:873, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10."""
    found = difference("accuracy", share(*first), share(*second), higher_is_better=True)
    assert found.low == pytest.approx(low, abs=0.011)
    assert found.high == pytest.approx(high, abs=0.011)


@given(COUNTS, COUNTS)
def test_unpaired_agrees_with_statsmodels(first: tuple[int, int], second: tuple[int, int]) -> None:
    """statsmodels 0.14: confint_proportions_2indep(k2, n2, k1, n1, method='newcomb', compare='diff')."""
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    found = difference("accuracy", share(*first), share(*second), higher_is_better=True)
    low, high = proportion.confint_proportions_2indep(*second, *first, method="newcomb", compare="diff")
    assert found.low == pytest.approx(100 * low, abs=1e-6)
    assert found.high == pytest.approx(100 * high, abs=1e-6)


@given(COUNTS, COUNTS)
def test_turning_the_sides_turns_the_interval(first: tuple[int, int], second: tuple[int, int]) -> None:
    there = difference("x", share(*first), share(*second), higher_is_better=True)
    back = difference("x", share(*second), share(*first), higher_is_better=True)
    assert None not in (there.low, there.high, back.low, back.high)
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-(back.high or 0.0))
    assert there.high == pytest.approx(-(back.low or 0.0))
    opposite = {"better": "worse", "worse": "better", "unclear": "unclear"}
    assert back.meaning == opposite[there.meaning]


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [((36, 12, 2, 0), 5.69, 34.04), ((36, 14, 0, 0), 15.28, 41.67)],
)
def test_published_paired_intervals(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    """Newcombe 1998, Statist. Med. 17:2635, method 10."""
    both, only_b, only_a, neither = counts
    cases = PairedCounts(both=both, only_a=only_a, only_b=only_b, neither=neither)
    n = sum(counts)
    found = paired_difference("accuracy", share(both + only_a, n), share(both + only_b, n), cases)
    assert found.low == pytest.approx(low, abs=0.011)
    assert found.high == pytest.approx(high, abs=0.011)


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(lambda c: sum(c) > 1))
def test_paired_intervals_hold_the_difference(counts: tuple[int, int, int, int]) -> None:
    both, only_a, only_b, neither = counts
    n = sum(counts)
    cases = PairedCounts(both=both, only_a=only_a, only_b=only_b, neither=neither)
    found = paired_difference("accuracy", share(both + only_a, n), share(both + only_b, n), cases)
    assert found.low is not None
    assert found.high is not None
    assert -100 - 1e-9 <= found.low <= found.value + 1e-9 <= found.high + 2e-9 <= 100 + 3e-9


def test_paired_counts_of_other_cases_are_refused() -> None:
    with pytest.raises(ReportError, match="first audit"):
        paired_difference("x", share(50, 100), share(60, 100), PairedCounts(both=10, only_a=1, only_b=2, neither=3))


def test_a_measure_without_interval_gets_none() -> None:
    bare = s.Measure(value=5.3, n=200, method="mean", unit="years")
    found = difference("RMSE", bare, bare, higher_is_better=False)
    assert (found.low, found.high, found.meaning) == (None, None, "no interval")


@pytest.mark.parametrize("method", ["one patient: no interval", "Wilson on patients (all cases agree)"])
def test_intervals_by_patient_are_not_replaced_by_narrower_ones_by_case(method: str) -> None:
    """Thirty cases of one patient: k of n would give an interval that excludes zero."""
    low, high = (None, None) if "no interval" in method else (0.0, 0.79)
    one = s.Measure(value=0.0, low=low, high=high, n=30, k=0, method=method)
    two = s.Measure(value=1.0, low=None if low is None else 0.21, high=None if low is None else 1.0, n=30, k=30,
                    method=method)  # fmt: skip
    found = difference("accuracy", one, two, higher_is_better=True)
    assert found.low is None or found.low <= 0
    assert found.meaning in ("no interval", "unclear")


def test_one_case_on_either_side_shows_no_difference() -> None:
    assert difference("accuracy", share(0, 1), share(1, 1), higher_is_better=True).meaning == "unclear"
    sure = s.Measure(value=5.0, low=5.0, high=5.0, n=1, method="all cases agree", unit="years")
    other = sure.model_copy(update={"value": 9.0, "low": 9.0, "high": 9.0})
    assert difference("RMSE", sure, other, higher_is_better=False).meaning == "no interval"


def test_a_lower_error_is_better() -> None:
    one = s.Measure(value=13.2, low=12.5, high=13.9, n=200, method="bootstrap", unit="years")
    two = s.Measure(value=7.0, low=6.5, high=7.5, n=200, method="bootstrap", unit="years")
    assert difference("RMSE", one, two, higher_is_better=False).meaning == "better"


def test_an_audit_beside_itself_shows_no_difference() -> None:
    report = example_report()
    found = compare(report, report)
    assert len(found.matches) == len(report.cells)
    assert found.only_a == found.only_b == ()
    assert all(
        d.value == 0 and d.meaning in ("unclear", "neutral", "no interval")
        for m in found.matches
        for d in m.differences
    )
    assert any("The same model stands in both" in note for note in found.notes)


def renamed() -> s.Report:
    report = example_report()
    text = report.model_dump_json().replace("T-CNN", "T-CNN hardened").replace("t-cnn/", "t-cnn-hardened/")
    return s.Report.model_validate_json(text)


def test_what_only_one_has_is_listed_and_renaming_matches_it() -> None:
    plain, hardened = example_report(), renamed()
    apart = compare(plain, hardened)
    assert len(apart.only_a) == len(apart.only_b) == 16
    together = compare(plain, hardened, models={"T-CNN": "T-CNN hardened"})
    assert together.only_a == together.only_b == ()
    assert any(match.model == "T-CNN → T-CNN hardened" for match in together.matches)


def test_threats_with_equal_limits_do_not_stand_for_one_another() -> None:
    report = example_report()
    tree = report.model_dump()
    cell, threat = report.cells[0], next(t for t in report.threats if t.id == report.cells[0].threat)
    two = cell.model_copy(update={"id": "other", "threat": "other-norm", "rerun": "titer audit"})
    tree |= {
        "cells": [*report.cells, two],
        "threats": [*report.threats, threat.model_copy(update={"id": "other-norm"})],
    }
    both = s.Report.model_validate(tree)
    found = compare(both, both)
    assert [(m.cell_a, m.threat) for m in found.matches if m.cell_a != m.cell_b] == []
    assert {m.cell_a for m in found.matches} == {each.id for each in both.cells}
    assert f"{cell.attack} at" in render_comparison_html(found)
    assert "under other-norm" in render_comparison_html(found)
    lonely = compare(report, both)
    assert lonely.only_b == ("other",)


@pytest.mark.parametrize("names", [{"nobody": "T-CNN"}, {"T-CNN": "nobody"}])
def test_unknown_models_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(ReportError, match="nobody"):
        compare(example_report(), example_report(), models=names)


def test_paired_counts_are_used_where_given() -> None:
    report = example_report()
    cell = report.cells[0]
    assert isinstance(cell.metrics, s.ClassificationMetrics)
    right, n = cell.metrics.robust_accuracy.k or 0, cell.metrics.robust_accuracy.n
    cases = PairedCounts(both=right, only_a=0, only_b=0, neither=n - right)
    found = compare(report, report, paired={(cell.id, cell.id): cases}).matches[0]
    named = {d.name: d for d in found.differences}
    assert named["Accuracy, under attack"].method.startswith("paired")
    assert named["Accuracy, no attack"].method.startswith("unpaired")


def test_changed_data_are_named() -> None:
    report = example_report()
    first, *rest = report.datasets
    other = report.model_copy(update={"datasets": (first.model_copy(update={"digest": "changed"}), *rest)})
    assert any("other cases: chest phantom" in note for note in compare(report, other).notes)


def test_the_page_is_whole_and_harmless() -> None:
    report = example_report()
    identity = report.identity.model_copy(update={"title": "<script>alert(1)</script>"})
    html = render_comparison_html(compare(report, report.model_copy(update={"identity": identity})))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html == render_comparison_html(compare(report, report.model_copy(update={"identity": identity})))

"""The report from results: every block present, numbers that agree with each other, rules judged."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from build import build, edited, joined

from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.audit.assemble.draft import assemble
from titer.audit.assemble.numbers import difference, mean, over_trials, share
from titer.audit.assemble.rules import Candidate, measure_names, needed
from titer.audit.assemble.verdict import FailIf, check_rules
from titer.audit.export import export
from titer.audit.plan import CostSpec
from titer.audit.report.files import canonical_json
from titer.audit.report.paths import resolve
from titer.audit.report.render import render_html
from titer.audit.report.schema import (
    ClassificationMetrics,
    Measure,
    MultiLabelMetrics,
    RegressionMetrics,
    Report,
)
from titer.audit.results import Results
from titer.errors import PlanError
from titer.threats.goal import Goal


def with_rules(results: Results, *rules: str) -> Results:
    prepared = results.prepared
    plan = prepared.plan.model_copy(update={"fail_if": rules})
    changed = type(prepared)(plan, prepared.root, prepared.datasets, prepared.threats, prepared.jobs, prepared.trials)
    return Results(changed, results.cells)


def handed_over(results: Results) -> Results:
    """The same results of a model that was not trained here."""
    subjects = tuple(each.model_copy(update={"model": {"path": "own.onnx"}}) for each in results.prepared.plan.subjects)
    plan = results.prepared.plan.model_copy(update={"subjects": subjects})
    cells = tuple(replace(cell, subject=subjects[cell.trials[0].trial.subject]) for cell in results.cells)
    for cell in cells:
        for trial in cell.trials:
            trial.before.facts["notes"] = []  # type: ignore[index]
    return Results(replace(results.prepared, plan=plan), cells)


@pytest.fixture(scope="module")
def results() -> Results:
    return build()


@pytest.fixture(scope="module")
def report(results: Results) -> Report:
    return assemble(results)


def test_accuracies_are_the_shares_of_right_answers(results: Results, report: Report) -> None:
    for cell, made in zip(results.cells, report.cells, strict=True):
        metrics = made.metrics
        assert isinstance(metrics, ClassificationMetrics)
        assert metrics.robust_accuracy.value == cell.pooled(lambda t: t.right_after).mean()
        drop = metrics.clean_accuracy.value - metrics.robust_accuracy.value
        assert metrics.accuracy_drop.value == pytest.approx(100 * drop)


def test_shifts_add_up_to_the_accuracy_drop(report: Report) -> None:
    drops = {cell.id: cell.metrics.accuracy_drop.value for cell in report.cells}  # type: ignore[union-attr]
    assert report.error_shifts
    for shift in report.error_shifts:
        sick = (shift.clean.tp + shift.clean.fn) / sum((shift.clean.tp, shift.clean.fn, shift.clean.fp, shift.clean.tn))
        total = shift.fnr_shift.value * sick + shift.fpr_shift.value * (1 - sick)
        assert total == pytest.approx(drops[shift.cell], abs=1e-9)


def test_an_attack_on_the_diseased_leaves_false_alarms_alone(results: Results) -> None:
    def only_sick(cell, trial):  # type: ignore[no-untyped-def]
        keep = trial.sick[:, None] if trial.after["scores"].ndim == 2 else trial.sick
        return {"scores": np.where(keep, trial.after["scores"], trial.before["scores"])}

    for shift in assemble(edited(results, only_sick)).error_shifts:
        assert (shift.clean.fp, shift.clean.tn) == (shift.attacked.fp, shift.attacked.tn)
        assert shift.fpr_shift.value == 0


def test_the_worst_case_is_below_every_attack_and_never_rises(report: Report) -> None:
    for envelope in (curve for curve in report.curves if curve.envelope):
        values = [point.measure.value for point in envelope.points]
        assert values == sorted(values, reverse=True)
        for curve in report.curves:
            if curve.threat == envelope.threat and not curve.envelope and curve.attack != "noise":
                for one, worst in zip(curve.points, envelope.points, strict=True):
                    assert worst.measure.value <= one.measure.value + 1e-12


def test_equal_results_give_equal_reports(results: Results, report: Report) -> None:
    again = assemble(results)
    fixed = {"created": report.identity.created}
    assert canonical_json(
        again.model_copy(update={"identity": again.identity.model_copy(update=fixed)})
    ) == canonical_json(report)


@pytest.mark.parametrize(
    ("kind", "task"),
    [("image", "classes"), ("image", "anomaly"), ("table", "regression"), ("image", "multilabel"), ("signal", "binary"),
     ("tokens", "classes"), ("volume", "classes")],
)  # fmt: skip
def test_every_kind_of_task_becomes_a_report(kind: str, task: str) -> None:
    norm = "" if kind == "tokens" else "linf"
    made = assemble(build(kind=kind, task=task, norm=norm or "linf", seeds=(0,), cases=60, limits=("1", "2")))  # type: ignore[arg-type]
    assert made.cells
    assert made.summary.headline.text


def test_several_models_stand_side_by_side() -> None:
    made = assemble(joined(build(name="A", seeds=(0, 1)), build(name="B", seeds=(0, 1))))
    assert [card.name for card in made.models] == ["A", "B"]
    assert {row.model for row in made.table1} == {"A", "B"}


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("robust_accuracy < 0.999", "broken"),
        ("robust_accuracy < 0 %", "held"),
        ("clean_accuracy < 0.5", "held"),
        ("accuracy_drop > 0", "broken"),
        ("robust_accuracy < 0.999 at 2/255", "broken"),
        ("robust_accuracy < 0.999 at 17", "not measured"),
        ("mae > 3", "not measured"),
    ],
)
def test_rules_are_judged(results: Results, rule: str, status: str) -> None:
    made = assemble(with_rules(results, rule))
    assert made.limits.rules[0].status == status
    assert made.passed is (status == "held")


@pytest.mark.parametrize(
    "rule", ["robust_accuracy", "robustness < 0.5", "robust_accuracy = 0.5", "robust_accuracy < half"]
)
def test_rules_that_say_nothing_are_refused(rule: str) -> None:
    with pytest.raises(PlanError, match=re.escape("robust_accuracy < 0.5 at 4/255")):
        FailIf.read(rule)


@pytest.mark.parametrize(
    ("rule", "got"), [("robust_accuracy < 0.5 on B", "'B'"), ("robust_accuracy < 0.5 at 17", "'17'")]
)
def test_rules_about_what_the_plan_does_not_have_are_refused(results: Results, rule: str, got: str) -> None:
    with pytest.raises(PlanError, match=re.escape(got)):
        check_rules(with_rules(results, rule).prepared)


def test_a_share_has_wilson_limits_when_every_case_is_a_patient() -> None:
    found = share(np.array([True] * 9 + [False]), np.arange(10), 200)
    assert found is not None
    assert (found.method, found.n, found.k) == ("Wilson", 10, 9)
    assert found.low == pytest.approx(0.5958, abs=1e-4)  # statsmodels proportion_confint(9, 10, method="wilson")


def test_agreement_of_all_cases_is_no_certainty() -> None:
    found = share(np.ones(30, dtype=bool), np.repeat(np.arange(10), 3), 200)
    assert found is not None
    assert found.value == 1
    assert found.low is not None
    assert found.low < 0.75


def test_equal_columns_have_equal_intervals() -> None:
    rng = np.random.default_rng(0)
    values, patients = rng.normal(size=60), np.repeat(np.arange(20), 3)
    assert mean(values, patients, 500, unit="mV") == mean(values.copy(), patients + 7, 500, unit="mV")


def test_a_mean_over_trials_has_a_t_interval() -> None:
    found = over_trials([0.8, 0.82, 0.84, 0.86, 0.88], unit="proportion", n=5)
    assert found is not None
    assert found.low == pytest.approx(0.84 - 2.776445 * 0.0316228 / 5**0.5, abs=1e-6)


def test_settings_that_differ_between_models_are_all_listed() -> None:
    """Two models, one attack, other settings: both stand in the attack's card, as JSON has them."""
    one = build(name="A", attacks=(PGD(steps=5), Noise()), rates={"pgd": (0.5, 0.4, 0.3), "noise": (0.9, 0.9, 0.9)})
    two = build(name="B", attacks=(PGD(steps=9), Noise()), rates={"pgd": (0.5, 0.4, 0.3), "noise": (0.9, 0.9, 0.9)})
    card = next(card for card in assemble(joined(one, two)).attacks if card.name == "pgd")
    assert card.settings["steps"] == 5
    assert any(isinstance(value, dict) and value.get("steps") == 9 for value in card.settings.values())


def test_no_leakage_check_is_passed_for_a_model_trained_elsewhere() -> None:
    mixed = joined(build(name="ours", data="one"), handed_over(build(name="theirs", data="two")))
    made = assemble(mixed)
    assert {card.name: card.leakage.status for card in made.datasets} == {"one": "passed", "two": "not applicable"}
    assert any(said.startswith("theirs was trained elsewhere") for said in made.limitations)
    trap = next(trap for trap in made.traps if trap.id == "no_leakage")
    assert "theirs was trained elsewhere; Titer cannot know on which cases." in trap.evidence
    alone = assemble(handed_over(build()))
    assert next(trap for trap in alone.traps if trap.id == "no_leakage").status == "not applicable"
    assert not re.search("another split or training|training and splitting", canonical_json(alone))


def test_leakage_of_one_data_set_is_not_told_of_another() -> None:
    kept = build(name="A", data="one", facts={"leakage": "2 near-identical pairs were kept."})
    spec = kept.prepared.plan.subjects[0]
    data = spec.data.model_copy(update={"split": spec.data.split.model_copy(update={"near_duplicates": "report"})})
    subject = spec.model_copy(update={"data": data})
    plan = kept.prepared.plan.model_copy(update={"subjects": (subject,)})
    kept = Results(replace(kept.prepared, plan=plan), tuple(replace(cell, subject=subject) for cell in kept.cells))
    made = assemble(joined(kept, build(name="B", data="two")))
    assert {card.name: card.leakage.status for card in made.datasets} == {"one": "failed", "two": "passed"}


def costing(results: Results, **costs: object) -> Results:
    """The same results under a plan that states costs."""
    subject = results.prepared.plan.subjects[0].model_copy(update={"costs": CostSpec(**costs)})  # type: ignore[arg-type]
    return replace(results, cells=tuple(replace(cell, subject=subject) for cell in results.cells))


@pytest.mark.parametrize("unit", [{}, {"unit": "false alarms"}])
def test_errors_of_two_kinds_are_never_told_as_false_alarms(results: Results, unit: dict[str, str]) -> None:
    """The harm weighs misses by 5; the clinician reads how many of each there are."""
    made = assemble(costing(results, **unit))
    for shift in made.error_shifts:
        harm = shift.harm
        assert harm is not None
        sick = shift.clean.tp + shift.clean.fn
        n = sick + shift.clean.fp + shift.clean.tn
        assert harm.extra_misses.value == pytest.approx(1000 * (shift.attacked.fn - shift.clean.fn) / n)
        assert harm.extra_alarms.value == pytest.approx(1000 * (shift.attacked.fp - shift.clean.fp) / n)
        assert harm.per_thousand.value == pytest.approx(5 * harm.extra_misses.value + harm.extra_alarms.value)
        assert harm.unit == harm.per_thousand.unit == "weighted errors"
        assert (harm.stated, harm.prevalence_source) == (False, "test set")
    text = " ".join(paragraph.text for paragraph in made.summary.clinician)
    found = re.search(r"that is (\d+) more missed \(95% interval .*?\) and (\d+) more false alarms", text)
    lead = next(s for s in made.error_shifts if s.cell.endswith("2-255/pgd")).harm
    assert found is not None
    assert lead is not None
    assert [int(n) for n in found.groups()] == [round(lead.extra_misses.value), round(lead.extra_alarms.value)]
    assert "as among the test cases" in text
    assert "the plan states no weights" in text
    assert not re.search(r"\d false alarms \(95% interval [^)]*\) per thousand", text)
    page = render_html(made)
    assert "as the plan states" not in page.lower()
    assert "in weighted errors" in page


def test_costs_and_prevalence_that_the_plan_states_are_named_as_its_own(results: Results) -> None:
    made = assemble(costing(results, false_negative=100, false_positive=2, unit="EUR", prevalence=0.1))
    harm = made.error_shifts[0].harm
    assert harm is not None
    assert (harm.stated, harm.prevalence_source, harm.unit, harm.prevalence) == (True, "plan", "EUR", 0.1)
    assert harm.extra_misses.value == pytest.approx(made.error_shifts[0].fnr_shift.value)  # 10 x 0.1 x points
    assert harm.per_thousand.low is not None
    assert harm.per_thousand.low < harm.per_thousand.value
    assert "as the plan states" in made.summary.clinician[1].text


@pytest.mark.parametrize(
    ("values", "patients", "method"),
    [([0.7], [0], "one case"), ([0.7, 0.7], [0, 1], "all cases agree"), ([0.7, 0.9], [3, 3], "one patient")],
)
def test_what_does_not_vary_has_no_interval_rather_than_one_of_no_width(
    values: list[float], patients: list[int], method: str
) -> None:
    found = mean(np.array(values), np.array(patients), 200, unit="mV")
    assert found is not None
    assert (found.low, found.high) == (None, None)
    assert found.method == f"{method}: no interval"


def test_trials_that_agree_have_no_interval() -> None:
    found = over_trials([0.8, 0.8, 0.8], unit="proportion", n=3)
    assert found is not None
    assert (found.low, found.high) == (None, None)


def test_a_drop_of_nothing_is_bounded_by_the_number_of_patients() -> None:
    """No case of 20 changed: Newcombe's interval from 20 of 20, whose Wilson limits are 0.8389 and 1."""
    right = np.ones(40, dtype=bool)
    found = difference(right, right, np.arange(40) // 2, 200)
    assert found is not None
    assert (found.value, found.n) == (0, 40)
    assert found.low == pytest.approx(-16.11, abs=0.01)
    assert found.high == pytest.approx(16.11, abs=0.01)


@pytest.mark.parametrize("task", ["classes", "multilabel", "regression", "anomaly"])
@pytest.mark.parametrize("cases", [8, 60])
def test_no_interval_of_a_report_has_zero_width(task: str, cases: int) -> None:
    """Whatever the task, and where an attack changes nothing at all, or everything."""
    flat = {"pgd": (0.9, 0.9, 0.0), "fgsm": (0.9, 0.9, 0.5), "noise": (0.9, 0.9, 0.9)}
    rates = {name: values if task == "classes" else (0.9, 0.5, 0.2) for name, values in flat.items()}
    made = assemble(build(task=task, kind="table", cases=cases, seeds=(0, 1, 2), wobble=0.0, rates=rates))  # type: ignore[arg-type]

    def check(tree: object) -> None:
        if isinstance(tree, dict):
            if tree.get("low") is not None and "method" in tree:
                assert tree["low"] < tree["high"], tree
            for part in tree.values():
                check(part)
        elif isinstance(tree, list):
            for part in tree:
                check(part)

    check(made.model_dump(mode="json"))
    render_html(made)


@pytest.mark.parametrize(("task", "kind", "goal"), [("three", "image", "targeted"), ("binary", "signal", "raise")])
def test_success_is_the_attackers_own(task: str, kind: str, goal: str) -> None:
    """Of the cases in which the clean answer is not what the attacker wants, the share in which it becomes that."""
    found = build(task=task, kind=kind, goal=goal, limits=("0.1", "0.2", "0.3"))  # type: ignore[arg-type]
    made = assemble(found)
    differ = 0
    for cell, one in zip(found.cells, made.cells, strict=True):
        wanted = Goal(goal)  # type: ignore[arg-type]
        before, after = (
            np.concatenate([wanted.fooled(t.task, t.targets, t.before["scores"], table["scores"])
                            for t in cell.trials for table in [t.before if when == "before" else t.after]])
            for when in ("before", "after")
        )  # fmt: skip
        rate = one.metrics.attack_success_rate
        assert rate is not None
        assert rate.n == int((~before).sum())
        assert rate.k == int((after & ~before).sum())
        differ += rate.n != int(cell.pooled(lambda t: t.right_before).sum())
    assert differ or goal == "targeted"  # with three classes every wrong answer of the builder is the next class
    words = made.summary.engineer[0].text
    assert "initially correct" not in words
    assert "gets what the attacker wants" in words


def test_a_median_radius_lies_between_the_limits_that_were_tried(results: Results) -> None:
    """Half of the cases fall somewhere above 1/255 and up to 2/255; nothing in between was tried."""
    made = assemble(results)
    curve = next(curve for curve in made.curves if curve.attack == "pgd")
    assert curve.median_minimal_radius is not None
    assert curve.median_minimal_radius.value == pytest.approx(2 / 255)
    assert curve.median_minimal_radius.low == pytest.approx(1 / 255)
    page = render_html(made)
    assert "T-CNN under pgd: between 1/255 and 2/255 of the gray scale" in page
    assert "(0.5 to 0.5)" not in page


def test_a_plan_without_limits_passes_nothing(results: Results) -> None:
    made = assemble(results)
    assert made.passed is None
    assert "sets no limits" in made.summary.headline.text
    assert "No limits set" in render_html(made)
    assert Report.model_validate_json(made.model_dump_json()).passed is None


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("robust_accuracy < 0.01", "not judged"),  # rests on what an attack failed to find
        ("robust_accuracy < 0.01 by fgsm", "held"),  # the suspect cells are PGD's
        ("accuracy_drop > 90", "not judged"),
        ("clean_accuracy < 0.5", "held"),  # a weak attack puts no clean number in doubt
        ("robust_accuracy < 0.99", "broken"),  # who was broken by a weak attack is broken
    ],
)
def test_a_limit_that_rests_on_a_suspect_result_does_not_hold(rule: str, status: str) -> None:
    """Gradients of zero under PGD: a trap fails, and what PGD did not find proves nothing."""

    def blind(cell, trial):  # type: ignore[no-untyped-def]
        return {"flat": np.ones(len(trial.after))} if cell.attack == "pgd" else None

    found = edited(with_rules(build(), rule), blind)
    made = assemble(found)
    assert [trap.id for trap in made.traps if trap.status == "failed"] == ["gradients_alive"]
    judged = made.limits.rules[0]
    assert judged.status == status
    assert made.passed is (status == "held")
    trap = next(trap for trap in made.traps if trap.status == "failed")
    if status == "not judged":
        assert trap.name in judged.reason
        assert "not all could be judged" in made.summary.headline.text
        assert "Not judged" in render_html(made)
        plan = found.prepared.plan.model_copy(update={"explain": {"gradients_alive": "known and understood"}})
        assert assemble(Results(replace(found.prepared, plan=plan), found.cells)).limits.rules[0].status == "held"


def apart(results: Results) -> Results:
    """FGSM and PGD turn different cases: each leaves more standing than both together."""

    def half(cell, trial):  # type: ignore[no-untyped-def]
        if cell.control:
            return None
        odd = (trial.after["row"] % 2 == 1) == (cell.attack == "pgd")
        return {"scores": np.where(odd[:, None], trial.after["scores"], trial.before["scores"])}

    return edited(results, half)


def test_robust_accuracy_is_that_of_cases_that_withstand_all_attacks() -> None:
    """The number that a rule is held against is the report's own worst case, below each attack alone."""
    found = apart(build())
    alone = min(
        cell.metrics.robust_accuracy.value  # type: ignore[union-attr]
        for cell in assemble(found).cells if cell.limit.label == "4/255" and cell.attack != "noise"
    )  # fmt: skip
    both = next(curve for curve in assemble(found).curves if curve.envelope).points[-1].measure.value
    assert both < alone - 0.1
    line = (both + alone) / 2
    made = assemble(with_rules(found, f"robust_accuracy < {line:.3f} at 4/255"))
    rule = made.limits.rules[0]
    assert (rule.status, rule.measured) == ("broken", both)
    assert resolve(made.model_dump(mode="json"), str(rule.path)) == both
    assert "the worst of fgsm and pgd for each case" in rule.scope
    assert assemble(with_rules(found, f"robust_accuracy < {line:.3f} at 4/255 by pgd")).limits.rules[0].status == "held"


def test_a_rule_may_speak_of_the_lower_end_of_the_interval(results: Results) -> None:
    made = assemble(
        with_rules(results, "lower bound of robust_accuracy < 0.3 at 2/255", "robust_accuracy < 0.3 at 2/255")
    )
    bound, value = made.limits.rules
    assert bound.path is not None
    assert bound.path.endswith(".low")
    assert bound.measured is not None
    assert value.measured is not None
    assert bound.measured < value.measured
    upper = assemble(with_rules(results, "upper bound of fnr > 0.99")).limits.rules[0]
    assert upper.path is not None
    assert upper.path.endswith("fnr_attacked.high")


def test_rules_name_threats_and_attacks_and_say_what_they_judged() -> None:
    one = build(
        name="A", limits=("1", "2"), kind="table", rates={"fgsm": (0.7, 0.5), "pgd": (0.6, 0.4), "noise": (0.9, 0.9)}
    )
    two = build(name="B", limits=("1", "2"), kind="table", norm="l0",
                rates={"fgsm": (0.3, 0.2), "pgd": (0.25, 0.1), "noise": (0.9, 0.9)})  # fmt: skip
    both = joined(one, two)

    def judged(rule: str) -> Any:
        check_rules(with_rules(both, rule).prepared)
        return assemble(with_rules(both, rule)).limits.rules[0]

    assert judged("robust_accuracy < 0.01 at 1").scope == (
        "B under additive-l0 at 1 features, the worst of fgsm and pgd for each case. "
        "Judged: 2 numbers, the worst decides."
    )
    assert judged("robust_accuracy < 0.01 at 1 under additive-linf").scope.startswith("A under additive-linf at 1 SD")
    assert judged("robust_accuracy < 0.01 under additive-l0 by fgsm at 2 on B").cell == "b/additive-l0/2/fgsm"
    assert judged("robust_accuracy < 0.01 by noise").cell.endswith("noise")
    for rule, got in [
        ("under additive-l2", "'additive-l2'"),
        ("by cw", "'cw'"),
        ("at 2 under additive-linf on B", "'additive-linf'"),
    ]:
        with pytest.raises(PlanError, match=re.escape(got)):
            check_rules(with_rules(both, f"robust_accuracy < 0.5 {rule}").prepared)


def test_names_that_hold_the_words_of_rules_are_read_whole() -> None:
    rule = FailIf.read("robust_accuracy < 5e-1 on trained on site B at 4/255")
    assert (rule.model, rule.limit, rule.number) == ("trained on site B", "4/255", 0.5)


def test_every_measure_of_the_report_can_be_limited() -> None:
    """The words of rules come from the report's format, so that a new measure needs no list."""
    names = measure_names()
    for block in (ClassificationMetrics, MultiLabelMetrics, RegressionMetrics):
        fields = {name for name in block.model_fields if name not in ("kind", "labels")}
        assert fields <= set(names)
    for text in ("within_tolerance < 0.5", "exact_match < 50 %", "confidence_on_errors > 0.9", "clean_fpr > 0.1"):
        assert FailIf.read(text).field in names


@pytest.mark.parametrize(
    ("cases", "rule", "status", "words"),
    [
        (5, "robust_accuracy < 0.3 at 1/255", "not judged", "needed are 50"),
        (200, "robust_accuracy < 0.345 at 2/255", "not judged", "would do if it stayed so"),
        (200, "robust_accuracy < 0.2 at 2/255", "held", ""),
        (200, "lower bound of robust_accuracy < 0.2 at 2/255", "held", ""),
        (5, "robust_accuracy < 0.99 at 4/255", "broken", "needed are 50"),
    ],
)
def test_limits_are_not_judged_by_too_few_cases(cases: int, rule: str, status: str, words: str) -> None:
    made = assemble(with_rules(build(cases=cases, seeds=(0,), wobble=0.0), rule))
    trap = next(trap for trap in made.traps if trap.id == "enough_cases")
    assert made.limits.rules[0].status == status
    assert (trap.status == "failed") is bool(words)
    assert words in trap.evidence


def test_a_few_cases_are_enough_where_nothing_is_limited() -> None:
    made = assemble(build(cases=5, seeds=(0,)))
    assert next(trap for trap in made.traps if trap.id == "enough_cases").status == "not applicable"


def test_the_number_of_cases_a_rule_needs_is_that_of_its_interval(results: Results) -> None:
    """0.4 of 100 cases with an interval from 0.3 to 0.5, held against 0.45: twice as close, four times as many."""
    measure = Measure(value=0.4, low=0.3, high=0.5, n=100, method="Wilson")
    found = Candidate(measure, "$", results.cells[0], (results.cells[0],), "x")
    assert needed(FailIf.read("robust_accuracy > 0.45"), found) == 400
    assert needed(FailIf.read("robust_accuracy > 0.4"), found) is None


def test_the_headline_speaks_of_the_main_and_the_largest_limit() -> None:
    """Nothing happens at the main limit and nearly all is lost at the largest: both are said."""
    late = {"pgd": (0.9, 0.9, 0.1), "fgsm": (0.9, 0.9, 0.4), "noise": (0.9, 0.9, 0.9)}
    made = assemble(build(rates=late, wobble=0.0))
    text = made.summary.headline.text
    assert "At the main limit 2/255" not in text  # one sentence with the model's name in front
    assert re.search(r"T-CNN: at the main limit 2/255 .*? no attack lowered its accuracy of 90", text)
    assert re.search(r"and at the largest limit 4/255 .*? pgd takes its accuracy from 90.* to 10", text)
    assert "most" not in text
    assert "No attack tried lowered that within 2/255" in made.summary.clinician[1].text
    assert "At the largest limit examined, 4/255" in made.summary.clinician[1].text


def test_of_several_models_the_one_that_loses_most_leads() -> None:
    weak = {"pgd": (0.5, 0.2, 0.1), "fgsm": (0.6, 0.5, 0.4), "noise": (0.9, 0.9, 0.9)}
    text = assemble(joined(build(name="A"), build(name="B", rates=weak))).summary.headline.text
    assert "B loses most: at the main limit" in text
    none = dict.fromkeys(weak, (0.9, 0.9, 0.9))
    quiet = assemble(joined(build(name="A", rates=none, wobble=0.0), build(name="B", rates=none, wobble=0.0)))
    assert "most" not in quiet.summary.headline.text
    assert "no attack lowered" in quiet.summary.headline.text


def test_at_the_only_limit_nothing_is_called_the_largest() -> None:
    made = assemble(build(limits=("2",), rates={"pgd": (0.4,), "fgsm": (0.5,), "noise": (0.9,)}))
    assert "largest" not in made.summary.headline.text
    assert "T-CNN: at 2/255" in made.summary.headline.text


@pytest.mark.parametrize("task", ["classes", "three", "binary", "anomaly", "multilabel", "regression"])
def test_the_table_of_answers_has_truth_decisions_and_scores_of_every_task(task: str) -> None:
    """No row without a truth, a decision and a score; the documentation names every column."""
    found = joined(build(name="A", task=task, kind="table", seeds=(0, 1)), build(name="B", task="multilabel"))
    table = pq.read_table(io.BytesIO(export(found)))
    rows = table.filter(pc.equal(table["model"], "A")).to_pandas()
    several = task == "multilabel"
    for word in ("target", "decision_clean", "decision_attacked", "score_clean", "score_attacked"):
        names = [name for name in table.column_names if name.startswith(word) and not rows[name].isna().any()]
        assert len(names) == (3 if several else 4 if task == "three" and word.startswith("score") else 1), word
    if several:
        first = found.cells[0].trials[0]
        assert (rows["target:effusion"][: len(first.targets)] == first.targets[:, 0]).all()
        assert (rows["score_attacked:nodule"][: len(first.targets)] == first.after["scores"][:, 2]).all()
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    for name in table.column_names:
        assert f"`{name.partition(':')[0]}{':NAME' if ':' in name else ''}`" in page


def test_the_mean_over_findings_has_an_interval() -> None:
    made = assemble(build(task="multilabel", kind="table", seeds=(0,)))
    for cell in made.cells:
        macro = cell.metrics.macro_auroc_attacked  # type: ignore[union-attr]
        assert macro.low is not None
        assert macro.low < macro.value < macro.high
        assert "3 of 3 findings" in macro.method


def test_a_regression_has_the_unit_of_its_quantity() -> None:
    made = assemble(build(task="regression", kind="table", seeds=(0,)))
    assert made.cells[0].metrics.rmse_clean.unit == "units of age"  # type: ignore[union-attr]
    assert "How accuracy falls" not in render_html(made)
    assert re.search(r"RMSE from [\d.]+ units of age", made.summary.headline.text)


def test_lines_that_hide_each_other_are_named() -> None:
    same = {"pgd": (0.7, 0.4, 0.1), "fgsm": (0.7, 0.4, 0.1), "noise": (0.9, 0.9, 0.9)}
    found = build(rates=same, wobble=0.0)
    assert "On one line: fgsm and pgd and worst case." in render_html(assemble(found))
    assert "On one line" not in render_html(assemble(apart(found)))


def test_no_machine_words_reach_the_page() -> None:
    made = assemble(build(kind="image"))
    page = render_html(made)
    text = re.sub(r"<pre.*?</pre>|<[^>]+>", " ", page, flags=re.DOTALL)
    for word in ("Wants: untargeted", "/255 gray level (0-1)", " mask none", "time(s)", "trial(s)", "takes 1 passes"):
        assert word not in text, word
    assert "Wants: any wrong answer" in text
    assert not re.search(r"\d\.\d{3,}%", text)


def test_rows_of_a_case_say_the_change_in_the_limits_unit() -> None:
    made = assemble(build(kind="table", limits=("0.1", "0.2", "0.4"), gallery=1))
    item = made.gallery[0]
    assert item.kind == "table"
    assert all(abs(row.moved or 0) <= 0.2 + 1e-6 and row.moved_unit == "SD" for row in item.rows)
    page = render_html(made)
    assert re.search(r"changed by [^<]*, that is [^<]*0\.2 SD", page)
    assert "unit of the feature" not in re.search(r'id="table-row-0".*?</table>', page, re.DOTALL).group()  # type: ignore[union-attr]


def test_notes_are_sentences() -> None:
    found = handed_over(build())
    for cell in found.cells:
        for trial in cell.trials:
            trial.before.facts["notes"] = ["probabilities were turned into logits", "Read from x."]  # type: ignore[index]
    note = assemble(found).models[0].note
    assert note == "The model as given; nothing was trained. Probabilities were turned into logits. Read from x."

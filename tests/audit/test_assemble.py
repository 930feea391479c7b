"""The report from results: every block present, numbers that agree with each other, rules judged."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from build import build, edited, joined

from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.audit.assemble.draft import assemble
from titer.audit.assemble.numbers import difference, mean, over_trials, share
from titer.audit.assemble.verdict import FailIf, check_rules
from titer.audit.plan import CostSpec
from titer.audit.report.files import canonical_json
from titer.audit.report.render import render_html
from titer.audit.report.schema import ClassificationMetrics, Report
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
    assert made.passed == (status == "held")


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
    assert "T-CNN under pgd: between 1/255 and 2/255 gray level" in page
    assert "(0.5 to 0.5)" not in page

"""Traps: healthy results spring none, and each planted fault springs exactly its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from build import RATES, USUAL, build, edited, edited_clean, joined, stand_in
from build_parts import answers
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.audit.plan import SplitSpec
from titer.audit.report.schema import Trap
from titer.audit.results import Results
from titer.audit.traps import TRAPS, check_explanations, check_traps
from titer.audit.traps._cells import allowed, covers
from titer.cases.leakage import check_leakage
from titer.cases.splits import Split
from titer.errors import PlanError
from titer.threats.changes.additive import Additive

GUESS = stand_in("guess", needs="scores")
SUITE = (
    "radius_monotone", "whole_range", "iterative_not_weaker", "white_box_not_weaker", "effort_helps", "noise_small",
    "within_limit", "gradients_alive",
)  # fmt: skip


def failed(results: Results) -> list[str]:
    return [trap.id for trap in check_traps(results) if trap.status == "failed"]


def asked(results: Results, name: str) -> Trap:
    return next(trap for trap in check_traps(results) if trap.id == name)


def rates(**changed: Iterable[float]) -> dict[str, tuple[float, ...]]:
    return {**{name: tuple(values) for name, values in RATES.items()}, **{k: tuple(v) for k, v in changed.items()}}


def some(n: int, k: int) -> np.ndarray:
    """The first k of n."""
    return np.arange(n) < k


class TestHealthyResults:
    @pytest.mark.parametrize(
        ("kind", "task", "norm", "limits"),
        [
            ("image", "classes", "linf", ("1", "2", "4")),
            ("rgb", "three", "l2", ("0.1", "0.2", "0.4")),
            ("volume", "anomaly", "linf", ("10", "20", "40")),
            ("signal", "binary", "linf", ("0.01 mV", "0.02 mV", "0.05 mV")),
            ("table", "regression", "l0", ("1", "2", "3")),
            ("tokens", "multilabel", "l0", ("1", "2", "3")),
        ],
    )
    def test_spring_nothing_whatever_the_task(self, kind, task, norm, limits):
        results = build(kind=kind, task=task, norm=norm, limits=limits)
        assert failed(results) == []
        assert all(trap.cells == () and trap.explanation is None for trap in check_traps(results))

    def test_all_eight_lines_are_asked_when_the_plan_runs_what_they_need(self):
        full = rates(fgsm=(0.7, 0.3, 0), pgd=(0.6, 0.2, 0), guess=(0.65, 0.25, 0.0), noise=(0.9, 0.9, 0.89))
        limits = ("1", "4", "255/255")
        few, many = (
            build(name=f"{steps}", attacks=(USUAL[0], PGD(steps=steps), GUESS, Noise()), limits=limits, rates=full)
            for steps in (5, 50)
        )
        traps = check_traps(joined(few, many))
        assert {trap.id: trap.status for trap in traps if trap.id in SUITE} == dict.fromkeys(SUITE, "passed")
        assert [trap.id for trap in traps[:8]] == list(SUITE)

    def test_what_was_not_run_is_not_applicable_and_says_why(self):
        traps = {trap.id: trap for trap in check_traps(build())}
        for name in ("whole_range", "white_box_not_weaker", "effort_helps"):
            assert traps[name].status == "not applicable"
            assert "run" in traps[name].evidence or "threat" in traps[name].evidence

    def test_other_goals_are_judged_by_what_the_attacker_wanted(self):
        assert failed(build(task="three", goal="targeted", rates=rates())) == []
        assert failed(build(task="binary", kind="signal", limits=("0.1", "0.2", "0.3"), goal="raise")) == []


class TestPlantedFaults:
    @settings(max_examples=15, deadline=None)
    @given(rise=st.floats(0.05, 0.3), place=st.sampled_from([1, 2]))
    def test_a_curve_that_rises(self, rise, place):
        shares = [0.5, 0.3, 0.1]
        shares[place] = shares[place - 1] + rise
        results = build(rates=rates(pgd=shares, fgsm=(0.85, 0.85, 0.85)))
        assert failed(results) == ["radius_monotone"]
        touched = asked(results, "radius_monotone").cells
        assert f"t-cnn/additive-linf/{[1, 2, 4][place]}-255/pgd" in touched

    @settings(max_examples=10, deadline=None)
    @given(left=st.floats(0.03, 0.3))
    def test_accuracy_left_at_the_whole_range(self, left):
        shares = rates(fgsm=(0.7, 0.5, left + 0.05), pgd=(0.6, 0.4, left))
        assert failed(build(limits=("2", "4", "255/255"), rates=shares)) == ["whole_range"]

    @settings(max_examples=10, deadline=None)
    @given(more=st.floats(0.03, 0.1))
    def test_a_single_step_that_beats_many(self, more):
        shares = rates(fgsm=(0.7, 0.5, 0.3), pgd=(0.7 - more, 0.5 - more, 0.3 + more))
        assert failed(build(rates=shares)) == ["iterative_not_weaker"]

    @settings(max_examples=10, deadline=None)
    @given(more=st.floats(0.03, 0.09))
    def test_a_black_box_that_beats_the_white_one(self, more):
        shares = rates(guess=(0.65 - more, 0.35 - more, 0.1 - more))
        assert failed(build(attacks=(*USUAL, GUESS), rates=shares)) == ["white_box_not_weaker"]

    @settings(max_examples=10, deadline=None)
    @given(more=st.floats(0.03, 0.09), field=st.sampled_from(["steps", "restarts"]))
    def test_more_effort_that_helps_the_model(self, more, field):
        few, many = (PGD(**{field: effort}) for effort in (5, 50))
        weaker = rates(pgd=(0.65 + more, 0.35 + more, 0.1 + more))
        results = joined(
            build(name="few", attacks=(USUAL[0], few, Noise())),
            build(name="many", attacks=(USUAL[0], many, Noise()), rates=weaker),
        )
        assert failed(results) == ["effort_helps"]

    @settings(max_examples=10, deadline=None)
    @given(left=st.floats(0.3, 0.65))
    def test_noise_that_hurts_like_an_attack(self, left):
        assert failed(build(rates=rates(noise=(0.9, 0.89, left)))) == ["noise_small"]

    @settings(max_examples=10, deadline=None)
    @given(count=st.integers(1, 20), column=st.sampled_from(["violated", "cost"]))
    def test_one_change_beyond_the_limit(self, count, column):
        def plant(cell, trial):
            if cell.attack != "pgd" or trial.trial.seed:
                return None
            bad = some(len(trial.after), count)
            new = {"violated": bad, "cost": np.where(bad, cell.radius.value * 1.001, trial.after["cost"])}
            return {column: new[column]}

        results = edited(build(), plant)
        assert "within_limit" in failed(results)
        assert set(failed(results)) <= {"within_limit", "steady_answers"}
        assert len(asked(results, "within_limit").cells) == 3

    @settings(max_examples=10, deadline=None)
    @given(share=st.floats(0.02, 1), column=st.sampled_from(["flat", "broken"]))
    def test_gradients_that_vanish(self, share, column):
        def plant(cell, trial):
            if cell.attack != "fgsm":
                return None
            return {column: some(len(trial.after), round(share * len(trial.after))).astype(float)}

        assert failed(edited(build(), plant)) == ["gradients_alive"]

    def test_an_attack_that_is_never_seen_to_work(self):
        flat = (0.9, 0.9, 0.9)
        assert failed(build(rates=rates(fgsm=flat, pgd=flat, noise=flat))) == ["attack_bites"]

    @pytest.mark.parametrize("task", ["classes", "anomaly"])
    @pytest.mark.parametrize("side", [True, False])
    def test_an_attack_that_lowers_one_side_only(self, task, side):
        def plant(cell, trial):
            spared = trial.sick == side
            scores = np.where(spared[:, None], trial.before["scores"], trial.after["scores"])
            return {"scores": scores, "fooled": ~trial.task.correct(scores, trial.targets)}

        assert failed(edited(build(task=task), plant)) == ["two_sides"]

    def test_an_attacker_who_used_less_than_the_model_gives(self):
        assert failed(build(attacks=(GUESS, Noise()))) == ["informed_attacker"]
        assert failed(build(attacks=(GUESS, Noise()), access="scores")) == []

    @pytest.mark.parametrize("task", ["classes", "three", "multilabel", "regression"])
    def test_a_model_that_guesses(self, task):
        """Right answers, handed to the wrong cases."""

        def shuffle(cell, trial):
            return {"scores": np.random.default_rng(trial.trial.seed).permutation(trial.before["scores"])}

        trap = asked(edited_clean(build(task=task), shuffle), "above_guessing")
        assert trap.status == "failed"
        assert len(trap.cells) == 9

    def test_a_model_with_one_answer_for_everything(self):
        def same(cell, trial):
            return {"scores": np.tile([3.0, 0.0], (len(trial.targets), 1))}

        def also(cell, trial):
            scores = np.tile([3.0, 0.0], (len(trial.targets), 1))
            return {"scores": scores, "fooled": trial.targets == 1}

        results = edited(edited_clean(build(limits=("2", "4", "255/255")), same), also)
        assert "above_guessing" in failed(results)
        assert "got the same answer" in asked(results, "above_guessing").evidence
        assert asked(results, "whole_range").status == "passed"  # the constant-class rate

    def test_a_model_that_answers_at_random(self):
        def plant(cell, trial):
            return {"scores": trial.after["scores"] * 1.2}

        assert failed(edited(build(), plant)) == ["steady_answers"]

    def test_a_class_that_is_ruled_out_is_steady(self):
        def plant(cell, trial):
            scores = trial.before["scores"].copy()
            scores[:5, 0] = -np.inf
            return {"scores": scores}

        def also(cell, trial):
            return {
                "scores": np.where(trial.after["cost"][:, None] == 0, trial.before["scores"], trial.after["scores"])
            }

        both = edited(edited_clean(build(), plant), also)
        assert asked(both, "steady_answers").status == "passed"

    def test_answers_of_other_cases(self):
        assert failed(edited(build(), lambda cell, trial: {"row": np.roll(trial.after["row"], 1)})) == ["same_cases"]

    def test_truth_of_other_cases(self):
        results = build()
        swapped = edited_clean(results, lambda cell, trial: {"patient": trial.patients[::-1]})
        assert failed(swapped) == ["same_cases"]


class TestLeakage:
    """Bound to the sentences of the real check, so that neither can change alone."""

    def results(self, mode: str, twins: int, explain: str = "") -> Results:
        data = build().prepared.datasets[0]
        n = len(data.cases)
        parts = Split(np.arange(n // 2), np.empty(0), np.arange(n // 2, n))
        inputs = data.cases.inputs.copy()
        inputs[n // 2 : n // 2 + twins] = inputs[:twins]
        found = check_leakage(replace(data, cases=replace(data.cases, inputs=inputs)), parts, near_duplicates=mode)
        results = build(facts={"leakage": str(found)})
        spec = SplitSpec(near_duplicates=mode, explain=explain)
        subject = results.prepared.plan.subjects[0]
        subject = subject.model_copy(update={"data": subject.data.model_copy(update={"split": spec})})
        plan = results.prepared.plan.model_copy(update={"subjects": (subject,)})
        cells = tuple(replace(cell, subject=subject) for cell in results.cells)
        return Results(replace(results.prepared, plan=plan), cells)

    @pytest.mark.parametrize(("mode", "twins"), [("refuse", 0), ("drop", 0), ("drop", 4), ("report", 0)])
    def test_cases_that_are_apart_pass(self, mode, twins):
        assert asked(self.results(mode, twins), "no_leakage").status == "passed"

    def test_cases_that_were_kept_spring_it_and_the_plan_explains(self):
        trap = asked(self.results("report", 4, "The source repeats exposures."), "no_leakage")
        assert trap.status == "failed"
        assert trap.explanation == "The source repeats exposures."
        assert "4 cases have a near-identical one" in trap.evidence


class TestTolerance:
    @given(st.integers(1, 100_000))
    def test_is_one_case_or_one_percent(self, n):
        assert allowed(n) == max(1, n // 100)

    @settings(max_examples=20, deadline=None)
    @given(extra=st.integers(0, 12))
    def test_decides_at_the_case(self, extra):
        """600 cases tolerate 6; the seventh springs the trap."""
        results = build(rates=rates(fgsm=(0.7, 0.5, 0.3), pgd=(0.7, 0.5, 0.3)), wobble=0)

        def plant(cell, trial):
            if cell.attack != "pgd" or cell.radius.label != "2/255" or trial.trial.seed:
                return None
            back = np.flatnonzero(trial.after["fooled"] & trial.right_before)[:extra]
            scores, fooled = trial.after["scores"].copy(), trial.after["fooled"].copy()
            scores[back], fooled[back] = answers(trial.task, trial.targets[back], np.zeros(extra, bool)), False
            return {"scores": scores, "fooled": fooled}

        expected = ["iterative_not_weaker"] if extra > 6 else []
        assert failed(edited(results, plant)) == expected
        if extra > 6:
            assert f"{extra} more, 6 tolerated" in asked(edited(results, plant), "iterative_not_weaker").evidence

    def test_noise_that_covers_the_whole_range_is_not_asked(self):
        shares = rates(fgsm=(0.7, 0.5, 0.0), pgd=(0.6, 0.4, 0.0), noise=(0.9, 0.9, 0.5))
        assert failed(build(limits=("2", "4", "255/255"), rates=shares)) == []

    def test_noise_that_costs_a_case_is_no_fault_where_attacks_cost_nothing(self):
        low = rates(fgsm=(0.895, 0.5, 0.3), pgd=(0.895, 0.35, 0.1), noise=(0.895, 0.89, 0.89))
        assert failed(build(rates=low)) == []


class TestWholeRange:
    @pytest.mark.parametrize(
        ("norm", "limit", "whole"),
        [
            ("linf", "10", True), ("linf", "9.99", False), ("l0", "4", True), ("l0", "3", False),
            ("l2", "12", True), ("l2", "11.9", False), ("l1", "21", True), ("l1", "20.8", False),
        ],
    )  # fmt: skip
    def test_knows_the_reach_of_each_norm(self, norm, limit, whole):
        """Features span 10 um with scales 1 to 4: 10, 5, 3.3 and 2.5 SD; together 11.93 (L2), 20.83 (L1)."""
        cell = build(kind="table", norm=norm, limits=(limit,), rates=lambda *_: 0.0).cells[0]
        assert covers(cell) is whole

    def test_asks_no_change_without_a_known_reach(self):
        cell = build(limits=("255/255",), rates=lambda *_: 0.0).cells[0]
        spared = replace(cell.threat, spec=cell.threat.spec.model_copy(update={"where": "outside-mask"}))
        assert covers(cell)
        assert not covers(replace(cell, threat=spared))
        assert not covers(build(kind="tokens", limits=("9",), rates=lambda *_: 0.0).cells[0])


class TestEvidence:
    def test_names_the_worst_cell_and_counts(self):
        shares = rates(fgsm=(0.7, 0.5, 0.3), pgd=(0.75, 0.6, 0.1))
        trap = asked(build(rates=shares, wobble=0), "iterative_not_weaker")
        assert "2 of 3 comparisons on 600 cases" in trap.evidence
        assert "pgd at 2/255 of the gray scale" in trap.evidence
        assert "360 of 600 cases withstand it, 300 withstand fgsm" in trap.evidence
        assert len(trap.cells) == 4

    def test_a_failure_carries_the_plans_explanation(self):
        shares = rates(noise=(0.9, 0.89, 0.4))
        explained = build(rates=shares, explain={"noise_small": "The scanner was not trained on noise."})
        assert asked(explained, "noise_small").explanation == "The scanner was not trained on noise."
        assert asked(build(explain={"noise_small": "Just in case."}), "noise_small").explanation is None

    def test_an_explanation_of_nothing_is_refused(self):
        with pytest.raises(PlanError, match="did you mean 'noise_small'"):
            check_traps(build(explain={"noise_smal": "A slip of the pen."}))
        check_explanations(TRAPS.names())

    def test_every_trap_is_named_like_its_file_and_stands_once(self):
        found = [TRAPS.find(name) for name in TRAPS.names()]
        assert [each.name for each in found] == TRAPS.names()
        assert len({each.place for each in found}) == len(found)

    def test_an_own_norm_is_no_additive_one(self):
        class Ring(Additive):
            name = "ring"

        cell = build(limits=("255/255",), change=Ring("linf"), rates=lambda *_: 0.0).cells[0]
        assert not covers(cell)

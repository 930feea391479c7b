"""The engine judges: an attack cannot declare its own success, and nothing outside is disturbed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from titer.attacks.attack import Attack
from titer.attacks.engine import _undisturbed, run
from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.problem import Problem
from titer.attacks.square import Square
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError, BudgetError, ModelError, ThreatError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.change import Change
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.substitution import Substitution
from titer.threats.goal import Goal
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel


@dataclass(frozen=True)
class Cheat(Attack):
    """Proposes whatever the test says."""

    how: str
    name: ClassVar[str] = "cheat"
    reference: ClassVar[str] = "none"
    searches: ClassVar[Any] = Change

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        ideal = problem.nothing()
        if self.how == "too far":
            return ideal + 2 * problem.limit[:, None]
        if self.how == "out of range":
            return ideal + problem.limit[:, None]
        if self.how == "not a number":
            return ideal * float("nan")
        if self.how == "endless":
            return ideal + float("inf")
        if self.how == "rewrites the clean case":
            problem.field.clean.add_(5.0)
            problem.inputs.add_(5.0)
            return ideal
        if self.how == "another shape":
            return ideal[:, :1]
        if self.how == "another type":
            return ideal.float()
        return ideal


class Broken(nn.Module):
    """A model whose root of zero has no finite slope."""

    def forward(self, x: Tensor) -> Tensor:
        root = torch.sqrt(x[:, :1] * 0)
        return torch.cat([x[:, 1:2] + root, x[:, 2:3]], dim=1)


@pytest.mark.parametrize("how", ["too far", "not a number", "endless", "rewrites the clean case"])
def test_a_proposal_that_breaks_the_rules_is_taken_back(how: str) -> None:
    model, batch = models.linear(4, 8)
    outcome = run(Cheat(how), model, batch, ThreatModel(Additive(), 0.5), seed="s")
    assert not outcome.fooled.any()
    assert outcome.violated.all() == (how != "rewrites the clean case")
    np.testing.assert_array_equal(outcome.perturbed, batch.inputs)
    np.testing.assert_array_equal(outcome.scores, outcome.clean_scores)
    np.testing.assert_array_equal(outcome.cost, 0.0)


def test_leaving_the_range_is_a_violation_even_within_the_limit() -> None:
    model, batch = models.linear(4, 8, low=-1.0, high=1.0)
    outcome = run(Cheat("out of range"), model, batch, ThreatModel(Additive(), 3.0), seed="s")
    assert outcome.violated.all()


@pytest.mark.parametrize("how", ["another shape", "another type"])
def test_parameters_of_another_kind_are_an_error(how: str) -> None:
    model, batch = models.linear(4, 3)
    with pytest.raises(AttackError, match="parameters of shape"):
        run(Cheat(how), model, batch, ThreatModel(Additive(), 0.5), seed="s")


def test_moving_what_the_mask_protects_is_a_violation() -> None:
    model, batch = models.network("image", 6)
    masks = np.zeros_like(batch.inputs)
    masks[:, :, 2:5, 2:5] = 1
    shielded = replace(batch, masks=masks)
    threat = ThreatModel(Additive(), 0.2, where="outside-mask")

    @dataclass(frozen=True)
    class Trespass(Cheat):
        def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
            return (problem.nothing() + 0.01).clamp(-0.1, 0.1)

    assert run(Trespass(""), model, shielded, threat, seed="s").violated.all()
    honest = run(PGD(steps=3), model, shielded, threat, seed="s")
    assert not honest.violated.any()
    assert honest.fooled.any()
    np.testing.assert_array_equal(honest.perturbed[masks == 1], batch.inputs[masks == 1])
    with pytest.raises(ThreatError, match="lesion masks"):
        run(PGD(steps=3), model, batch, threat, seed="s")


@pytest.mark.parametrize("kind", ["image", "volume", "signal"])
@pytest.mark.parametrize("attack", [PGD(steps=4), FGSM(), Square(queries=40), Noise()], ids=lambda each: each.name)
def test_inside_the_mask_alone_may_change(attack: Attack, kind: str) -> None:
    model, batch = models.network(kind, 6)  # type: ignore[arg-type]
    masks = np.zeros_like(batch.inputs)
    masks[..., 1:4] = 1
    brain = replace(batch, masks=masks)
    threat = ThreatModel(Additive(), 0.3, where="inside-mask", knowledge=attack.needs)
    outcome = run(attack, model, brain, threat, seed="s")
    assert not outcome.violated.any()
    moved = outcome.perturbed != batch.inputs
    assert moved[masks == 1].any()
    assert not moved[masks == 0].any()
    # What is marked in one case says nothing about another, and a case without a mark stays as it is.
    masks[0] = 0
    masks[1] = 1
    mixed = run(attack, model, replace(batch, masks=masks), threat, seed="s")
    np.testing.assert_array_equal(mixed.perturbed[0], batch.inputs[0])
    np.testing.assert_array_equal(mixed.perturbed[2:], outcome.perturbed[2:])
    with pytest.raises(ThreatError, match="masks for 'inside-mask'"):
        run(attack, model, batch, threat, seed="s")


def test_a_linear_age_moves_by_the_weights_of_the_brain_alone() -> None:
    """Shift of a linear regressor under a limit: the limit times the sum of |weights| where something may change."""
    rng = np.random.default_rng(0)
    space = Space("volume", (1, 4, 5, 6), "normalized intensity")
    weight = rng.normal(size=(1, space.size))
    model = TorchModel(
        models.Affine(torch.from_numpy(weight), torch.tensor([70.0], dtype=torch.float64)),
        space, Task("regression", ("age",), tolerance=1.0), name="age",
    )  # fmt: skip
    inputs = rng.uniform(0.2, 0.8, size=(5, *space.shape))
    brain = np.zeros_like(inputs)
    brain[:, :, 1:3, 1:4, 2:5] = 1
    batch = replace(Batch.of(inputs, model.predict(inputs)[:, 0]), masks=brain)
    for where, allowed in (("inside-mask", brain[0]), ("outside-mask", 1 - brain[0]), ("all", np.ones(space.shape))):
        for goal, sign in (("raise", 1), ("lower", -1)):
            threat = ThreatModel(Additive(), 0.002, where=where, goal=Goal(goal))  # type: ignore[arg-type]
            outcome = run(PGD(steps=3), model, batch, threat, seed="s")
            shift = (outcome.scores - outcome.clean_scores)[:, 0]
            np.testing.assert_allclose(shift, sign * 0.002 * (np.abs(weight[0]) * allowed.ravel()).sum(), rtol=1e-9)


def test_inside_and_outside_share_out_the_case() -> None:
    model, batch = models.linear(6, 5)
    masks = np.zeros_like(batch.inputs)
    masks[:, :2] = 1
    marked = replace(batch, masks=masks)
    gains = []
    for where in ("inside-mask", "outside-mask", "all"):
        outcome = run(FGSM("margin"), model, marked, ThreatModel(Additive(), 0.1, where=where), seed="s")
        moved = outcome.scores - outcome.clean_scores
        gains.append(moved[:, 1] - moved[:, 0])
    np.testing.assert_allclose(gains[0] + gains[1], gains[2], atol=1e-12)


def test_unlisted_words_and_changed_padding_are_violations() -> None:
    model, batch = models.network("tokens", 6)

    @dataclass(frozen=True)
    class Scribble(Cheat):
        def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
            notes = problem.nothing()
            position = 0 if self.how == "word" else notes.shape[1] - 1
            notes[:, position] = (notes[:, position] + 5) % 19 + 1
            return notes

    for how in ("word", "padding"):
        short = batch.take((batch.inputs[:, -1] == 0).nonzero()[0]) if how == "padding" else batch
        outcome = run(
            Scribble(how), model, short, ThreatModel(Substitution(), 9), seed="s", choices=models.choices(model.space)
        )
        assert outcome.violated.all()


def test_gradients_that_are_no_numbers_are_recorded_and_survived() -> None:
    space = Space("table", (3,), "unit", -9.0, 9.0)
    model = TorchModel(Broken(), space, Task("classes", ("a", "b")))
    inputs = np.array([[1.0, 2.0, 1.0], [-1.0, 2.0, 1.0]])
    outcome = run(PGD(steps=4), model, Batch.of(inputs, np.zeros(2, dtype=int)), ThreatModel(Additive(), 1.0), seed="s")
    assert outcome.broken[0] > 0
    assert not outcome.violated.any()


def test_flat_gradients_are_recorded() -> None:
    model, batch = models.constant("table", 5)
    outcome = run(PGD(steps=4), model, batch, ThreatModel(Additive(), 0.5), seed="s")
    np.testing.assert_array_equal(outcome.flat, 1.0)
    np.testing.assert_array_equal(outcome.broken, 0.0)
    np.testing.assert_array_equal(outcome.passes, 8)
    np.testing.assert_array_equal(outcome.queries, 10)


def test_a_model_that_answers_no_number_is_refused() -> None:
    class Fragile(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.sqrt(x[:, :1]), x[:, 1:2]], dim=1)

    model = TorchModel(Fragile(), Space("table", (2,), "unit", -9.0, 9.0), Task("classes", ("a", "b")))
    fine, bad = np.array([[0.1, 2.0]]), np.array([[-0.1, 2.0]])
    threat = ThreatModel(Additive(), 0.5)
    with pytest.raises(ModelError, match="NaN"):
        run(FGSM(), model, Batch.of(bad, np.ones(1, dtype=int)), threat, seed="s")
    with pytest.raises(ModelError, match="NaN"):
        run(Cheat("stays"), model, Batch.of(bad, np.ones(1, dtype=int)), threat, seed="s")
    # The best iterate is never one without an answer.
    outcome = run(PGD(steps=3), model, Batch.of(fine, np.ones(1, dtype=int)), threat, seed="s")
    assert np.isfinite(outcome.scores).all()


def test_who_is_wrong_already_stays_wrong_and_pays_nothing() -> None:
    model, batch = models.linear(4, 10)
    wrong = replace(batch, targets=1 - batch.targets)
    outcome = run(FGSM(), model, wrong, ThreatModel(Additive(), 1e-3), seed="s")
    assert outcome.fooled.all()
    # Noise is a control: it does what it does.
    shaken = run(Noise(), model, wrong, ThreatModel(Additive(), 1e-3), seed="s")
    assert (shaken.cost > 0).all()


def test_perturbed_cases_are_exactly_in_range_and_are_what_was_judged() -> None:
    rng = np.random.default_rng(0)
    module = nn.Linear(50, 2)
    space = Space("table", (50,), "HU", -1024.3, 3071.7)
    model = TorchModel(module, space, Task("classes", ("a", "b")))
    inputs = rng.uniform(-1024.3, 3071.7, size=(30, 50)).astype(np.float32)
    batch = Batch.of(inputs, model.task.decide(model.predict(inputs)))
    outcome = run(PGD(steps=5), model, batch, ThreatModel(Additive(), 700.0), seed="s")
    low, high = np.float32(-1024.3), np.float32(3071.7)
    assert outcome.perturbed.min() >= low
    assert outcome.perturbed.max() <= high
    assert outcome.perturbed.dtype == np.float32
    np.testing.assert_allclose(model.predict(outcome.perturbed), outcome.scores, rtol=1e-5, atol=1e-2)
    assert not outcome.violated.any()


def test_the_judge_sees_the_same_with_embedded_notes() -> None:
    model, batch = models.network("tokens", 10)
    outcome = run(PGD(steps=3), model, batch, ThreatModel(Embedding(), 1.0), seed="s")
    np.testing.assert_array_equal(outcome.perturbed, batch.inputs)
    assert (outcome.scores != outcome.clean_scores).any()


@pytest.mark.parametrize(
    ("attack", "threat", "message"),
    [
        (FGSM(), {"knowledge": "scores"}, "gradients for fgsm"),
        (FGSM(), {"change": Additive("l0")}, "a change that fgsm can search"),
        (PGD(), {"change": Substitution()}, "a change of measurements|can undergo"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_before_work_starts(
    attack: Attack, threat: dict[str, Any], message: str
) -> None:
    model, batch = models.network("table", 3)
    settings: dict[str, Any] = {"change": Additive(), "limit": 0.1} | threat
    with pytest.raises((AttackError, ThreatError), match=message):
        run(attack, model, batch, ThreatModel(**settings), seed="s")


def test_no_attacker_sees_more_than_the_model_gives() -> None:
    model, batch = models.network("table", 3)
    closed = TorchModel(model.module, model.space, model.task, access="labels")
    with pytest.raises(ThreatError, match="no more than the model gives"):
        run(FGSM(), closed, batch, ThreatModel(Additive(), 0.1), seed="s")


@pytest.mark.parametrize("limits", [[0.1], [0.1, -0.1, 0.1], [0.1, np.nan, 0.1]])
def test_limits_must_be_one_finite_number_per_case(limits: list[float]) -> None:
    model, batch = models.network("table", 3)
    with pytest.raises(ThreatError, match="3 finite limits"):
        run(FGSM(), model, batch, ThreatModel(Additive(), 0.1), seed="s", limits=np.array(limits))


def test_a_budget_is_a_wall() -> None:
    model, batch = models.network("table", 3)
    with pytest.raises(BudgetError, match="at most 4 questions"):
        run(PGD(steps=10), model, batch, ThreatModel(Additive(), 0.1, queries=4), seed="s")


def test_who_sees_labels_only_sees_the_decision_at_the_operating_point() -> None:
    seen: list[Tensor] = []

    @dataclass(frozen=True)
    class Peek(Attack):
        name: ClassVar[str] = "peek"
        reference: ClassVar[str] = "none"
        needs: ClassVar[Any] = "labels"

        def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
            seen.append(problem.scores(problem.nothing()))
            return problem.nothing()

    for answer in ("two classes", "binary", "classes", "multilabel"):
        model, batch = models.network("table", 8, answer=answer)  # type: ignore[arg-type]
        task = model.task.at(3.0) if model.task.two_sided else model.task
        moved = model.calibrated(task)
        run(Peek(), moved, batch, ThreatModel(Additive(), 0.1, knowledge="labels"), seed="s")
        told = seen.pop().double().numpy()
        assert len(np.unique(task.shifted(told))) <= 2
        np.testing.assert_array_equal(task.decide(told), task.decide(moved.predict(batch.inputs)))


def test_global_random_states_are_seeded_for_the_model_and_put_back() -> None:
    before = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    drawn = []
    for _ in range(2):
        with _undisturbed("seed"):
            drawn.append((float(torch.rand(1)), np.random.rand(), random.random()))
    assert drawn[0] == drawn[1]
    after = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    assert torch.equal(before[0], after[0])
    np.testing.assert_equal(before[1], after[1])
    assert before[2] == after[2]


def test_a_model_that_draws_gives_the_same_twice() -> None:
    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(self.layer(x), 0.5, training=True)

    model = TorchModel(Moody(), Space("table", (4,), "unit", -9.0, 9.0), Task("classes", ("a", "b")))
    batch = Batch.of(np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), np.zeros(6, dtype=int))
    first, second = (run(PGD(steps=3), model, batch, ThreatModel(Additive(), 0.2), seed="s") for _ in range(2))
    np.testing.assert_array_equal(first.scores, second.scores)


def test_no_cases_give_an_empty_outcome_and_progress_counts_the_others() -> None:
    model, batch = models.network("table", 7)
    threat = ThreatModel(Additive(), 0.1)
    assert len(run(FGSM(), model, batch.take([]), threat, seed="s")) == 0
    finished: list[int] = []
    run(FGSM(), model, batch, threat, seed="s", size=3, progress=finished.append)
    assert finished == [3, 3, 1]


def test_targets_of_a_goal_reach_the_attack() -> None:
    model, batch = models.network("image", 20, answer="classes")
    outcome = run(PGD(steps=8), model, batch, ThreatModel(Additive(), 0.3, goal=Goal("targeted", 2)), seed="s")
    assert outcome.fooled.mean() > 0.8
    np.testing.assert_array_equal(outcome.fooled, model.task.decide(outcome.scores) == 2)

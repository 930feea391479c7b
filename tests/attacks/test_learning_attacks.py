"""Attacks that learn from a pool: taught by the engine, refused untaught, and then like any other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from titer.attacks.attack import Attack, LearningAttack
from titer.attacks.engine import learn, run
from titer.attacks.fgsm import FGSM
from titer.attacks.problem import Problem
from titer.attacks.universal import Universal
from titer.errors import AttackError, BudgetError
from titer.testing import models
from titer.testing.checks import check_attack
from titer.threats.changes.additive import Additive
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

THREAT = ThreatModel(Additive(), 0.3)


@dataclass(frozen=True)
class Pupil(LearningAttack):
    """Learns the mean gradient, or misbehaves as told."""

    how: str = "well"
    name: ClassVar[str] = "pupil"
    reference: ClassVar[str] = "none"

    def learn(self, problem: Problem, rng: CaseRandom) -> Attack:
        if self.how == "never done":
            return self
        if self.how == "moody":
            Pupil.calls = getattr(Pupil, "calls", 0) + 1  # type: ignore[attr-defined]
        problem.field.clean.add_(0.0 if self.how == "well" else 0.1)
        return Graduate(problem.slope(problem.nothing(), "margin")[1].mean(dim=0), getattr(Pupil, "calls", 0))


@dataclass(frozen=True, eq=False)
class Graduate(Attack):
    direction: Tensor
    calls: int
    name: ClassVar[str] = "pupil"
    reference: ClassVar[str] = "none"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        params = problem.step(self.direction.expand_as(problem.field.clean), 1.0 / (1 + self.calls))
        return problem.project(params)


def test_a_search_before_learning_is_refused_with_the_remedy() -> None:
    model, batch = models.linear(4, 6)
    with pytest.raises(AttackError, match=r"taught on a pool .* call titer.attacks.engine.learn"):
        run(Universal(), model, batch, THREAT, seed="s")


def test_attacks_that_do_not_learn_are_not_taught() -> None:
    model, batch = models.linear(4, 6)
    with pytest.raises(AttackError, match="expected an attack that learns, got fgsm"):
        learn(FGSM(), model, batch, THREAT, seed="s")


def test_an_empty_pool_teaches_nothing() -> None:
    model, batch = models.linear(4, 6)
    with pytest.raises(AttackError, match="an empty pool"):
        learn(Universal(), model, batch.take([]), THREAT, seed="s")


def test_whoever_never_finishes_learning_is_refused() -> None:
    model, batch = models.linear(4, 6)
    with pytest.raises(AttackError, match="done with learning"):
        learn(Pupil("never done"), model, batch, THREAT, seed="s")


def test_the_pool_is_not_changed_and_its_order_has_no_influence() -> None:
    model, batch = models.network("image", 40)
    before = batch.inputs.copy()
    for attack in (Pupil("spoils its copy"), Universal(epochs=2, batch=8)):
        one = learn(attack, model, batch, THREAT, seed="s")
        two = learn(attack, model, batch.take(np.random.default_rng(0).permutation(40)), THREAT, seed="s")
        results = [run(each, model, batch, THREAT, seed="s").perturbed for each in (one, two)]
        np.testing.assert_array_equal(*results)
        assert (results[0] != before).any()
    np.testing.assert_array_equal(batch.inputs, before)


def test_another_seed_teaches_something_else() -> None:
    model, batch = models.network("image", 40)
    two = [learn(Universal(epochs=2, batch=8), model, batch, THREAT, seed=seed) for seed in "st"]
    results = [run(each, model, batch, THREAT, seed="s").perturbed for each in two]
    assert (results[0] != results[1]).any()


def test_the_limit_of_questions_holds_for_the_pool() -> None:
    model, batch = models.linear(4, 40)
    with pytest.raises(BudgetError):
        learn(Universal(epochs=4), model, batch, replace(THREAT, queries=3), seed="s")


def test_what_was_learned_is_run_with_any_limit_and_against_a_model_of_labels() -> None:
    model, batch = models.linear(4, 40)
    learned = learn(Universal(), model, batch, THREAT, seed="s")
    threat = ThreatModel(Additive(), 0.7, knowledge="labels")
    outcome = run(learned, model, batch, threat, seed="s")
    moved = outcome.cost > 0
    np.testing.assert_allclose(outcome.cost[moved], 0.7, rtol=1e-9)
    assert not outcome.queries.any()
    assert torch.equal(torch.from_numpy(outcome.violated), torch.zeros(40, dtype=torch.bool))


def test_the_laws_teach_before_they_judge_and_catch_what_is_learned_differently_each_time() -> None:
    ground = [("table", Additive("linf"), 0.2)]
    assert min(check_attack(Pupil(), ground).values()) >= 2
    with pytest.raises(AssertionError, match="pupil breaks 'the same run gives the same bits'"):
        check_attack(Pupil("moody"), ground)

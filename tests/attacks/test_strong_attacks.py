"""APGD and the ensemble: as strong as they claim, at the cost they claim, on every task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from saturated import sure
from torch import nn

from titer.attacks._walks import checkpoints
from titer.attacks.apgd import APGD
from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.attacks.square import Square
from titer.attacks.strong import Strong
from titer.errors import AttackError
from titer.models.adapters.bpda import Through
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.changes.substitution import Substitution
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

# Every task with one norm, every norm with two tasks.
PAIRS = [("linf", answer) for answer in ("classes", "two classes", "binary", "multilabel", "regression", "anomaly")]
PAIRS += [(norm, answer) for norm in ("l2", "l1") for answer in ("classes", "regression")]
# Limits within which every case of `sure` can be fooled.
WIDE = {"linf": 0.2, "l2": 1.0, "l1": 3.0}
BLIND = PGD(steps=20, restarts=2, losses=("ce",))


class Flat(nn.Module):
    """Scores of the right shape that follow from nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0 * x.flatten(1)[:, :3]


def standing(attack: Any, model: Any, batch: Any, threat: ThreatModel) -> int:
    outcome = run(attack, model, batch, threat, seed="s")
    assert not outcome.violated.any()
    return int((~outcome.fooled).sum())


@pytest.mark.parametrize(("norm", "answer"), PAIRS)
@pytest.mark.parametrize(("kind", "limit"), [("image", 0.04), ("signal", 0.15), ("table", 0.2)])
def test_at_equal_passes_apgd_is_no_weaker_than_pgd(kind: Any, limit: float, answer: Any, norm: Any) -> None:
    model, batch = models.network(kind, 60, answer=answer)
    size = model.space.size
    threat = ThreatModel(Additive(norm), limit * {"linf": 1.0, "l2": 0.6 * size**0.5, "l1": 0.3 * size}[norm])
    losses = ("ce", "dlr")
    pgd = run(PGD(steps=25, losses=losses), model, batch, threat, seed="s")
    apgd = run(APGD(steps=25, losses=losses), model, batch, threat, seed="s")
    assert (apgd.passes <= pgd.passes).all()
    assert apgd.fooled.sum() >= pgd.fooled.sum()
    assert pgd.fooled.any()


def test_a_walk_costs_one_question_a_step_and_one_at_its_end() -> None:
    model, batch = models.network("image", 30)
    outcome = run(APGD(steps=12, restarts=3), model, batch, ThreatModel(Additive(), 0.02), seed="s")
    assert outcome.passes.tolist() == [3 * 12] * 30
    assert outcome.queries.tolist() == [3 * 13] * 30


def test_step_sizes_are_looked_at_as_in_the_source() -> None:
    # Croce and Hein 2020: w_j = ceil(p_j N), p_1 = 0.22, p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06).
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    for steps in (10, 50, 100, 1000):
        expected = sorted({int(np.ceil(share * steps - 1e-9)) for share in shares[1:]})
        assert list(checkpoints(steps)) == [place for place in expected if place < steps]
    assert checkpoints(1) == {}


def test_leaving_early_costs_nothing_but_effort() -> None:
    model, batch = models.network("image", 50)
    threat = ThreatModel(Additive(), 0.04)
    stay, leave = (run(APGD(steps=10, early_exit=early), model, batch, threat, seed="s") for early in (False, True))
    np.testing.assert_array_equal(stay.fooled, leave.fooled)
    assert leave.queries[stay.fooled].mean() < 0.5 * stay.queries.mean()
    np.testing.assert_array_equal(leave.queries[~stay.fooled], stay.queries[~stay.fooled])


def test_going_on_after_success_hides_no_gradients() -> None:
    model, batch = models.network("image", 50)
    outcome = run(APGD(steps=20, losses=("ce", "dlr")), model, batch, ThreatModel(Additive(), 0.3), seed="s")
    assert outcome.fooled.mean() > 0.9
    assert not outcome.flat.any()


def test_a_limit_in_l1_is_spent_on_few_values() -> None:
    model, batch = models.network("image", 30)
    outcome = run(APGD(), model, batch, ThreatModel(Additive("l1"), 2.0), seed="s")
    moved = np.abs(outcome.perturbed - batch.inputs)[outcome.fooled].reshape(int(outcome.fooled.sum()), -1)
    assert outcome.fooled.mean() > 0.3
    assert np.median((moved > 1e-6).sum(axis=1)) < 0.5 * model.space.size


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(
    ("answer", "ending"),
    [("classes", ""), ("classes", "softmax"), ("two classes", ""), ("binary", ""), ("binary", "sigmoid")],
)
def test_a_saturated_model_looks_robust_to_cross_entropy_and_is_not(answer: str, ending: str, norm: Any) -> None:
    model, batch = sure("image", answer, ending=ending)
    threat = ThreatModel(Additive(norm), WIDE[norm])
    assert len(batch) >= 20
    looks = run(BLIND, model, batch, threat, seed="s")
    assert (~looks.fooled).mean() > 0.5
    assert (looks.flat > 0).mean() > 0.9
    assert standing(APGD(), model, batch, threat) == 0
    assert standing(Strong(steps=30, queries=100), model, batch, threat) == 0


def test_cases_without_any_slope_leave_their_walk() -> None:
    model, batch = sure("image", "classes")
    outcome = run(APGD(steps=30, restarts=1, losses=("ce",)), model, batch, ThreatModel(Additive(), 0.02), seed="s")
    assert (outcome.passes == 1).mean() > 0.9
    assert (outcome.flat[outcome.passes == 1] == 1).all()


@pytest.mark.parametrize(("norm", "answer"), PAIRS)
def test_the_ensemble_leaves_no_more_standing_than_its_members(answer: Any, norm: Any) -> None:
    model, batch = models.network("signal", 40, answer=answer)
    threat = ThreatModel(Additive(norm), {"linf": 0.1, "l2": 0.4, "l1": 1.5}[norm])
    strong = Strong(steps=20, queries=50)
    left = standing(strong, model, batch, threat)
    members = [each for each in strong.crew(model.task, threat.goal) if each.fits(threat.change)]
    assert len(members) == (5 if norm == "l1" else 6)
    for member in members:
        assert left <= standing(member, model, batch, threat)


@pytest.mark.parametrize("goal", [Goal("targeted"), Goal("raise"), Goal("lower")], ids=lambda goal: goal.kind)
def test_the_ensemble_pursues_every_goal(goal: Goal) -> None:
    model, batch = models.network("table", 40, answer="classes" if goal.kind == "targeted" else "binary")
    threat = ThreatModel(Additive(), 0.3, goal=goal)
    assert standing(Strong(steps=10, queries=50), model, batch, threat) <= standing(PGD(), model, batch, threat)


def test_only_who_still_stands_is_asked_again() -> None:
    model, batch = models.network("image", 50)
    strong = Strong(steps=10, queries=30)
    outcome = run(strong, model, batch, ThreatModel(Additive(), 0.04), seed="s")
    left = ~outcome.fooled
    assert 0 < left.sum() < 50
    # PGD and APGD ask one more than their steps per walk, and the ensemble asks once after each member; two targets.
    walks = (2 + 1 + 1) + (11 + 1) + (4 * 6 + 1) + (6 * 6 + 1) + (2 * 21 + 1)
    # Square is looked at after 2 % and 10 % of its questions.
    assert set(outcome.queries[left]) <= {walks + 2, walks + 2 + 4, walks + 2 + 4 + 31}
    assert set(outcome.passes[left]) == {2 + 10 + 4 * 5 + 6 * 5 + 2 * 20}
    assert np.median(outcome.queries[outcome.fooled]) <= 4


def test_square_goes_on_only_where_it_keeps_up_with_the_gradients() -> None:
    seeing, batch = models.network("image", 50)
    blind = TorchModel(Through(seeing.module, proxy=Flat()), seeing.space, seeing.task)
    strong = Strong(steps=10, queries=200)
    threat = ThreatModel(Additive(), 0.03)
    clear, masked = (run(strong, model, batch, threat, seed="s") for model in (seeing, blind))
    assert (clear.queries[~clear.fooled] < 200).mean() > 0.8
    assert (masked.queries[~masked.fooled] > 200).all()
    alone = run(Square(queries=200), blind, batch, threat, seed="s")
    assert alone.fooled.sum() > 0
    assert masked.fooled.sum() >= alone.fooled.sum() - 1
    assert (masked.flat[~masked.fooled] == 1).all()


def test_members_fit_the_task_and_the_change() -> None:
    ten, one = Task("classes", tuple("abcdefghijkl")), Task("binary", ("no", "yes"))
    walks = [each for each in Strong().crew(ten, Goal()) if isinstance(each, APGD)]
    assert [(each.losses[0], each.restarts, each.steps) for each in walks] == [
        ("ce", 1, 50), ("dlr-target", 9, 25), ("margin", 6, 25), ("dlr-target", 9, 100),
    ]  # fmt: skip
    walks = [each for each in Strong().crew(one, Goal()) if isinstance(each, APGD)]
    assert [(each.losses[0], each.restarts) for each in walks] == [
        ("margin", 1), ("dlr-target", 2), ("margin", 6), ("dlr-target", 1),
    ]  # fmt: skip
    assert all(Strong().fits(change) for change in (Additive("l2"), Additive("l1"), LowPass()))
    assert not Strong().fits(Additive("l0"))
    assert not Strong().fits(Substitution())
    assert not Strong(members=("square",)).fits(Additive("l1"))
    assert isinstance(Strong(members=("fgsm", "square")).crew(one, Goal())[1], Square)


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        (APGD, {"steps": 0}),
        (APGD, {"restarts": 0}),
        (APGD, {"momentum": 1.5}),
        (APGD, {"momentum": float("nan")}),
        (APGD, {"losses": ()}),
        (APGD, {"losses": ("hinge",)}),
        (Strong, {"members": ()}),
        (Strong, {"members": ("strong",)}),
        (Strong, {"steps": 0}),
        (Strong, {"targets": 0}),
        (Strong, {"queries": 0}),
    ],
)
def test_wrong_settings_are_refused(attack: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError, match="expected"):
        attack(**settings)

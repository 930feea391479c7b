"""Models that answer at random: averaged for the attacker, judged by other draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.attacks.square import Square
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import PlanError
from titer.models.adapters.torch import TorchModel
from titer.models.averaged import Averaged, answers_at_random, steadied
from titer.models.model import to_tensor
from titer.models.task import Task
from titer.testing import models
from titer.testing.checks import LAWS, Situation
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

SPACE = Space("table", (6,), "unit", -5.0, 5.0)
TASK = Task("binary", ("negative", "positive"))


class Jittered(nn.Module):
    """w . (x * (1 + noise)) + b, with noise per row, per pass, or from a generator of its own."""

    def __init__(self, how: str = "row", size: float = 0.5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 1.5, -0.5, 1.0]))
        self.how, self.size = how, size
        self.own = torch.Generator().manual_seed(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = x.shape if self.how != "pass" else (1, x.shape[1])
        noise = torch.randn(shape, generator=self.own if self.how == "own" else None)
        return ((x * (1 + self.size * noise)) @ self.weight)[:, None]


def cases(count: int) -> Batch:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(count, 6)).astype(np.float32)
    weight = np.array([1.0, -2.0, 0.5, 1.5, -0.5, 1.0])
    return Batch.of(inputs, (inputs @ weight > 0).astype(np.int64))


@pytest.mark.parametrize("how", ["row", "pass", "own"])
def test_randomness_is_found_and_nothing_of_it_is_left_behind(how: str) -> None:
    module = Jittered(how)
    model, batch = TorchModel(module, SPACE, TASK), cases(8)
    before = torch.get_rng_state(), module.own.get_state()
    assert answers_at_random(model, batch.inputs)
    made = steadied(model, batch.inputs)
    assert isinstance(made, Averaged)
    np.testing.assert_array_equal(made.predict(batch.inputs), made.predict(batch.inputs))
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.equal(before[1], module.own.get_state())
    assert "answers at random" in made.notes[-1]
    assert made.digest != model.digest


def test_a_steady_model_is_left_as_it_is() -> None:
    model, batch = models.network("image", 5)
    assert steadied(model, batch.inputs) is model


def test_the_same_point_is_answered_alike_in_any_company_and_another_one_anew() -> None:
    model, batch = Averaged(TorchModel(Jittered(), SPACE, TASK), draws=8), cases(6)
    inputs = to_tensor(batch.inputs, SPACE)
    together = model.scores(inputs)
    assert torch.equal(model.scores(inputs[[4]]), together[[4]])
    assert torch.equal(model.scores(inputs.flip(0)), together.flip(0))
    # The share that noise adds differs between a point and its nearest neighbor.
    moved = model.scores(inputs + 1e-4)
    assert bool(((moved - together).abs() > 1e-2).any())


def test_the_variance_of_the_gradient_falls_as_one_over_the_draws() -> None:
    inner = TorchModel(Jittered(), SPACE, TASK)
    x = to_tensor(cases(40).inputs, SPACE)
    spread = {}
    for draws in (1, 4, 16, 64):
        gradients = []
        for seed in range(6):
            point = x.clone().requires_grad_(True)
            scores = Averaged(inner, draws=draws, seed=str(seed)).scores(point)
            gradients.append(torch.autograd.grad(scores.sum(), point)[0])
        spread[draws] = float(torch.stack(gradients).var(dim=0).mean())
    # Each gradient is w (1 + 0.5 noise): a variance of 0.25 w^2 for one draw.
    expected = 0.25 * float((Jittered().weight.detach() ** 2).mean())
    for draws, found in spread.items():
        assert found == pytest.approx(expected / draws, rel=0.2)


def test_the_judge_takes_other_draws_and_the_majority() -> None:
    module = Jittered(size=3.0)
    model, batch = Averaged(TorchModel(module, SPACE, TASK), judges=200), cases(4)
    judge = model.judging()
    assert judge.judging() is judge
    shares = judge.predict(batch.inputs)[:, 0]
    assert ((shares >= -1) & (shares <= 1)).all()
    np.testing.assert_array_equal(model.predict(batch.inputs)[:, 0], shares)
    # Noise of variance s^2 = 9 sum (w x)^2 around w . x: the chance of each side is that of a normal number.
    weighed = batch.inputs * module.weight.detach().numpy()
    chance = torch.special.ndtr(torch.from_numpy(weighed.sum(axis=1) / (3 * np.sqrt((weighed**2).sum(axis=1)))))
    np.testing.assert_allclose((shares + 1) / 2, chance, atol=0.12)


def test_majorities_keep_a_threshold() -> None:
    model = Averaged(TorchModel(Jittered(size=0.01), SPACE, TASK))
    raw = model.inner.predict(cases(6).inputs)[:, 0]
    moved = model.calibrated(TASK.at(float(np.median(raw))))
    assert moved.task.decide(moved.predict(cases(6).inputs)).tolist() == (raw > np.median(raw)).tolist()


@pytest.mark.parametrize("attack", [PGD(steps=2, restarts=1), Square(4)], ids=["pgd", "square"])
def test_attacks_on_averages_keep_the_laws(attack: PGD | Square) -> None:
    model = Averaged(TorchModel(Jittered(), SPACE, TASK), draws=8, judges=24)
    batch = cases(9)
    batch = Batch.of(batch.inputs, model.task.decide(model.predict(batch.inputs)))
    threat = ThreatModel(Additive("linf"), 0.1, knowledge=attack.needs)
    situation = Situation(attack, model, batch, threat, None)
    for title, law in LAWS.items():
        # The judge's questions are asked by another model, which the count of the law does not see.
        if "counted" not in title:
            law(situation)


def test_more_draws_never_let_an_attack_be_judged_by_its_own_luck() -> None:
    """Noise that outweighs the scores: single draws look fooled half of the time, the judge is not."""
    batch = cases(40)
    strong = np.abs(batch.inputs @ Jittered().weight.detach().numpy()) > 2
    batch = batch.take(strong)
    model = Averaged(TorchModel(Jittered(size=1.0), SPACE, TASK), draws=1, judges=100)
    outcome = run(PGD(steps=5), model, batch, ThreatModel(Additive("linf"), 0.01), seed="s")
    right = model.task.correct(model.predict(batch.inputs), batch.targets)
    assert outcome.fooled[right].mean() < 0.15


def test_what_cannot_be_averaged_is_refused() -> None:
    inner = TorchModel(Jittered(), SPACE, TASK)
    with pytest.raises(PlanError, match="at least 20 draws"):
        Averaged(inner, judges=5)
    with pytest.raises(PlanError, match="at least one draw"):
        Averaged(inner, draws=0)
    with pytest.raises(PlanError, match="'mean' or 'vote'"):
        Averaged(inner, by="median")  # type: ignore[arg-type]

"""Attacks on models whose exact optimum is known by other means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor, nn

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.threats.changes.additive import Additive
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

AGE = Task("regression", ("age",), tolerance=1e-6)
RAISE = Goal("raise")


class Bowl(nn.Module):
    """f(x) = |x - c|^2."""

    def __init__(self, middle: Tensor) -> None:
        super().__init__()
        self.middle = nn.Parameter(middle)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.middle) ** 2).sum(dim=1, keepdim=True)


@pytest.mark.parametrize("attack", [PGD(steps=40), APGD(steps=40)], ids=["pgd", "apgd"])
def test_walks_find_the_far_side_of_a_bowl(attack: Attack) -> None:
    rng = np.random.default_rng(0)
    middle, inputs = rng.normal(size=5), rng.normal(size=(20, 5))
    space = Space("table", (5,), "unit", -50.0, 50.0)
    model = TorchModel(Bowl(torch.from_numpy(middle)), space, AGE)
    batch = Batch.of(inputs, model.predict(inputs)[:, 0])
    gap = inputs - middle
    for norm, best in (
        ("l2", inputs + 0.8 * gap / np.linalg.norm(gap, axis=1, keepdims=True)),
        ("linf", inputs + 0.8 * np.sign(gap)),
    ):
        threat = ThreatModel(Additive(norm), 0.8, goal=RAISE)  # type: ignore[arg-type]
        outcome = run(attack, model, batch, threat, seed="bowl")
        np.testing.assert_allclose(outcome.scores[:, 0], ((best - middle) ** 2).sum(axis=1), rtol=1e-6)
        np.testing.assert_allclose(outcome.perturbed, best, atol=1e-2)


def exact_maximum(net: nn.Sequential, x: np.ndarray, limit: float) -> float:  # type: ignore[type-arg]
    """The largest output of a two-layer ReLU net in an L-infinity ball: one linear program per activation pattern."""
    first, second = net[0], net[2]
    w, b = first.weight.detach().numpy(), first.bias.detach().numpy()  # type: ignore[union-attr, operator]
    v, c = second.weight.detach().numpy()[0], float(second.bias.detach())  # type: ignore[union-attr, operator, arg-type]
    best = -np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=len(b)):
        on = np.array(pattern)
        # Units that are on stay at 0 or above, the others at 0 or below.
        sign = np.where(on > 0, -1.0, 1.0)
        slope = (v * on) @ w
        box = [(value - limit, value + limit) for value in x]
        solved = optimize.linprog(-slope, A_ub=sign[:, None] * w, b_ub=-sign * b, bounds=box, method="highs")
        if solved.status == 0:
            best = max(best, float(slope @ solved.x + (v * on) @ b + c))
    return best


@pytest.mark.parametrize("attack", [PGD(steps=20, restarts=50), APGD(steps=20, restarts=50)], ids=["pgd", "apgd"])
@pytest.mark.parametrize("seed", [0, 1])
def test_restarts_find_the_enumerated_optimum_of_a_small_relu_net(seed: int, attack: Attack) -> None:
    inputs_, units, limit = 4, 6, 0.7
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(inputs_, units), nn.ReLU(), nn.Linear(units, 1)).double()
    space = Space("table", (inputs_,), "unit", -9.0, 9.0)
    model = TorchModel(net, space, AGE)
    inputs = np.random.default_rng(seed).normal(size=(3, inputs_))
    batch = Batch.of(inputs, model.predict(inputs)[:, 0])
    threat = ThreatModel(Additive(), limit, goal=RAISE)
    found = run(attack, model, batch, threat, seed="relu").scores[:, 0]
    exact = np.array([exact_maximum(net, x, limit) for x in inputs])
    assert (found <= exact + 1e-9).all()
    np.testing.assert_allclose(found, exact, atol=1e-3)


def test_pgd_keeps_its_best_iterate_where_the_last_is_worse() -> None:
    class Wave(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(9 * x).sum(dim=1, keepdim=True)

    space = Space("table", (1,), "unit", -9.0, 9.0)
    model = TorchModel(Wave(), space, AGE)
    batch = Batch.of(np.zeros((1, 1)), np.zeros(1))
    threat = ThreatModel(Additive(), 0.5, goal=RAISE)
    # Steps of 0.16: up to 0.16, near the top, then over it to 0.32.
    walk = run(PGD(steps=2, restarts=1, reach=0.64), model, batch, threat, seed="wave")
    assert walk.scores[0, 0] == pytest.approx(np.sin(9 * 0.16))


def test_an_exact_answer_still_has_a_direction() -> None:
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.normal(size=(1, 3)))
    space = Space("table", (3,), "unit", -9.0, 9.0)
    linear = nn.Linear(3, 1).double()
    linear.weight.data.copy_(weight)
    model = TorchModel(linear, space, Task("regression", ("age",), tolerance=0.1))
    inputs = rng.normal(size=(5, 3))
    batch = Batch.of(inputs, model.predict(inputs)[:, 0])
    for loss, kind in itertools.product(("ce", "margin", "dlr", "target", "target2", "dlr-target2"), (PGD, APGD)):
        attack = kind(steps=5, restarts=1, losses=(loss,))
        outcome = run(attack, model, batch, ThreatModel(Additive(), 0.2), seed="s")
        np.testing.assert_allclose(np.abs(outcome.scores - outcome.clean_scores)[:, 0], 0.2 * weight.abs().sum())
        assert not outcome.flat.any()

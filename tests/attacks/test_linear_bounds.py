"""Attacks on linear models, whose exact limits are known: nobody below, everybody above.

Tolerances, relative to the exact limit: FGSM 1e-6 (L2, L1: where the range does not bind), PGD (L1: likewise) and APGD
1 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.pgd import PGD
from titer.models.adapters.torch import TorchModel
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

Array = np.ndarray[Any, Any]
FEATURES, CASES = 12, 40
# One walk per wrong class, long enough to come round from any start.
TARGETS = PGD(steps=30, reach=5.0, losses=("target",), restarts=2)
AUTO_TARGETS = APGD(steps=40, losses=("dlr-target",), restarts=2)


def smallest(weight: Array, room: Array, needed: float, norm: str) -> float:
    """The smallest |d| with w . d = needed, 0 <= sign(w) d <= room; infinite where there is none."""
    size = np.abs(weight)
    if size @ room <= needed:
        return float("inf")
    if norm == "l1":
        # The best values one after the other, each to the end of its room.
        order = np.argsort(-size)
        gained, spent = np.cumsum((size * room)[order]), np.cumsum(room[order])
        last = int(np.searchsorted(gained, needed))
        return float(spent[last] - (gained[last] - needed) / size[order[last]])
    # d grows alike everywhere (L-infinity) or with the weights (L2) until it meets the end of its room.
    shape = np.ones_like(size) if norm == "linf" else size
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if size @ np.minimum(middle * shape, room) < needed else (low, middle)
    found = np.minimum(high * shape, room)
    return float(found.max() if norm == "linf" else np.linalg.norm(found))


def exact_limits(model: TorchModel, inputs: Array, truth: Array, norm: str) -> Array:
    """The smallest limit at which each case can be fooled; infinite where none can."""
    weight, bias = (value.detach().numpy() for value in model.module.parameters())
    if len(weight) == 1:
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    low, high = (np.broadcast_to(edge, inputs[0].shape) for edge in model.space.bounds())
    found = []
    for x, y in zip(inputs, truth, strict=True):
        ways = []
        for other in set(range(len(weight))) - {int(y)}:
            w, b = weight[other] - weight[y], bias[other] - bias[y]
            ways.append(smallest(w, np.where(w > 0, high - x, x - low), -(w @ x + b), norm))
        found.append(min(ways))
    return np.array(found)


@pytest.mark.parametrize("boxed", [False, True], ids=["free", "boxed"])
@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(
    "attack", [FGSM(), PGD(), TARGETS, PGD(losses=("dlr",), momentum=0.5), APGD(), AUTO_TARGETS], ids=repr
)
def test_nobody_falls_below_the_exact_limit_and_everybody_above(
    attack: Attack, norm: str, outputs: int, boxed: bool
) -> None:
    edge = 1.3 if boxed else 100.0
    model, batch = models.linear(FEATURES, CASES, seed=outputs, outputs=outputs, low=-edge, high=edge)
    exact = exact_limits(model, batch.inputs, batch.targets, norm)
    finite = np.isfinite(exact)
    assert finite.mean() > 0.5
    batch, exact = batch.take(finite), exact[finite]
    threat = ThreatModel(Additive(norm), 1.0)  # type: ignore[arg-type]
    tolerance = 1e-6 if isinstance(attack, FGSM) else 1e-2
    below = run(attack, model, batch, threat, seed="s", limits=exact * (1 - 1e-6))
    assert not below.fooled.any()
    assert not below.violated.any()
    above = run(attack, model, batch, threat, seed="s", limits=exact * (1 + tolerance))
    assert not above.violated.any()
    # One step cannot know which of three classes is nearest, nor use up what the range cuts from an L2 step; steps on a
    # single value stop where that one has reached its end.
    knows = outputs < 3 or attack in (TARGETS, AUTO_TARGETS)
    cut = {"linf": (), "l2": (FGSM,), "l1": (FGSM, PGD)}[norm]
    if knows and not (isinstance(attack, cut) and boxed):
        assert above.fooled.all()


def test_targeted_attacks_reach_their_own_exact_limit() -> None:
    model, batch = models.linear(FEATURES, CASES, seed=3, outputs=3)
    weight, bias = (value.detach().numpy() for value in model.module.parameters())
    scores = batch.inputs @ weight.T + bias
    rows = np.arange(CASES)
    wanted = (batch.targets + 1) % 3
    # With two rivals the exact limit is not the larger of the two distances; below that, nothing can succeed.
    rivals = [(wanted + 1) % 3, (wanted + 2) % 3]
    distances = [
        (scores[rows, rival] - scores[rows, wanted]) / np.abs(weight[wanted] - weight[rival]).sum(axis=1)
        for rival in rivals
    ]
    needed = np.maximum(*distances)
    threat = ThreatModel(Additive(), 1.0, goal=Goal("targeted"))
    below = run(PGD(), model, batch, threat, seed="s", limits=np.maximum(needed, 0) * (1 - 1e-6))
    assert not below.fooled.any()
    above = run(PGD(steps=60, losses=("margin",)), model, batch, threat, seed="s", limits=needed * 1.3 + 1e-9)
    assert above.fooled.mean() > 0.9
    decided = model.task.decide(above.scores)
    assert (decided[above.fooled] == wanted[above.fooled]).all()


@pytest.mark.parametrize("goal", ["raise", "lower"])
def test_two_sided_decisions_can_be_pushed_one_way(goal: str) -> None:
    model, batch = models.linear(FEATURES, CASES, seed=1, outputs=1)
    threat = ThreatModel(Additive(), 0.3, goal=Goal(goal))  # type: ignore[arg-type]
    outcome = run(FGSM(), model, batch, threat, seed="s")
    moved = (outcome.scores - outcome.clean_scores)[:, 0]
    swing = 0.3 * float(next(model.module.parameters()).detach().abs().sum())
    sign = 1 if goal == "raise" else -1
    doing = ~(model.task.decide(outcome.clean_scores) == (sign > 0)) | (outcome.cost > 0)
    np.testing.assert_allclose(moved[doing], sign * swing, rtol=1e-9)

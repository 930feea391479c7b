"""NES, SimBA and Square in L2: what scores alone give away.

Tolerances above the exact limit of linear models with 12 features: SimBA 1 %, Square in L2 1 %, NES 5 %, all with
1,000 questions. Square in L2 on pictures and signals moves blocks of three places for a long time: 15 % there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_linear_bounds import exact_limits
from torch import nn

from titer.attacks import _square_l2
from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.nes import NES
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.simba import SimBA, _cosines
from titer.attacks.square import Square
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel


def scored(norm: Any, limit: float = 1.0, queries: int | None = None) -> ThreatModel:
    return ThreatModel(Additive(norm), limit, knowledge="scores", queries=queries)


def linear_picture(shape: tuple[int, ...], kind: Any) -> tuple[TorchModel, Batch]:
    """A linear model of one logit on pictures, signals or volumes, with cases far from the ends of the range."""
    size = int(np.prod(shape))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(size, 1))
    model = TorchModel(net, Space(kind, shape, "unit", -20.0, 20.0), Task("binary", ("a", "b")))
    inputs = np.random.default_rng(0).uniform(-1, 1, size=(12, *shape)).astype(np.float32)
    return model, Batch.of(inputs, model.task.decide(model.predict(inputs)))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(("attack", "tolerance"), [(SimBA(), 0.01), (Square(), 0.01), (NES(), 0.05)], ids=repr)
def test_they_converge_to_the_exact_limit_of_a_linear_model(
    attack: Attack, tolerance: float, norm: str, outputs: int
) -> None:
    model, batch = models.linear(12, 15, outputs=outputs)
    exact = exact_limits(model, batch.inputs, batch.targets, norm)
    below = run(attack, model, batch.take(np.arange(3)), scored(norm), seed="s", limits=exact[:3] * (1 - 1e-6))
    above = run(attack, model, batch, scored(norm), seed="s", limits=exact * (1 + tolerance))
    assert not below.fooled.any()
    assert above.fooled.all()
    assert not above.violated.any()


@pytest.mark.parametrize(("shape", "kind"), [((2, 20), "signal"), ((1, 6, 6), "image"), ((1, 3, 3, 4), "volume")])
@pytest.mark.parametrize(
    ("attack", "tolerance"), [(SimBA(basis="dct"), 0.02), (Square(), 0.15), (NES(pairs=40), 0.15)], ids=repr
)
def test_pictures_signals_and_volumes_come_close_to_the_exact_l2_limit(
    attack: Attack, tolerance: float, shape: tuple[int, ...], kind: Any
) -> None:
    model, batch = linear_picture(shape, kind)
    if isinstance(attack, Square) and kind == "volume":
        tolerance = 1.0  # A block of three places is the whole volume, so that little but signs is searched.
    exact = np.abs(model.predict(batch.inputs)[:, 0]) / float(next(model.module.parameters()).detach().norm())
    outcome = run(attack, model, batch, scored("l2"), seed="s", limits=exact * (1 + tolerance))
    assert outcome.fooled.mean() > 0.9
    assert not outcome.violated.any()


@pytest.mark.parametrize("attack", [SimBA(queries=150), SimBA(queries=150, basis="dct"), NES(queries=150)], ids=repr)
@pytest.mark.parametrize(("kind", "limit"), [("image", 0.05), ("table", 0.3)])
@pytest.mark.parametrize("answer", ["classes", "multilabel", "regression", "anomaly"])
def test_they_lie_between_noise_and_the_white_box(attack: Attack, kind: Any, limit: float, answer: Any) -> None:
    model, batch = models.network(kind, 30, answer=answer)
    noise, black = (run(each, model, batch, scored("linf", limit), seed="s").fooled for each in (Noise(), attack))
    white = run(PGD(steps=15, restarts=3), model, batch, ThreatModel(Additive(), limit), seed="s").fooled
    # Waves and few estimates are weak in L-infinity on so little.
    assert noise.mean() - 0.07 <= black.mean() <= white.mean() + 0.05


def test_values_that_must_not_move_cost_no_questions() -> None:
    model, batch = models.network("image", 6)
    masks = np.ones((6, 1, 8, 8), dtype=bool)
    masks[:, :, 2, 2:5] = False
    closed = replace(batch, masks=masks)
    threat = ThreatModel(Additive(), 1e-4, knowledge="scores", where="outside-mask")
    outcome = run(SimBA(queries=1000), model, closed, threat, seed="s")
    assert not outcome.violated.any()
    moved = (outcome.perturbed != batch.inputs) & masks
    assert not moved.any()
    # Three values, forth and back, a few rounds of smaller steps until nothing in float32 moves any more.
    assert outcome.queries.max() < 400


def test_smooth_changes_are_searched_the_same_way() -> None:
    model, batch = models.network("signal", 30)
    threat = ThreatModel(LowPass("l2"), 1.5, knowledge="scores")
    for attack in (Square(queries=60), SimBA(queries=60), NES(queries=60, pairs=5)):
        outcome = run(attack, model, batch, threat, seed="s")
        assert not outcome.violated.any()
        assert outcome.fooled.any()


def test_waves_are_an_orthonormal_basis() -> None:
    for length in (1, 2, 7, 16):
        waves = _cosines(length)
        torch.testing.assert_close(waves @ waves.T, torch.eye(length, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(7,), (2, 20), (3, 8, 9), (1, 4, 5, 6)])
def test_blocks_in_l2_keep_the_length_of_the_limit(shape: tuple[int, ...]) -> None:
    rng, limit = CaseRandom.of("s", map(str, range(50))), torch.linspace(0.1, 2, 50)
    current = _square_l2.first(shape, limit, rng, torch.float32)
    for draw in range(1, 30):
        following = _square_l2.block(current, limit, rng, draw, 0.3)
        assert torch.isfinite(following).all()
        torch.testing.assert_close(following.flatten(1).norm(dim=1), limit, rtol=1e-4, atol=0)
        assert ((following != current).flatten(1).any(dim=1)).float().mean() > 0.8
        current = following


def test_what_the_limit_still_allows_is_taken_up() -> None:
    rng, limit = CaseRandom.of("s", map(str, range(20))), torch.ones(20)
    short = 0.5 * _square_l2.first((3, 8, 8), limit, rng, torch.float32)
    grown = _square_l2.block(short, limit, rng, 1, 0.3).flatten(1).norm(dim=1)
    assert (grown > 0.9).all()
    assert (grown < 1 + 1e-5).all()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (NES, {"queries": 0}), (NES, {"pairs": 0}), (NES, {"radius": 0.0}), (NES, {"momentum": -0.1}),
        (SimBA, {"queries": 0}), (SimBA, {"basis": "haar"}), (SimBA, {"step": 0.0}), (SimBA, {"share": 0.0}),
        (SimBA, {"share": 1.5}),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(kind: type[Attack], settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError, match="expected"):
        kind(**settings)

"""HopSkipJump and the boundary attack: distances to the border from decisions alone.

Tolerance above the exact distance of linear models with 12 features: 5 %, HopSkipJump with 5,000 questions, the
boundary attack with 1,000.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_linear_bounds import exact_limits

from titer.attacks._border import _noise
from titer.attacks.attack import Attack
from titer.attacks.boundary import Boundary
from titer.attacks.engine import run
from titer.attacks.hopskipjump import HopSkipJump
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.model import Access, Model
from titer.models.task import Task
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.goal import Goal
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

WALKS = [(HopSkipJump, "linf"), (HopSkipJump, "l2"), (Boundary, "l2")]


def blind(norm: Any, limit: float, **more: Any) -> ThreatModel:
    return ThreatModel(Additive(norm), limit, knowledge="labels", **more)


@pytest.mark.parametrize(
    ("kind", "norm", "queries"), [(HopSkipJump, "linf", 5000), (HopSkipJump, "l2", 5000), (Boundary, "l2", 1000)]
)
def test_they_reach_the_exact_distance_within_five_percent(kind: Any, norm: str, queries: int) -> None:
    model, batch = models.linear(12, 8)
    exact = exact_limits(model, batch.inputs, batch.targets, norm)
    outcome = run(kind(queries=queries, closest=True), model, batch, blind(norm, 1000.0), seed="s")
    assert outcome.fooled.all()
    assert outcome.queries.max() <= queries
    assert (outcome.cost >= exact * (1 - 1e-6)).all()
    assert (outcome.cost <= exact * 1.05).all()


@pytest.mark.parametrize(("kind", "norm"), WALKS)
def test_they_stop_once_the_limit_is_kept_and_never_fall_below_the_exact_one(kind: Any, norm: str) -> None:
    model, batch = models.linear(12, 10)
    exact = exact_limits(model, batch.inputs, batch.targets, norm)
    above = run(kind(queries=5000), model, batch, blind(norm, 1.0), seed="s", limits=exact * 1.05)
    below = run(kind(queries=300), model, batch, blind(norm, 1.0), seed="s", limits=exact * (1 - 1e-6))
    assert above.fooled.all()
    assert np.median(above.queries) < 1000
    assert not below.fooled.any()
    np.testing.assert_array_equal(below.cost, 0)


@pytest.mark.parametrize(("kind", "norm"), WALKS)
@pytest.mark.parametrize("answer", ["classes", "two classes", "binary", "multilabel", "regression", "anomaly"])
def test_every_task_has_decisions_to_walk_on(kind: Any, norm: str, answer: Any) -> None:
    limit = 0.25 if norm == "linf" else 0.5
    model, batch = models.network("table", 30, answer=answer)
    walk = run(kind(queries=1000 if kind is HopSkipJump else 500), model, batch, blind(norm, limit), seed="s")
    white = run(
        PGD(steps=15, restarts=4, losses=("target",)), model, batch, ThreatModel(Additive(norm), limit), seed="s"
    )  # type: ignore[arg-type]
    assert not walk.violated.any()
    assert walk.fooled.any()
    assert white.fooled.mean() - 0.2 <= walk.fooled.mean() <= white.fooled.mean() + 0.05


def test_goals_with_a_direction_are_walked_to() -> None:
    for goal, answer in ((Goal("raise"), "regression"), (Goal("targeted"), "classes"), (Goal("lower"), "binary")):
        model, batch = models.network("table", 20, answer=answer)  # type: ignore[arg-type]
        outcome = run(HopSkipJump(queries=400), model, batch, blind("linf", 0.5, goal=goal), seed="s")
        assert outcome.fooled.any()


def test_a_walk_finds_more_than_as_many_random_changes() -> None:
    model, batch = models.network("image", 30)
    threat = blind("linf", 0.06)
    chance, walk = (
        run(each, model, batch, threat, seed="s").fooled.mean()
        for each in (RandomSearch(queries=400), HopSkipJump(queries=400))
    )
    assert walk > chance


def test_labels_show_no_more_than_decisions() -> None:
    model, batch = models.network("table", 12)

    class Stretched(Model):
        """The same decisions with other scores."""

        def __init__(self) -> None:
            self.name, self.digest, self.access = "stretched", "0" * 64, "scores"
            self.space, self.task = model.space, model.task

        def scores(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.expm1(model.scores(inputs)) * 3

    for kind, norm in WALKS:
        one, other = (run(kind(queries=150), each, batch, blind(norm, 0.3), seed="s") for each in (model, Stretched()))
        np.testing.assert_array_equal(one.perturbed, other.perturbed)


class Island(Model):
    """Abnormal in a small box only, which no noise will ever hit."""

    def __init__(self) -> None:
        self.name, self.digest = "island", "0" * 64
        self.access: Access = "labels"
        self.space = Space("table", (6,), "unit", -10.0, 10.0)
        self.task = Task("binary", ("outside", "inside"))

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        inside = ((inputs - 5).abs() < 0.5).all(dim=1, keepdim=True)
        return 2.0 * inside.to(inputs.dtype) - 1


@pytest.mark.parametrize(("kind", "norm"), WALKS)
def test_a_start_that_is_handed_in_finds_what_noise_cannot(kind: Any, norm: str) -> None:
    model, batch = Island(), Batch.of(np.random.default_rng(0).normal(size=(4, 6)), np.zeros(4, dtype=np.int64))
    lost = run(kind(queries=300), model, batch, blind(norm, 30.0), seed="s")
    assert not lost.fooled.any()
    assert (lost.queries == 50).all()
    # The far one is no help, the near one is.
    starts = (np.full(6, -9.0), np.full(6, 5.0))
    found = run(kind(queries=300, starts=starts, closest=True), model, batch, blind(norm, 30.0), seed="s")
    assert found.fooled.all()
    corner = np.maximum(4.5 - batch.inputs, 0)
    exact = np.abs(corner).max(axis=1) if norm == "linf" else np.linalg.norm(corner, axis=1)
    assert (found.cost >= exact * (1 - 1e-6)).all()
    assert (found.cost <= exact * 1.15).all()


def test_noise_to_start_from_has_every_grain_and_stays_in_range() -> None:
    field = Field(torch.zeros(3, 2, 8, 6), torch.tensor(-1.0), torch.tensor(3.0), torch.tensor(1.0))
    rng = CaseRandom.of("s", "abc")
    for draw in range(8):
        noise = _noise(field, rng, draw, draw)
        grain = 2 ** (draw // 2)
        assert noise.shape == field.clean.shape
        assert bool(((noise >= -1) & (noise <= 3)).all())
        assert torch.equal(
            noise[:, :, :grain, :1].expand(-1, -1, -1, min(grain, 6)), noise[:, :, :grain, : min(grain, 6)]
        )
        if draw % 2:
            assert set(noise.flatten().tolist()) == {-1.0, 3.0}


def test_smooth_changes_and_masks_are_kept() -> None:
    model, batch = models.network("signal", 20)
    outcome = run(HopSkipJump(queries=200), model, batch, ThreatModel(LowPass(), 0.4, knowledge="labels"), seed="s")
    assert not outcome.violated.any()
    assert outcome.fooled.any()
    masks = np.random.default_rng(0).uniform(size=batch.inputs.shape) < 0.3
    closed = replace(batch, masks=masks)
    for kind, norm in WALKS:
        kept = run(kind(queries=200), model, closed, blind(norm, 1.0, where="outside-mask"), seed="s")
        assert not kept.violated.any()
        assert kept.fooled.any()
        np.testing.assert_array_equal(kept.perturbed[masks], batch.inputs[masks])


@pytest.mark.parametrize("kind", [HopSkipJump, Boundary])
@pytest.mark.parametrize("settings", [{"queries": 0}, {"tries": 0}, {"starts": (np.array([np.nan]),)}])
def test_wrong_settings_are_refused(kind: type[Attack], settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError, match="expected"):
        kind(**settings)


def test_starts_of_another_shape_are_refused() -> None:
    model, batch = models.network("table", 3)
    with pytest.raises(AttackError, match="starting points of shape"):
        run(HopSkipJump(starts=(np.zeros(3),)), model, batch, blind("linf", 0.1), seed="s")

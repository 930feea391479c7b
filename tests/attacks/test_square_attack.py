"""Square: exact on linear models, within its questions, on anything that shows scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn

from titer.attacks.engine import run
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.square import Square, _cube
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.model import Access, Model
from titer.models.task import Task
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel


def scored(change: Additive, limit: float, queries: int | None = None) -> ThreatModel:
    return ThreatModel(change, limit, knowledge="scores", queries=queries)


@pytest.mark.parametrize("outputs", [1, 2])
def test_it_converges_to_the_exact_limit_of_a_linear_model(outputs: int) -> None:
    model, batch = models.linear(12, 25, outputs=outputs)
    weight, bias = (value.detach().numpy() for value in model.module.parameters())
    w, b = (weight[1] - weight[0], bias[1] - bias[0]) if outputs == 2 else (weight[0], bias[0])
    exact = np.abs(batch.inputs @ w + b) / np.abs(w).sum()
    attack = Square(queries=400)
    below = run(attack, model, batch, scored(Additive(), 1.0), seed="s", limits=exact * (1 - 1e-6))
    above = run(attack, model, batch, scored(Additive(), 1.0), seed="s", limits=exact * 1.01)
    assert not below.fooled.any()
    assert above.fooled.all()


def test_images_converge_too() -> None:
    space = Space("image", (1, 6, 6), "grey level (0-1)")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TorchModel(nn.Sequential(nn.Flatten(), nn.Linear(36, 1)), space, Task("binary", ("a", "b")))
    inputs = np.random.default_rng(0).uniform(0.3, 0.7, size=(20, 1, 6, 6)).astype(np.float32)
    batch = Batch.of(inputs, model.task.decide(model.predict(inputs)))
    exact = np.abs(model.predict(inputs)[:, 0]) / float(next(model.module.parameters()).detach().abs().sum())
    reachable = exact < 0.25
    assert reachable.mean() > 0.5
    batch, exact = batch.take(reachable), exact[reachable]
    above = run(Square(queries=700), model, batch, scored(Additive(), 1.0), seed="s", limits=exact * 1.02)
    assert above.fooled.mean() > 0.9


@pytest.mark.parametrize(("own", "threat", "most"), [(50, None, 50), (50, 20, 20), (10, 20, 10), (50, 1, 1)])
def test_it_asks_no_more_than_it_may(own: int, threat: int | None, most: int) -> None:
    model, batch = models.network("image", 30)
    outcome = run(Square(queries=own), model, batch, scored(Additive(), 0.01, threat), seed="s")
    assert outcome.queries.max() == most
    assert (outcome.queries[~outcome.fooled] == most).all()
    assert (outcome.passes == 0).all()


def test_fooled_cases_stop_asking() -> None:
    model, batch = models.network("image", 30)
    outcome = run(Square(queries=50), model, batch, scored(Additive(), 0.05), seed="s")
    assert outcome.fooled.mean() > 0.3
    assert np.median(outcome.queries[outcome.fooled]) < 30
    longer = run(Square(queries=50), model, batch, scored(Additive(), 0.05), seed="s", size=7)
    np.testing.assert_array_equal(outcome.queries, longer.queries)


@pytest.mark.parametrize(("kind", "limit"), [("image", 0.05), ("table", 0.3)])
@pytest.mark.parametrize("answer", ["classes", "multilabel", "regression", "anomaly"])
def test_it_lies_between_noise_and_the_white_box(kind: Any, limit: float, answer: Any) -> None:
    model, batch = models.network(kind, 40, answer=answer)
    threat = scored(Additive(), limit)
    noise, black = (run(attack, model, batch, threat, seed="s").fooled for attack in (Noise(), Square(queries=120)))
    white = run(PGD(steps=15, restarts=3), model, batch, ThreatModel(Additive(), limit), seed="s").fooled
    assert noise.mean() <= black.mean() <= white.mean() + 0.05


def test_smooth_changes_are_searched_the_same_way() -> None:
    model, batch = models.network("signal", 40)
    outcome = run(Square(queries=100), model, batch, scored(LowPass(), 0.2), seed="s")
    assert not outcome.violated.any()
    assert outcome.fooled.mean() > 0.5


def test_volumes_are_searched_by_cubes() -> None:
    space = Space("volume", (1, 4, 5, 6), "HU", -1000.0, 1000.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TorchModel(nn.Sequential(nn.Flatten(), nn.Linear(120, 2)), space, Task("classes", ("a", "b")))
    inputs = np.random.default_rng(0).uniform(-500, 500, size=(8, 1, 4, 5, 6)).astype(np.float32)
    batch = Batch.of(inputs, model.task.decide(model.predict(inputs)))
    outcome = run(Square(queries=60), model, batch, scored(Additive(), 200.0), seed="s")
    assert outcome.fooled.any()
    moved = np.unique(np.abs(outcome.perturbed - inputs)[outcome.fooled].round(2))
    assert moved.tolist() == [200.0]


@pytest.mark.parametrize("places", [(20,), (8, 5), (4, 5, 6)])
@pytest.mark.parametrize("share", [0.8, 0.3, 0.01])
def test_blocks_are_whole_and_inside(places: tuple[int, ...], share: float) -> None:
    luck = CaseRandom.of("s", map(str, range(3000))).uniform((len(places),), 0)
    inside = _cube(luck, places, share)
    sides = [max(1, round(share ** (1 / len(places)) * length)) for length in places]
    assert set(inside.flatten(1).sum(dim=1).tolist()) == {int(np.prod(sides))}
    assert bool(inside.flatten(1).any(dim=0).all())


class Forest(Model):
    """Trees: scores in steps, no gradients."""

    def __init__(self, forest: RandomForestClassifier, space: Space) -> None:
        self.forest, self.space = forest, space
        self.name, self.digest = "forest", "0" * 64
        self.task = Task("classes", ("malignant", "benign"), positive=(0,))
        self.access: Access = "scores"

    def scores(self, inputs: Tensor) -> Tensor:
        return torch.from_numpy(np.log(self.forest.predict_proba(inputs.numpy()) + 1e-6))


def test_trees_are_crossed() -> None:
    table = load_breast_cancer()
    x = table.data.astype(np.float32)
    forest = RandomForestClassifier(30, max_depth=6, random_state=0).fit(x[:400], table.target[:400])
    space = Space("table", (30,), "its unit", -1e6, 1e6, scale=tuple(map(float, x[:400].std(axis=0))), limit_unit="SD")
    model, batch = Forest(forest, space), Batch.of(x[400:440], table.target[400:440])
    threat = scored(Additive(), 0.4)
    noise, found = (run(attack, model, batch, threat, seed="s") for attack in (Noise(), Square(queries=120)))
    assert found.fooled.mean() >= noise.fooled.mean() + 0.1


@pytest.mark.parametrize("settings", [{"queries": 0}, {"share": 0.0}, {"share": 1.1}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError, match="expected"):
        Square(**settings)

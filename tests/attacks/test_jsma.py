"""JSMA on linear models: the optimum is a count that can be written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titer.attacks.engine import run
from titer.attacks.jsma import JSMA
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing.models import Affine
from titer.threats.changes.additive import Additive
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

FEATURES = 40


def linear(outputs: int, *, equal: bool) -> tuple[TorchModel, Batch, np.ndarray]:
    """A linear model in the unit box, cases, and for each the fewest values whose change can fool it."""
    rng = np.random.default_rng(outputs)
    weight, bias = rng.normal(size=(outputs, FEATURES)), rng.normal(size=outputs)
    inputs = np.full((40, FEATURES), 0.5) if equal else rng.uniform(size=(40, FEATURES))
    task = Task("classes" if outputs > 1 else "binary", tuple(map(str, range(max(outputs, 2)))), positive=(1,))
    space = Space("table", (FEATURES,), "unit", 0.0, 1.0)
    model = TorchModel(Affine(torch.from_numpy(weight), torch.from_numpy(bias)), space, task)
    scores = model.predict(inputs)
    targets = task.decide(scores)
    fewest = np.full(len(inputs), np.inf)
    for row, (x, y, z) in enumerate(zip(inputs, targets, scores, strict=True)):
        for other in set(range(max(outputs, 2))) - {int(y)}:
            slope = (1 - 2 * y) * weight[0] if outputs == 1 else weight[other] - weight[y]
            needed = abs(z[0]) if outputs == 1 else z[y] - z[other]
            gains = np.sort(np.where(slope > 0, slope * (1 - x), -slope * x))[::-1]
            count = int(np.searchsorted(np.cumsum(gains), needed, side="right")) + 1
            if count <= FEATURES:
                fewest[row] = min(fewest[row], count)
    return model, Batch.of(inputs, targets), fewest


def changed(attack: JSMA, model: TorchModel, batch: Batch, limit: float = FEATURES, **goal: object) -> np.ndarray:
    threat = ThreatModel(Additive("l0"), limit, goal=Goal(**goal))  # type: ignore[arg-type]
    outcome = run(attack, model, batch, threat, seed="jsma")
    count = (np.abs(outcome.perturbed - batch.inputs) > 1e-9).sum(axis=1)
    np.testing.assert_array_equal(count, outcome.cost)
    assert not outcome.violated.any()
    return np.where(outcome.fooled, count, np.inf)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("equal", [True, False])
def test_single_values_equal_the_greedy_count(outputs: int, equal: bool) -> None:
    model, batch, fewest = linear(outputs, equal=equal)
    np.testing.assert_array_equal(changed(JSMA(pairs=False), model, batch), fewest)


@pytest.mark.parametrize("outputs", [1, 2])
def test_pairs_cost_at_most_one_more(outputs: int) -> None:
    model, batch, fewest = linear(outputs, equal=True)
    extra = changed(JSMA(), model, batch) - fewest
    assert set(extra.tolist()) <= {0.0, 1.0}


def test_slopes_alone_equal_the_optimum_with_equal_room_and_never_beat_it() -> None:
    model, batch, fewest = linear(2, equal=True)
    np.testing.assert_array_equal(changed(JSMA(pairs=False, weigh="slope"), model, batch), fewest)
    model, batch, fewest = linear(2, equal=False)
    assert (changed(JSMA(pairs=False, weigh="slope"), model, batch) >= fewest).all()


@pytest.mark.parametrize("targets", ["maximal", "each"])
def test_several_classes_stay_near_the_optimum_and_never_beat_it(targets: str) -> None:
    model, batch, fewest = linear(4, equal=False)
    extra = changed(JSMA(pairs=False, targets=targets), model, batch) - fewest
    assert (extra >= 0).all()
    assert extra.mean() < 1


def test_below_the_optimum_nothing_is_fooled() -> None:
    model, batch, fewest = linear(2, equal=False)
    hard = batch.take(fewest > fewest.min())
    assert np.isinf(changed(JSMA(pairs=False), model, hard, limit=float(fewest.min()))).all()


def test_a_target_is_reached() -> None:
    model, batch, _ = linear(4, equal=False)
    assert np.isfinite(changed(JSMA(), model, batch, kind="targeted", target=2)).all()


def test_fewer_candidates_are_never_better_than_all_pairs() -> None:
    model, batch, _ = linear(2, equal=False)
    assert changed(JSMA(candidates=4), model, batch).mean() >= changed(JSMA(), model, batch).mean()


@pytest.mark.parametrize("wrong", [{"weigh": "luck"}, {"targets": "some"}, {"step": 0.0}, {"candidates": 1}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(AttackError):
        JSMA(**wrong)  # type: ignore[arg-type]

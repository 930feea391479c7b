"""One perturbation for all cases: exact on linear models, nothing on constant ones, far above noise on networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from chest_example import chest
from head_example import aged
from torch import nn

from titer.attacks.engine import learn, run
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.universal import Universal
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.lowpass import LowPass
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

FEATURES = 10


def regression(low: float = -100.0, high: float = 100.0) -> tuple[TorchModel, Batch, Batch]:
    """f(x) = w . x + b, exact on its cases: a pool and as many unseen ones."""
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.normal(size=(1, FEATURES)))
    module = models.Affine(weight, torch.from_numpy(rng.normal(size=1)))
    model = TorchModel(
        module, Space("table", (FEATURES,), "unit", low, high), Task("regression", ("age",), tolerance=0.1)
    )
    inputs = rng.uniform(max(low, -1), min(high, 1), size=(80, FEATURES))
    batch = Batch.of(inputs, model.predict(inputs)[:, 0])
    return model, batch.take(range(40)), batch.take(range(40, 80))


def size(model: TorchModel, norm: str) -> float:
    weight = next(model.module.parameters()).detach().numpy()
    return float(np.abs(weight).sum() if norm == "linf" else np.linalg.norm(weight))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("goal", ["raise", "lower", "untargeted"])
def test_a_linear_regression_shifts_by_exactly_the_limit_times_its_dual_norm(goal: Any, norm: Any) -> None:
    model, pool, unseen = regression()
    threat = ThreatModel(Additive(norm), 0.3, goal=Goal(goal))
    outcome = run(learn(Universal(), model, pool, threat, seed="s"), model, unseen, threat, seed="s")
    shift = (outcome.scores - outcome.clean_scores)[:, 0]
    expected = 0.3 * size(model, norm)
    np.testing.assert_allclose(
        shift if goal != "untargeted" else np.abs(shift), expected * (-1 if goal == "lower" else 1)
    )
    assert len(set(np.sign(shift))) == 1
    assert outcome.fooled.all()
    assert not outcome.queries.any()


def test_each_case_goes_as_far_as_its_own_range_allows() -> None:
    model, pool, unseen = regression(-1.0, 1.0)
    threat = ThreatModel(Additive(), 0.5, goal=Goal("raise"))
    outcome = run(learn(Universal(), model, pool, threat, seed="s"), model, unseen, threat, seed="s")
    sign = np.sign(next(model.module.parameters()).detach().numpy())
    np.testing.assert_allclose(outcome.perturbed, np.clip(unseen.inputs + 0.5 * sign, -1, 1), atol=1e-12)
    assert not outcome.violated.any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_class_that_is_aimed_at_gets_the_exact_shift(norm: Any) -> None:
    model, batch = models.linear(FEATURES, 80, outputs=2)
    threat = ThreatModel(Additive(norm), 0.2, goal=Goal("targeted", 1))
    learned = learn(Universal(), model, batch.take(range(40)), threat, seed="s")
    outcome = run(learned, model, batch.take(range(40, 80)), threat, seed="s")
    weight = next(model.module.parameters()).detach().numpy()
    gap = weight[1] - weight[0]
    lead = outcome.scores[:, 1] - outcome.scores[:, 0] - (outcome.clean_scores[:, 1] - outcome.clean_scores[:, 0])
    moved = outcome.cost > 0
    expected = 0.2 * (np.abs(gap).sum() if norm == "linf" else np.linalg.norm(gap))
    np.testing.assert_allclose(lead[moved], expected, rtol=1e-9)


def test_the_next_class_is_one_perturbation_per_class() -> None:
    model, batch = models.linear(FEATURES, 120, outputs=3)
    threat = ThreatModel(Additive(), 0.8, goal=Goal("targeted"))
    learned = learn(Universal(), model, batch.take(range(60)), threat, seed="s")
    unseen = batch.take(range(60, 120))
    outcome = run(learned, model, unseen, threat, seed="s")
    changes = {
        int(target): np.unique((outcome.perturbed - unseen.inputs)[unseen.targets == target].round(9), axis=0)
        for target in range(3)
    }
    assert all(len(each) <= 2 for each in changes.values())  # who is fooled already stays as it is
    assert outcome.fooled.mean() > 0.8


def test_any_wrong_answer_is_sought_by_one_push_where_two_would_cancel() -> None:
    model, batch = models.linear(FEATURES, 200, outputs=1)
    threat = ThreatModel(Additive(), 1.0)
    learned = learn(Universal(), model, batch.take(range(100)), threat, seed="s")
    unseen = batch.take(range(100, 200))
    outcome = run(learned, model, unseen, threat, seed="s")
    larger = max(np.mean(unseen.targets == 0), np.mean(unseen.targets == 1))
    assert outcome.fooled.mean() > 0.95 * larger


@pytest.mark.parametrize("kind", ["image", "signal", "table"])
def test_a_constant_model_is_never_fooled(kind: Any) -> None:
    model, batch = models.constant(kind, 20)
    threat = ThreatModel(Additive(), 0.3)
    learned = learn(Universal(epochs=2), model, batch.take(range(10)), threat, seed="s")
    assert not run(learned, model, batch.take(range(10, 20)), threat, seed="s").fooled.any()


@pytest.mark.parametrize("goal", ["raise", "lower"])
def test_unseen_cases_of_a_trained_network_move_ten_times_as_far_as_by_noise_and_less_far_than_alone(goal: Any) -> None:
    model, pool, unseen = chest()
    threat = ThreatModel(Additive(), 4 / 255, goal=Goal(goal))
    learned = learn(Universal(epochs=3), model, pool.take(range(200)), threat, seed="s")
    away = unseen.take(unseen.targets == (0 if goal == "raise" else 1))
    moved = []
    for attack in (learned, Noise(), PGD(restarts=1)):
        outcome = run(attack, model, away, threat, seed="s")
        shift = outcome.scores - outcome.clean_scores
        moved.append(abs(float((shift[:, 1] - shift[:, 0]).mean())))
    assert moved[0] >= 10 * moved[1]
    assert 0.2 * moved[2] <= moved[0] <= moved[2]


def test_smooth_changes_can_be_universal_and_others_not() -> None:
    fits = Universal().fits
    assert fits(LowPass())
    assert fits(Additive("l2"))
    assert not fits(Additive("l0"))
    assert not fits(Embedding())


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"batch": 0}, {"momentum": 1.0}, {"reach": -1.0}, {"loss": "best"}]
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError):
        Universal(**settings)


def test_nothing_moves_where_a_case_of_its_own_closes_the_mask() -> None:
    model, batch = models.network("image", 30)
    masks = np.zeros_like(batch.inputs)
    masks[::2, :, :4] = 1
    shielded = replace(batch, masks=masks)
    threat = ThreatModel(Additive(), 0.1, where="outside-mask")
    learned = learn(Universal(epochs=3), model, shielded.take(range(15)), threat, seed="s")
    outcome = run(learned, model, shielded.take(range(15, 30)), threat, seed="s")
    kept = masks[15:] == 1
    np.testing.assert_array_equal(outcome.perturbed[kept], batch.inputs[15:][kept])
    assert not outcome.violated.any()


def test_layers_that_saturate_do_not_stop_it() -> None:
    model, batch = models.linear(FEATURES, 60, outputs=1)
    steep = TorchModel(nn.Sequential(model.module, nn.Hardtanh(-0.5, 0.5)), model.space, model.task)
    threat = ThreatModel(Additive(), 0.5, goal=Goal("raise"))
    learned = learn(Universal(epochs=10), steep, batch.take(range(40)), threat, seed="s")
    outcome = run(learned, steep, batch.take(range(40, 60)), threat, seed="s")
    assert outcome.fooled.mean() > 0.7


@pytest.mark.parametrize("limit", [0.002, 0.01])
@pytest.mark.parametrize("goal", ["raise", "lower"])
def test_unseen_heads_age_by_at_least_two_fifths_of_what_each_alone_would(goal: Any, limit: float) -> None:
    """Li et al. 2020 (doi 10.1016/j.neucom.2019.10.085): one perturbation moves the age read from many brains."""
    model, pool, unseen = aged()
    threat = ThreatModel(Additive(), limit, goal=Goal(goal))
    learned = learn(Universal(epochs=2), model, pool.take(range(100)), threat, seed="s")
    moved = []
    for attack in (learned, Noise(), PGD(steps=10, restarts=1)):
        outcome = run(attack, model, unseen, threat, seed="s")
        moved.append(abs(float((outcome.scores - outcome.clean_scores).mean())))
    assert moved[0] >= 10 * moved[1]
    assert 0.4 * moved[2] <= moved[0] <= moved[2]

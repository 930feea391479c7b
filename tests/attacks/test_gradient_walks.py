"""FGSM, PGD and noise: how they relate to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.threat import ThreatModel


@pytest.mark.parametrize("answer", ["classes", "two classes", "binary", "multilabel", "regression", "anomaly"])
@pytest.mark.parametrize(("kind", "limit"), [("image", 0.04), ("signal", 0.15), ("table", 0.2)])
def test_noise_is_weaker_than_a_step_and_a_step_weaker_than_a_walk(kind: Any, limit: float, answer: Any) -> None:
    model, batch = models.network(kind, 60, answer=answer)
    threat = ThreatModel(Additive(), limit)
    noise, step, walk = (
        run(attack, model, batch, threat, seed="s").fooled.mean()
        for attack in (Noise(), FGSM(), PGD(steps=12, restarts=3, losses=("ce", "margin", "target")))
    )
    assert walk >= step
    assert noise <= step
    assert noise < 0.5 * walk


def test_leaving_early_costs_nothing_but_effort() -> None:
    model, batch = models.network("image", 50)
    threat = ThreatModel(Additive(), 0.04)
    stay = run(PGD(steps=10, restarts=3), model, batch, threat, seed="s")
    leave = run(PGD(steps=10, restarts=3, early_exit=True), model, batch, threat, seed="s")
    np.testing.assert_array_equal(stay.fooled, leave.fooled)
    assert (leave.queries <= stay.queries).all()
    assert leave.queries[stay.fooled].mean() < 0.5 * stay.queries.mean()
    np.testing.assert_array_equal(leave.queries[~stay.fooled], stay.queries[~stay.fooled])


def test_more_restarts_never_help_the_model() -> None:
    model, batch = models.network("signal", 50)
    fooled = [
        run(PGD(steps=5, restarts=restarts), model, batch, ThreatModel(Additive(), 0.12), seed="s").fooled
        for restarts in (1, 2, 4)
    ]
    assert (fooled[0] <= fooled[1]).all()
    assert (fooled[1] <= fooled[2]).all()


def test_more_tries_never_help_the_model_either() -> None:
    model, batch = models.network("image", 50)
    threat = ThreatModel(Additive(), 0.1, knowledge="labels")
    few, many = (run(Noise(tries=tries), model, batch, threat, seed="s") for tries in (2, 25))
    assert (few.fooled <= many.fooled).all()
    assert many.queries.tolist() == [25] * 50


def test_the_smooth_control_stays_smooth() -> None:
    model, batch = models.network("signal", 20)
    outcome = run(Noise(), model, batch, ThreatModel(LowPass(), 0.2), seed="s")
    added = outcome.perturbed - batch.inputs
    assert 0 < np.abs(added).max() <= 0.2 * (1 + 1e-6)
    # Independent signs would have a correlation of 0 between neighbors.
    assert np.corrcoef(added[..., 1:].ravel(), added[..., :-1].ravel())[0, 1] > 0.5


def test_a_random_start_goes_elsewhere() -> None:
    model, batch = models.network("image", 20)
    plain, random = (
        run(FGSM(random_start=start), model, batch, ThreatModel(Additive(), 0.05), seed="s") for start in (False, True)
    )
    assert (plain.perturbed != random.perturbed).any()


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        (PGD, {"steps": 0}),
        (PGD, {"restarts": 0}),
        (PGD, {"momentum": -0.1}),
        (PGD, {"reach": float("nan")}),
        (PGD, {"losses": ("hinge",)}),
        (PGD, {"losses": ()}),
        (FGSM, {"loss": "hinge"}),
        (Noise, {"tries": 0}),
        (Noise, {"kind": "pink"}),
    ],
)
def test_wrong_settings_are_refused(attack: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError, match="expected"):
        attack(**settings)


class Plain(FGSM):
    """FGSM as it comes: also where a wrong case becomes right, which an attacker would rather leave."""

    control = True


def stepped_training(limit: float) -> tuple[TorchModel, Batch]:
    """A net trained on single steps against digits 3, 5 and 8, and unseen digits."""
    digits = load_digits()
    keep = np.isin(digits.target, (3, 5, 8))
    images = (digits.images[keep] / 16).astype(np.float32)[:, None]
    labels = np.searchsorted([3, 5, 8], digits.target[keep])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 3)
        )
    inputs, truth = torch.from_numpy(images[:350]), torch.from_numpy(labels[:350])
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(200):
        point = inputs.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(nn.functional.cross_entropy(net(point), truth), point)
        stepped = (inputs + limit * slope.sign()).clamp(0, 1).detach()
        adam.zero_grad()
        nn.functional.cross_entropy(net(stepped), truth).backward()
        adam.step()
    model = TorchModel(net, Space("image", (1, 8, 8), "grey level (0-1)"), Task("classes", ("3", "5", "8")))
    return model, Batch.of(images[350:], labels[350:])


def accuracies(limit: float) -> tuple[float, float, float]:
    """Clean, on single steps and on walks."""
    model, batch = stepped_training(limit)
    threat = ThreatModel(Additive(), limit)
    clean = float(model.task.correct(model.predict(batch.inputs), batch.targets).mean())
    step, walk = (1 - run(attack, model, batch, threat, seed="s").fooled.mean() for attack in (Plain(), PGD()))
    return clean, float(step), float(walk)


def test_training_on_single_steps_shows_the_known_overfitting() -> None:
    """Label leaking (Kurakin et al. 2017, arXiv 1611.01236): better on FGSM than clean, helpless against PGD."""
    clean, step, walk = accuracies(0.4)
    assert step > clean + 0.1
    assert walk < 0.05
    # At half the limit the same training holds, and shows nothing of it.
    clean, step, walk = accuracies(0.2)
    assert step < clean
    assert walk > 0.5

"""Changes of few channels: exact limits of linear models, the choice of channels, nothing elsewhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import ThreatError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.testing.checks import check_attack
from titer.threats.change import Field
from titer.threats.changes.channels import Channels
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

TWO = Task("binary", ("no", "yes"), positive=(1,))


def weighing(channels: int = 4, length: int = 6, cases: int = 20) -> tuple[TorchModel, Batch, Any, Any]:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(channels, length)), float(rng.normal())
    space = Space("signal", (channels, length), "mV", -100.0, 100.0, rate=125.0)
    module = models.Affine(torch.from_numpy(weight.reshape(1, -1)), torch.tensor([bias], dtype=torch.float64))
    model = TorchModel(module, space, TWO, name="weighing")
    inputs = rng.normal(size=(cases, channels, length))
    return model, Batch.of(inputs, TWO.decide(model.predict(inputs))), weight, np.abs(model.predict(inputs)[:, 0])


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("most", [1, 2, 4])
@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=10, restarts=1)], ids=["fgsm", "pgd"])
def test_nobody_falls_below_the_exact_limit_and_everybody_above(attack: Any, most: int, norm: str) -> None:
    model, batch, weight, margin = weighing()
    reach = np.abs(weight).sum(axis=1) if norm == "linf" else (weight**2).sum(axis=1)
    best = max(sum(reach[list(chosen)]) for chosen in combinations(range(4), most))
    exact = margin / (best if norm == "linf" else np.sqrt(best))
    threat = ThreatModel(Channels(most, norm), 1.0)  # type: ignore[arg-type]
    below = run(attack, model, batch, threat, seed="s", limits=exact * (1 - 1e-6))
    above = run(attack, model, batch, threat, seed="s", limits=exact * (1 + 1e-5))
    assert not below.fooled.any()
    assert above.fooled.all()
    assert not above.violated.any()
    moved = (above.perturbed != batch.inputs).any(axis=2)
    assert (moved.sum(axis=1) <= most).all()


@settings(max_examples=20)
@given(
    seed=st.integers(0, 999),
    most=st.integers(1, 3),
    norm=st.sampled_from(("linf", "l2")),
    size=st.floats(0.1, 20),
)
def test_projection_is_the_nearest_of_all_choices(seed: int, most: int, norm: str, size: float) -> None:
    rng = np.random.default_rng(seed)
    clean = torch.from_numpy(rng.uniform(-1, 1, size=(2, 3, 5)))
    low, high = (torch.tensor([[-1.5], [-1.0], [-3.0]]), torch.tensor(1.2)) if norm == "linf" else (None, None)
    field = Field(clean, low, high, torch.tensor([[1.0], [0.5], [2.0]]))
    change, limit = Channels(most, norm), torch.tensor([0.0, 0.8])  # type: ignore[arg-type]
    params = torch.from_numpy(size * rng.normal(size=(2, 3, 5)))
    found = change.project(field, params, limit)
    assert bool(change.valid(field, found).all())
    assert bool((change.cost(field, found) <= limit * (1 + 1e-6)).all())
    assert torch.equal(change.apply(field, found)[0], clean[0])
    torch.testing.assert_close(change.project(field, found, limit), found)
    far = ((params - found) / field.scale)[1].norm()
    for chosen in combinations(range(3), most):
        mask = torch.zeros(1, 3, 1)
        mask[:, list(chosen)] = 1
        only = Field(clean, low, high, field.scale, mask)
        other = Channels(3, norm).project(only, params, limit)  # type: ignore[arg-type]
        assert float(far) <= float(((params - other) / field.scale)[1].norm()) + 1e-9


def test_restarts_try_every_channel_once() -> None:
    field = Field(torch.zeros(5, 6, 4), torch.tensor(-1.0), torch.tensor(1.0), torch.tensor(1.0))
    rng = CaseRandom.of("s", "abcde")
    change = Channels(2)
    touched = [(change.sample(field, torch.ones(5), rng, draw) != 0).any(dim=2) for draw in range(1, 4)]
    assert all(bool((each.sum(dim=1) == 2).all()) for each in touched)
    assert bool((sum(each.int() for each in touched) == 1).all())  # type: ignore[union-attr]
    assert not all(torch.equal(each[0], each[1]) for each in touched)


class _Trap(nn.Module):
    """Channel 0 has the steepest slope and leads nowhere; loud channel 3 turns the decision."""

    def forward(self, x: Tensor) -> Tensor:
        loud = torch.relu(x[:, 3].abs().mean(dim=1) - 0.5)
        return (-1.0 + 0.5 * torch.tanh(5 * x[:, 0].sum(dim=1)) + 20 * loud)[:, None]


def test_the_right_channel_is_found_where_the_gradient_points_to_another() -> None:
    space = Space("signal", (6, 4), "mV", -5.0, 5.0, rate=125.0)
    batch = Batch.of(np.zeros((7, 6, 4), dtype=np.float32), np.zeros(7, dtype=np.int64))
    model = TorchModel(_Trap(), space, TWO, name="trap")
    threat = ThreatModel(Channels(), 1.0)
    led = run(PGD(steps=5, restarts=1), model, batch, threat, seed="s")
    tried = run(PGD(steps=5, restarts=7), model, batch, threat, seed="s")
    assert not led.fooled.any()
    assert tried.fooled.all()
    assert np.unique(np.nonzero(tried.perturbed)[1]).tolist() == [3]
    blind = run(RandomSearch(queries=6), model, batch, threat, seed="s")
    assert blind.fooled.all()


def test_walks_stay_in_their_channels() -> None:
    model, batch = models.network("signal", 12)
    outcome = run(PGD(steps=6, restarts=3), model, batch, ThreatModel(Channels(), 0.3), seed="s")
    moved = (outcome.perturbed != batch.inputs).any(axis=2).sum(axis=1)
    assert moved.max() == 1
    weaker = run(Noise(), model, batch, ThreatModel(Channels(), 0.3), seed="s")
    assert weaker.fooled.sum() <= outcome.fooled.sum()
    both = run(PGD(steps=6), model, batch, ThreatModel(Channels(2), 0.3), seed="s")
    assert both.fooled.sum() >= outcome.fooled.sum()


def test_masks_are_kept() -> None:
    model, batch = models.network("volume", 6)
    masks = np.zeros_like(batch.inputs)
    masks[:, :, 1:3, 2:4] = 1
    threat = ThreatModel(Channels(), 0.3, where="inside-mask")
    outcome = run(PGD(steps=3), model, replace(batch, masks=masks), threat, seed="s")
    assert not outcome.violated.any()
    np.testing.assert_array_equal(outcome.perturbed[masks == 0], batch.inputs[masks == 0])
    assert outcome.cost.max() > 0


@pytest.mark.parametrize("change", [Channels(2, "l2"), Channels(2)], ids=["l2", "two"])
def test_every_setting_keeps_the_laws(change: Channels) -> None:
    check_attack(PGD(steps=2), [("signal", change, 0.3)])


@pytest.mark.parametrize("settings", [{"most": 0}, {"most": 1.5}, {"most": True}, {"norm": "l0"}])
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ThreatError, match="expected"):
        Channels(**settings)  # type: ignore[arg-type]


def test_more_channels_than_there_are_are_refused() -> None:
    with pytest.raises(ThreatError, match="at most 2 channels, as many as a case has, got 3"):
        ThreatModel(Channels(3), 0.1).check(models.space("signal"), TWO)


def test_it_says_what_it_may_do() -> None:
    assert Channels(1, "l2").sentence("3 mV") == (
        "change values of at most 1 channel by at most 3 mV in total (root of summed squares)"
    )

"""BPDA: stand-ins for what has no slope."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import ModelError
from titer.models.adapters.bpda import Through
from titer.models.adapters.fingerprint import module_digest
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing.models import Affine
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

SPACE = Space("table", (8,), "unit", -50.0, 50.0)
TASK = Task("binary", ("negative", "positive"))
STEP = 0.25


class Rounded(nn.Module):
    """A linear model whose logit is rounded to steps of a quarter."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.linear = Affine(torch.from_numpy(rng.normal(size=(1, 8))), torch.zeros(1, dtype=torch.float64))
        self.steps = Steps()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.steps(self.linear(x))
        return z


class Steps(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(x / STEP) * STEP


def linear_cases(module: Rounded, count: int = 200) -> tuple[Batch, Any, float]:
    inputs = np.random.default_rng(2).normal(size=(count, 8))
    logits = module.linear(torch.from_numpy(inputs)).detach().numpy()[:, 0]
    targets = (np.round(logits / STEP) * STEP > 0).astype(np.int64)
    return Batch.of(inputs, targets), logits, float(module.linear.weight.detach().abs().sum())


@pytest.mark.parametrize("limit", [0.05, 0.2, 0.5])
def test_identity_finds_the_flip_set_of_the_linear_model_up_to_one_step(limit: float) -> None:
    module = Rounded()
    batch, logits, size = linear_cases(module)
    threat = ThreatModel(Additive("linf"), limit)
    blind = run(FGSM(loss="margin"), TorchModel(module, SPACE, TASK), batch, threat, seed="s")
    assert not blind.fooled.any()
    assert (blind.flat == 1).all()
    seeing = TorchModel(module, SPACE, TASK, backward={"steps": "identity"})
    found = run(FGSM(loss="margin"), seeing, batch, threat, seed="s")
    side = np.where(batch.targets == 1, 1, -1)
    surely = side * logits < limit * size - STEP
    never = side * logits > limit * size + STEP
    assert found.fooled[surely].all()
    assert not found.fooled[never].any()
    assert surely.any()
    assert not found.flat.any()


def integers(net: nn.Module, seen: torch.Tensor) -> nn.Module:
    """A net with weights and activations in int8, by torch's own kernels, which have no gradients."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        watched = prepare_fx(copy.deepcopy(net).eval(), get_default_qconfig_mapping("x86"), (seen,))
        watched(seen)
        return convert_fx(watched)


def small_net() -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)), 2 * torch.rand(64, 8) - 1


def test_an_int8_model_is_attacked_through_its_float_form_and_judged_as_it_is() -> None:
    net, seen = small_net()
    whole = integers(net, seen)
    model = TorchModel(Through(whole, proxy=net), SPACE, TASK)
    scores = model.predict(seen.numpy())
    np.testing.assert_array_equal(scores, whole(seen).detach().numpy())
    assert len(np.unique(scores)) < len(np.unique(net(seen).detach().numpy()))
    batch = Batch.of(seen.numpy(), (scores[:, 0] > 0).astype(np.int64))
    threat = ThreatModel(Additive("linf"), 0.1)
    found, same = (
        run(FGSM(loss="margin"), each, batch, threat, seed="s") for each in (model, TorchModel(net, SPACE, TASK))
    )
    assert 0 < found.fooled.sum() < len(batch)
    assert (found.fooled == same.fooled).mean() > 0.9
    assert not found.flat.any()


def test_answers_that_lead_back_nowhere_are_refused_with_the_remedy() -> None:
    net, seen = small_net()
    batch = Batch.of(seen.numpy(), np.zeros(len(seen), dtype=np.int64))
    with pytest.raises(ModelError, match=r"followed back to the input.*Through.*BPDA.*'access' to 'scores'"):
        run(FGSM(), TorchModel(integers(net, seen), SPACE, TASK), batch, ThreatModel(Additive("linf"), 0.1), seed="s")


def test_int8_models_of_other_weights_have_other_digests() -> None:
    net, seen = small_net()
    other = copy.deepcopy(net)
    # The same units in another order: equal structure, scales and offsets.
    other[0].weight.data, other[0].bias.data = net[0].weight.data.flip(0), net[0].bias.data.flip(0)
    other[2].weight.data = net[2].weight.data.flip(1)
    one, two = integers(net, seen), integers(other, seen)
    assert repr(one) == repr(two)
    assert module_digest(one, None) == module_digest(copy.deepcopy(one), None) != module_digest(two, None)


def test_answers_and_module_stay_as_they_were() -> None:
    module = Rounded()
    batch, _, _ = linear_cases(module, 9)
    plain, with_stand_in = (TorchModel(module, SPACE, TASK, backward=each) for each in (None, {"steps": "identity"}))
    np.testing.assert_array_equal(plain.predict(batch.inputs), with_stand_in.predict(batch.inputs))
    run(FGSM(), with_stand_in, batch, ThreatModel(Additive("linf"), 0.1), seed="s")
    assert not module.steps._forward_hooks
    assert plain.digest != with_stand_in.digest
    assert plain.digest == TorchModel(module, SPACE, TASK).digest
    assert "BPDA" in with_stand_in.notes[-1]


def test_a_smooth_stand_in_gives_its_own_slope() -> None:
    class Sign(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sign()

    module = nn.Sequential(Sign(), Affine(torch.ones(1, 8), torch.zeros(1)))
    model = TorchModel(module, SPACE, TASK, backward={"0": torch.tanh})
    x = torch.linspace(-2, 2, 8)[None].requires_grad_(True)
    with model.ready():
        scores = model.scores(x)
    (slope,) = torch.autograd.grad(scores.sum(), x)
    torch.testing.assert_close(slope, 1 - torch.tanh(x.detach()) ** 2)
    assert float(scores.detach()) == 0.0


def test_preprocessing_in_arrays_is_passed_through() -> None:
    def quantize(values: Any) -> Any:
        values *= 8
        return np.round(values) / 8

    module = nn.Sequential(Through(quantize, arrays=True), Affine(torch.ones(1, 8), torch.zeros(1)))
    x = torch.full((2, 8), 0.3, requires_grad=True)
    scores = module(x)
    (slope,) = torch.autograd.grad(scores.sum(), x)
    assert scores[0].item() == pytest.approx(8 * 0.25)
    assert bool((slope == 1).all())
    assert bool((x == 0.3).all())


def test_what_cannot_stand_in_is_refused() -> None:
    module = nn.Sequential(nn.Linear(8, 3), nn.Linear(3, 1))
    with pytest.raises(ModelError, match="the name of a submodule"):
        TorchModel(module, SPACE, TASK, backward={"2": "identity"})
    with pytest.raises(ModelError, match="'identity' or a function"):
        TorchModel(module, SPACE, TASK, backward={"0": "smooth"})
    model = TorchModel(module, SPACE, TASK, backward={"0": "identity"})
    with pytest.raises(ModelError, match="a stand-in with results of shape"):
        model.predict(np.zeros((8, 8), dtype=np.float32))

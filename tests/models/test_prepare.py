"""The quicker form of a model: equal but for rounding, or not taken at all; and the model stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import titer.testing.models as examples
from titer.attacks.deepfool import DeepFool
from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.model import Model
from titer.models.prepare import ChannelsLast, prepared
from titer.models.task import Task
from titer.models.zoo.t_cnn import TCNN
from titer.models.zoo.t_rnn import TRNN
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

TWO = Task("classes", ("a", "b"))
SPACES = [
    (TCNN(), Space("image", (1, 24, 24), "grey level (0-1)")),
    (TCNN(size="mini"), Space("image", (3, 9, 17), "HU", -1000.0, 3000.0)),
    (TCNN(size="mini"), Space("volume", (1, 8, 8, 8), "grey level (0-1)")),
    (TRNN(), Space("signal", (2, 100), "mV", -5.0, 5.0)),
]


def trained(recipe: Any, space: Space) -> TorchModel:
    """A module whose batch norms have seen data, so that folding them is not a matter of course."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = recipe.module(space, TWO)
        module.train()
        for _ in range(3):
            module(torch.randn(16, *space.shape) * 2 + 1)
    return TorchModel(module.eval(), space, TWO)


@pytest.mark.parametrize(("recipe", "space"), SPACES, ids=lambda each: getattr(each, "kind", ""))
def test_scores_and_slopes_are_the_models_own_but_for_rounding(recipe: Any, space: Space) -> None:
    model = trained(recipe, space)
    low, high = float(space.low), float(space.high)  # type: ignore[arg-type]
    inputs = (
        low + (high - low) * torch.rand(5, *space.shape, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    with model.ready():
        quick = prepared(model)
        assert quick is not model
        one, two = model.scores(inputs), quick.scores(inputs)
        slopes = [torch.autograd.grad(each.sum(), inputs)[0] for each in (one, two)]
        one, two = one.detach(), two.detach()
    assert torch.allclose(one, two, rtol=1e-4, atol=1e-4 * float(one.abs().max()))
    assert torch.allclose(*slopes, rtol=1e-3, atol=1e-3 * float(slopes[0].abs().max()))
    norms = [part for part in quick.module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert not norms


def test_a_case_alone_has_the_bits_it_has_in_a_batch() -> None:
    model = trained(*SPACES[0])
    inputs = torch.rand(32, 1, 24, 24)
    with model.ready(), torch.no_grad():
        quick = prepared(model)
        together = quick.scores(inputs)
        filled = torch.cat([inputs[7:8], inputs[:1].expand(31, -1, -1, -1)])
        assert torch.equal(quick.scores(filled)[0], together[7])


class Chance(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.body(x)
        return scores + 0.5 * torch.randn(1)


class Branching(Chance):
    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.body(x)
        return scores if bool(x.mean() > 0.5) else -scores


class Frozen(Chance):
    """Reads a number off the batch when it is traced, and would keep it for ever."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.body(F.dropout(x, 0.5, training=True))
        return scores


@pytest.mark.parametrize("kind", [Chance, Branching, Frozen])
def test_random_and_branching_modules_stay_as_they_are(kind: type[nn.Module]) -> None:
    model = TorchModel(kind().eval(), examples.space("image"), TWO)
    with model.ready():
        assert prepared(model) is model


def test_hooks_scripts_half_precision_and_hidden_gradients_are_left_alone() -> None:
    space = examples.space("image")
    net = Chance().body.eval()
    hooked = Chance().body.eval()
    hooked.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    kept: list[Model] = [
        TorchModel(hooked, space, TWO),
        TorchModel(torch.jit.trace(net, torch.rand(1, 1, 8, 8)), space, TWO),
        TorchModel(Chance().body.eval().double(), space, TWO),
        TorchModel(net, space, TWO, access="scores"),
        TorchModel(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), space, TWO),
    ]
    for model in kept:
        with model.ready():
            assert prepared(model) is model


def test_the_form_follows_the_weights() -> None:
    model = trained(*SPACES[0])
    inputs = torch.rand(4, 1, 24, 24)
    with model.ready(), torch.no_grad():
        first = prepared(model)
        assert prepared(model).module is first.module  # type: ignore[attr-defined]
        for weight in model.module.parameters():
            weight.mul_(1.5)
        again = prepared(model)
        assert torch.allclose(again.scores(inputs), model.scores(inputs), rtol=1e-3, atol=1e-3)
        assert not torch.allclose(first.scores(inputs), model.scores(inputs), rtol=1e-3, atol=1e-3)


def test_the_model_is_judged_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quicker form that is fooled everywhere fools nobody: the judge asks the model, and border walkers ask again."""
    model, batch = examples.network("image", 6, answer="two classes")
    liar = TorchModel(
        nn.Sequential(ChannelsLast(nn.Conv2d(1, 1, 1), torch.channels_last), nn.Flatten(), nn.Linear(64, 2)),
        model.space,
        TWO,
    )
    limit = ThreatModel(Additive("l2"), 0.6)
    honest = run(DeepFool(), model, batch, limit, seed="a")
    monkeypatch.setattr("titer.attacks.engine.prepared", lambda _model: liar)
    found = run(PGD(steps=2), model, batch, limit, seed="a")
    assert (found.fooled == ~model.task.correct(model.predict(found.perturbed), batch.targets)).all()
    misled = run(DeepFool(), model, batch, limit, seed="a")
    assert (misled.fooled == ~model.task.correct(model.predict(misled.perturbed), batch.targets)).all()
    assert honest.fooled.any()

"""Logits behind probabilities: what the last softmax or sigmoid was given, however it was written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task

SPACE = Space("table", (3,), "unit", -9.0, 9.0)
THREE = Task("classes", ("a", "b", "c"))
ONE = Task("binary", ("no", "yes"))
FINDINGS = Task("multilabel", ("a", "b", "c"))


class Ended(nn.Module):
    """A steep linear layer and an ending."""

    def __init__(self, outputs: int, ending: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.linear, self.ending = nn.Linear(3, outputs), ending
        self.linear.weight.data.mul_(200)

    def forward(self, x: Tensor) -> Tensor:
        return self.ending(self.linear(x))


SOFT = {
    "layer": nn.Softmax(dim=1),
    "function": lambda z: F.softmax(z, dim=-1),
    "method": lambda z: z.softmax(1),
    "torch": lambda z: torch.softmax(z, dim=1),
}
SIGMOID = {
    "layer": nn.Sigmoid(),
    "function": F.sigmoid,
    "method": lambda z: z.sigmoid(),
    "torch": torch.sigmoid,
    "special": torch.special.expit,
}


def asked(task: Task, ending: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, scores through probabilities, and the slope of all scores' spread."""
    module = Ended(task.outputs, ending)
    model = TorchModel(module, SPACE, task, probabilities=True)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 3))).float().requires_grad_(True)
    scores = model.scores(x)
    (slope,) = torch.autograd.grad((scores[:, 0] - scores[:, 1:].sum(dim=1)).sum(), x)
    return module.linear(x).detach(), scores.detach(), slope


@pytest.mark.parametrize("way", SOFT)
def test_saturated_classes_keep_their_logits_and_slopes(way: str) -> None:
    logits, scores, slope = asked(THREE, SOFT[way])
    assert float((logits.max(dim=1).values - logits.min(dim=1).values).max()) > 110
    torch.testing.assert_close(scores, torch.log_softmax(logits, 1))
    assert bool((slope != 0).any(dim=1).all())


@pytest.mark.parametrize("task", [ONE, FINDINGS], ids=["one", "findings"])
@pytest.mark.parametrize("way", SIGMOID)
def test_saturated_sigmoids_keep_their_logits_and_slopes(task: Task, way: str) -> None:
    logits, scores, slope = asked(task, SIGMOID[way])
    assert float(logits.abs().max()) > 17
    torch.testing.assert_close(scores, logits)
    assert bool((slope != 0).any(dim=1).all())


def test_two_sigmoids_for_one_score_become_their_difference_in_logs() -> None:
    module = Ended(2, nn.Sigmoid())
    x = torch.ones(1, 3) / 50
    scores = TorchModel(module, SPACE, ONE, probabilities=True).scores(x)
    logs = F.logsigmoid(module.linear(x))
    torch.testing.assert_close(scores, logs[:, 1:] - logs[:, :1])


@pytest.mark.parametrize(
    "ending",
    [
        lambda z: z.softmax(1) * 1.0,
        lambda z: z.exp() / z.exp().sum(dim=1, keepdim=True),
        lambda z: z.softmax(1).flip(1),
    ],
    ids=["scaled", "written out", "flipped"],
)
def test_what_follows_on_the_ending_is_not_skipped(ending: Callable[[Tensor], Tensor]) -> None:
    module = Ended(3, ending)
    module.linear.weight.data.div_(200)
    x = torch.ones(2, 3)
    scores = TorchModel(module, SPACE, THREE, probabilities=True).scores(x)
    torch.testing.assert_close(scores, module(x).log())


def test_a_sigmoid_inside_is_no_ending() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 3), nn.Softmax(1))
    x = torch.ones(2, 3)
    scores = TorchModel(module, SPACE, THREE, probabilities=True).scores(x)
    torch.testing.assert_close(scores, module(x).log())


def test_modules_that_answer_in_inference_mode_fall_back_on_the_logarithm() -> None:
    class Frozen(Ended):
        @torch.inference_mode()
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    module = Frozen(3, nn.Softmax(1))
    module.linear.weight.data.div_(200)
    scores = TorchModel(module, SPACE, THREE, probabilities=True, access="scores").scores(torch.ones(2, 3))
    torch.testing.assert_close(scores, module(torch.ones(2, 3)).log())


def test_scripted_programs_fall_back_on_the_logarithm() -> None:
    module = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.Softmax(1)))
    x = torch.ones(2, 3)
    scores = TorchModel(module, SPACE, THREE, probabilities=True).scores(x)
    torch.testing.assert_close(scores, module(x).log())

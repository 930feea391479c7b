"""The five models of the strength benchmark, on real pictures and real signals.

Undefended, trained on attacked cases, trained on noisy cases, undefended with saturated logits, and quantized to int8.
The first three are trained here in seconds and kept in .cache/strength; the other two are made of the first.
"""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from titer.cases.case import Batch
from titer.cases.dataset import Dataset
from titer.cases.find import find_dataset
from titer.cases.space import Space
from titer.cases.splits import split
from titer.digest import digest
from titer.models.adapters.bpda import Through
from titer.models.adapters.torch import TorchModel
from titer.models.recipe import task_of
from titer.models.training import normalization

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "strength"
KINDS = ("undefended", "adversarial", "smoothed", "saturated", "quantized")
# Sureness of the saturated model: the softmax of float32 says 1 on every case, and its slope is 0.
TIMES = 1e5
# One case of 500 is 0.2 points.
CASES = 500


@dataclass(frozen=True)
class Field:
    """One data set and how its models are trained.

    Arguments
        name, options: of the data set. batch, rate, epochs: of the training. budget: L-infinity limit of the attacked
        cases, noise: standard deviation of the noisy ones, in the unit of the space.
    """

    name: str
    options: dict[str, object]
    epochs: int
    budget: float
    noise: float
    batch: int = 64
    rate: float = 2e-3


FIELDS = {
    "pictures": Field("brain_tumor_mri", {"size": 32}, 40, 0.03, 0.1),
    "signals": Field("ecg_mitbih", {"task": "aami"}, 12, 0.1, 0.25),
}


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, the cases that attacks work on, and the module behind the model."""

    model: TorchModel
    cases: Batch


@cache
def data(field: str) -> tuple[Dataset, Batch, Batch]:
    """The data set with its training and its test cases; no patient is in both where patients are known."""
    asked = FIELDS[field]
    found = find_dataset(asked.name, **asked.options)
    parts = split(found, seed=0, fractions=(0.6, 0.04, 0.36), limit=(4000, 200, CASES))
    return found, found.cases.take(parts.train), found.cases.take(parts.test)


@cache
def subject(field: str, kind: str) -> Subject:
    """One of the five models, with its cases."""
    found, learn, test = data(field)
    module = _weights(field, kind if kind in ("adversarial", "smoothed") else "undefended")
    mean, std = normalization(learn.inputs, found.space)
    if kind == "saturated":
        module = nn.Sequential(module, Times(TIMES))
    elif kind == "quantized":
        shown = TorchModel(module, found.space, task_of(found), mean=mean, std=std)
        module = quantized(module, shown.intake(torch.from_numpy(learn.inputs[:500]).float()))
    model = TorchModel(module.eval(), found.space, task_of(found), name=kind, mean=mean, std=std)
    return Subject(model, test)


class Times(nn.Module):
    """Logits, multiplied."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return self.factor * logits


def build(space: Space, classes: int) -> nn.Sequential:
    """Two strided convolutions, averages over parts, two dense layers."""
    if len(space.shape) == 2:
        convolution, norm, pool, kernel = nn.Conv1d, nn.BatchNorm1d, nn.AdaptiveAvgPool1d(12), 7
        width = 24 * 12
    else:
        convolution, norm, pool, kernel = nn.Conv2d, nn.BatchNorm2d, nn.AdaptiveAvgPool2d(4), 3
        width = 24 * 16
    return nn.Sequential(
        convolution(space.shape[0], 12, kernel, stride=2, padding=kernel // 2),
        norm(12),
        nn.ReLU(),
        convolution(12, 24, kernel, stride=2, padding=kernel // 2),
        norm(24),
        nn.ReLU(),
        pool,
        nn.Flatten(),
        nn.Linear(width, 48),
        nn.ReLU(),
        nn.Linear(48, classes),
    )


def quantized(module: nn.Module, seen: Tensor) -> Through:
    """Weights and activations in int8, by torch's own kernels, with ranges read off `seen`.

    Integer kernels have no gradients, so the float module stands in for them backwards (BPDA, Athalye et al. 2018).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        watched = prepare_fx(copy.deepcopy(module).eval(), get_default_qconfig_mapping("x86"), (seen[:1],))
        with torch.no_grad():
            watched(seen)
        return Through(convert_fx(watched), module)


def _weights(field: str, kind: str) -> nn.Module:
    """A trained module, from the cache where it is there."""
    asked = FIELDS[field]
    found, learn, _ = data(field)
    module = build(found.space, len(found.classes))
    key = digest([field, kind, repr(asked), found.digest, torch.__version__, Path(__file__).read_text()])[:16]
    place = CACHE / f"{field}-{kind}-{key}.safetensors"
    if not place.exists():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = build(found.space, len(found.classes))
            _train(module, found, learn, asked, kind)
        place.parent.mkdir(parents=True, exist_ok=True)
        save_file(module.state_dict(), place)
    module.load_state_dict(load_file(place))
    return module.eval()


def _train(module: nn.Module, found: Dataset, learn: Batch, asked: Field, kind: str) -> None:
    """Adam with a cosine schedule; attacked cases are those of three steps of PGD from a random start."""
    inputs, targets = torch.from_numpy(learn.inputs).float(), torch.from_numpy(learn.targets)
    mean, std = (torch.as_tensor(each).reshape(-1, *[1] * (inputs.dim() - 2)) for each in _normal(learn, found.space))
    low, high = (float(np.min(found.space.low)), float(np.max(found.space.high)))

    def answers(cases: Tensor) -> Tensor:
        scores: Tensor = module((cases - mean) / std)
        return scores

    adam = torch.optim.Adam(module.parameters(), asked.rate)
    pieces = math.ceil(len(inputs) / asked.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, asked.epochs * pieces)
    for _ in range(asked.epochs):
        for rows in torch.randperm(len(inputs)).tensor_split(pieces):
            cases, truth = inputs[rows], targets[rows]
            if kind == "smoothed":
                cases = cases + asked.noise * torch.randn_like(cases)
            elif kind == "adversarial":
                cases = _attacked(answers, cases, truth, asked.budget, low, high)
            adam.zero_grad()
            F.cross_entropy(answers(cases), truth).backward()
            adam.step()
            schedule.step()


def _normal(learn: Batch, space: Space) -> tuple[Tensor, Tensor]:
    mean, std = normalization(learn.inputs, space)
    return torch.tensor(mean), torch.tensor(std)


def _attacked(answers, cases: Tensor, truth: Tensor, budget: float, low: float, high: float) -> Tensor:  # type: ignore[no-untyped-def]
    moved = budget * (2 * torch.rand_like(cases) - 1)
    for _ in range(3):
        point = (cases + moved).requires_grad_(True)
        (slope,) = torch.autograd.grad(F.cross_entropy(answers(point), truth), point)
        moved = (moved + 0.6 * budget * slope.sign()).clamp(-budget, budget)
    return (cases + moved).clamp(low, high).detach()

"""The models that are attacked: trained once on real data, then kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
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
from titer.cases.splits import Split, split
from titer.models.adapters.torch import TorchModel
from titer.models.checkpoint import trained
from titer.models.model import to_tensor
from titer.models.task import Task
from titer.models.trained import TrainedModel
from titer.models.zoo.t_cnn import TCNN
from titer.models.zoo.t_rnn import TRNN

CACHE = Path(__file__).parents[2] / ".cache" / "benchmarks"
# Where models and cases are; set once, before a subject is made.
DEVICE = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, cases that it decides right, and one limit per norm; values are rescaled to 0..1 for all libraries.

    Arguments
        name: as rows name it. what: model and data in words.
        module: takes values of 0 to 1, gives one score per class; frozen, in evaluation mode.
        model: the same for Titer. batch: the cases, and `pool`: others to learn from.
        limits: norm -> limit.
    """

    name: str
    what: str
    module: nn.Module
    model: TorchModel
    batch: Batch
    pool: Batch
    limits: dict[str, float]

    @property
    def device(self) -> torch.device:
        return self.model.device

    @cached_property
    def inputs(self) -> Tensor:
        return to_tensor(self.batch.inputs, self.model.space).to(self.device)

    @cached_property
    def labels(self) -> Tensor:
        return torch.from_numpy(self.batch.targets).to(self.device)

    def plain(self) -> AbstractContextManager[object]:
        """What peers need around them: cuDNN refuses slopes of recurrent layers in evaluation mode."""
        recurrent = any(isinstance(part, nn.RNNBase) for part in self.module.modules())
        held: AbstractContextManager[object] = torch.backends.cudnn.flags(enabled=False)
        return held if recurrent and self.device.type == "cuda" else nullcontext()

    def raw(self, passes: int, rows: int | None = None) -> None:
        """The yardstick: forward and backward passes, input gradients only, of the model as it was handed over."""
        inputs, labels = self.inputs[:rows], self.labels[:rows]
        with self.plain():
            for _ in range(passes):
                point = inputs.clone().requires_grad_(True)
                torch.autograd.grad(F.cross_entropy(self.module(point), labels, reduction="sum"), point)

    def fewer(self, cases: int) -> Subject:
        """The same with the first cases only."""
        return Subject(
            self.name, self.what, self.module, self.model, self.batch.take(range(cases)), self.pool, self.limits
        )


class Unit(nn.Module):
    """A module that takes values of 0 to 1 and brings them to the scale that the weights were trained on."""

    def __init__(self, inner: nn.Module, slope: float, shift: float) -> None:
        super().__init__()
        self.inner, self.slope, self.shift = inner, slope, shift

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner(self.slope * inputs + self.shift)
        return scores


class Small(nn.Module):
    """A module for large pictures in color, made of one for small ones in grey."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner(F.adaptive_avg_pool2d(inputs.mean(dim=1, keepdim=True), (64, 64)))
        return scores


class Patches(nn.Module):
    """A small vision transformer: squares of the picture as words, two encoder layers, their mean."""

    def __init__(self, channels: int, size: int, classes: int, square: int = 8, width: int = 64) -> None:
        super().__init__()
        self.cut = nn.Conv2d(channels, width, square, stride=square)
        self.places = nn.Parameter(0.02 * torch.randn(1, (size // square) ** 2, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.head(self.encoder(self.cut(inputs).flatten(2).mT + self.places).mean(dim=1))
        return scores


def place(device: str) -> None:
    """Where models and cases are from now on; all libraries count in full precision there."""
    global DEVICE  # noqa: PLW0603 - one place for all rows, set before any is made
    DEVICE = torch.device(device)
    # A change that ends on the border in full precision need not fool a model that rounds to ten bits, or the reverse.
    torch.backends.cudnn.allow_tf32 = False


def cnn(cases: int = 128) -> Subject:
    """The image network as it comes."""
    dataset, rows = _slices()
    model = trained(TCNN(epochs=8), dataset, rows, seed=0, folder=CACHE)
    return _subject("cnn", "T-CNN, brain MRI slices of 64 px, 4 classes", model, dataset, rows, cases, 2 / 255)


def hardened(cases: int = 128) -> Subject:
    """The same network, trained on changes instead of the slices."""
    dataset, rows = _slices()
    model = trained(TCNN(epochs=8), dataset, rows, seed=0, folder=CACHE)
    module = _kept("hardened", copy.deepcopy(_unit(model)), dataset.cases.take(rows.train), epochs=6, limit=4 / 255)
    return _wrapped("hardened", "T-CNN trained against PGD of 4/255", module, dataset, rows, cases, 4 / 255)


def transformer(cases: int = 128) -> Subject:
    """Squares of the slices as words."""
    dataset, rows = _slices()
    torch.manual_seed(0)
    module = _kept("transformer", Patches(1, 64, 4), dataset.cases.take(rows.train), epochs=25, limit=0.0)
    what = "vision transformer (64 words, 2 layers), the same slices"
    return _wrapped("transformer", what, module, dataset, rows, cases, 2 / 255)


def gru(cases: int = 128) -> Subject:
    """Beats of an ECG, read by a recurrent network."""
    dataset = find_dataset("ecg_mitbih", task="aami")
    rows = split(dataset, seed=0, fractions=(0.5, 0.25, 0.25), by="patient", limit=(3000, 600, 600))
    model = trained(TRNN(epochs=4), dataset, rows, seed=0, folder=CACHE)
    return _subject("gru", "T-RNN (bidirectional GRU), ECG beats", model, dataset, rows, cases, 0.01)


def volume(cases: int = 64) -> Subject:
    """Adrenal glands in three dimensions."""
    dataset = find_dataset("adrenalmnist3d")
    rows = split(dataset, seed=0, by="official", limit=(800, 300, 300))
    model = trained(TCNN(epochs=4, size="mini"), dataset, rows, seed=0, folder=CACHE)
    return _subject("volume", "T-CNN in 3-D, adrenal glands of 32 voxels, 2 classes", model, dataset, rows, cases, 0.02)


def large(cases: int = 4) -> Subject:
    """Pictures of 3 x 224 x 224 that the image network sees in grey and small."""
    small = cnn(cases)
    module = Small(small.module)
    space = Space("image", (3, 224, 224), "of the range", 0.0, 1.0)
    inputs = F.interpolate(small.inputs, size=(224, 224), mode="nearest").expand(-1, 3, -1, -1).contiguous()
    with torch.no_grad():
        right = module(inputs).argmax(dim=1).cpu().numpy() == small.batch.targets
    model = TorchModel(module.eval(), space, small.model.task, name="large")
    batch = Batch(inputs.cpu().numpy(), small.batch.targets, small.batch.patients, small.batch.ids)
    what = "T-CNN behind a layer that makes 3 x 224 x 224 grey and small"
    return Subject("large", what, module, model, batch.take(np.flatnonzero(right)), small.pool, small.limits)


SUBJECTS: dict[str, Callable[..., Subject]] = {
    each.__name__: each for each in (cnn, hardened, gru, transformer, volume)
}


def _slices() -> tuple[Dataset, Split]:
    dataset = find_dataset("brain_tumor_mri", size=64)
    return dataset, split(dataset, seed=0, fractions=(0.6, 0.1, 0.3), by="patient")


def _unit(model: TrainedModel) -> Unit:
    """The network with its normalization, from values of 0 to 1."""
    low, high = (float(end.flat[0]) for end in map(np.asarray, model.space.bounds()))
    mean, std = float(np.ravel(model.mean)[0]), float(np.ravel(model.std)[0])
    return Unit(model.module, (high - low) / std, (low - mean) / std)


def _subject(
    name: str, what: str, model: TrainedModel, dataset: Dataset, rows: Split, cases: int, limit: float
) -> Subject:
    return _wrapped(name, what, _unit(model), dataset, rows, cases, limit)


def _wrapped(
    name: str, what: str, module: nn.Module, dataset: Dataset, rows: Split, cases: int, limit: float
) -> Subject:
    module.eval().requires_grad_(False).to(DEVICE)
    space = Space(dataset.space.kind, dataset.space.shape, "of the range", 0.0, 1.0)
    model = TorchModel(module, space, Task("classes", dataset.classes), name=name)
    held = _rescaled(dataset, dataset.cases.take(rows.test))
    with torch.no_grad():
        right = module(to_tensor(held.inputs, space).to(DEVICE)).argmax(dim=1).cpu().numpy() == held.targets
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(right))
    pool = _rescaled(dataset, dataset.cases.take(rows.train))
    length = limit * math.sqrt(np.prod(space.shape)) / 2
    limits = {"linf": limit, "l2": length}
    return Subject(name, what, module, model, held.take(chosen[:cases]), pool.take(range(500)), limits)


def _rescaled(dataset: Dataset, batch: Batch) -> Batch:
    low, high = (np.asarray(end) for end in dataset.space.bounds())
    inputs = ((batch.inputs - low) / (high - low)).astype(np.float32)
    return Batch(np.clip(inputs, 0, 1), batch.targets, batch.patients, batch.ids)


def _kept(name: str, module: nn.Module, batch: Batch, *, epochs: int, limit: float) -> nn.Module:
    """The module trained here (on changed cases where there is a limit), or its weights from before."""
    path = CACHE / f"{name}.safetensors"
    if path.exists():
        module.load_state_dict(load_file(path))
        return module
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.from_numpy(np.asarray(batch.inputs, dtype=np.float32)), torch.from_numpy(batch.targets)
    module.train()
    course = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(64):
            some = inputs[rows]
            if limit:
                some = _climbed(module, some, labels[rows], limit)
            course.zero_grad()
            F.cross_entropy(module(some), labels[rows]).backward()
            course.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(module.state_dict(), path)
    return module


def _climbed(module: nn.Module, inputs: Tensor, labels: Tensor, limit: float, steps: int = 5) -> Tensor:
    moved = inputs
    for _ in range(steps):
        point = moved.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(F.cross_entropy(module(point), labels, reduction="sum"), point)
        moved = torch.clamp(inputs + torch.clamp(moved + 0.4 * limit * slope.sign() - inputs, -limit, limit), 0, 1)
    return moved

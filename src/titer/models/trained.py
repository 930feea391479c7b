"""Trained reference models, the record of their training, and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

import titer
from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.space import Space
from titer.digest import digest, digest_arrays
from titer.models.adapters.torch import TorchModel
from titer.models.recipe import Recipe
from titer.models.task import Task

Numbers = float | tuple[float, ...]


class Rows(Protocol):
    """Row numbers of the parts of a data set, as `titer.cases.splits.split` gives them."""

    @property
    def train(self) -> Array:
        """Rows to learn from."""

    @property
    def validation(self) -> Array:
        """Rows to stop early on."""


@dataclass(frozen=True)
class TrainingRecord:
    """Where a trained model comes from: enough to train it again.

    Arguments
        recipe, settings: the recipe's name and every setting.
        dataset, dataset_name: digest and short name of the cases.
        split: digest of the rows it was trained and validated on.
        seed, epochs: of the training; `best_epoch` gave the weights, with `validation_loss`.
        versions: of the software that trained it.
    """

    recipe: str
    settings: dict[str, Any]
    dataset: str
    dataset_name: str
    split: str
    seed: int
    epochs: int
    best_epoch: int
    validation_loss: float
    versions: dict[str, str]

    @property
    def key(self) -> str:
        """Name of the training: equal keys give equal weights on the same machine."""
        return _key(self.recipe, self.settings, self.dataset, self.split, self.seed, self.epochs, self.versions)


class TrainedModel(TorchModel):
    """A reference model with the record of its training."""

    def __init__(
        self,
        module: nn.Module,
        space: Space,
        task: Task,
        record: TrainingRecord,
        *,
        mean: Numbers,
        std: Numbers,
        name: str,
    ) -> None:
        super().__init__(module, space, task, name=name, mean=mean, std=std)
        self.record = record
        self.mean, self.std = mean, std


class Scaled(nn.Module):
    """A module whose answer is in standard deviations of a quantity, given in the quantity's own unit."""

    shift: Tensor
    scale: Tensor

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.module(inputs) * self.scale + self.shift
        return scores

    def fit(self, targets: Array) -> nn.Module:
        """Take mean and spread of the training targets; gives the module within."""
        self.shift.fill_(float(np.mean(targets)))
        self.scale.fill_(float(np.std(targets)) or 1.0)
        return self.module


def training_key(recipe: Recipe, dataset: Dataset, rows: Rows, *, seed: int, epochs: int | None = None) -> str:
    """Name of a training before it is done, for caches: recipe, settings, cases, split, seed, epochs, versions."""
    most = recipe.epochs if epochs is None else epochs
    return _key(recipe.name, recipe.settings(), dataset.digest, split_digest(rows), seed, most, versions())


def split_digest(rows: Rows) -> str:
    """Name of the rows that training sees; test rows have no part in it."""
    return digest_arrays(np.asarray(rows.train, dtype=np.int64), np.asarray(rows.validation, dtype=np.int64))


def new_module(recipe: Recipe, space: Space, task: Task) -> nn.Module:
    """An untrained module as training and checkpoints need it."""
    module = recipe.module(space, task)
    return Scaled(module) if task.kind == "regression" else module


def _key(*parts: Any) -> str:
    return digest(list(parts))


def versions() -> dict[str, str]:
    """Versions of the software whose change may change weights."""
    return {"titer": titer.__version__, "torch": str(torch.__version__)}

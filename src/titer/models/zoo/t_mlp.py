"""T-MLP: a small network for tables of measurements."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from titer.cases.space import Kind, Space
from titer.errors import PlanError
from titer.models.recipe import Recipe
from titer.models.task import Task


@dataclass(frozen=True, kw_only=True)
class TMLP(Recipe):
    """Linear layers with ReLU between; without hidden layers it is logistic (or linear) regression.

    Source: none of its own; logistic regression is what risk scores in clinical use mostly are.

    Arguments
        hidden: width of each hidden layer.
        noise: normal noise while training, in standard deviations of a feature.

    >>> TMLP(hidden=(8,)).module(Space("table", (5,), "SD", -9.0, 9.0), Task("binary", ("well", "ill")))
    Sequential(
      (0): Linear(in_features=5, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=1, bias=True)
    )
    """

    hidden: tuple[int, ...] = (32,)
    noise: float = 0.1
    rate: float = 1e-2
    final_rate: float = 1e-3
    decay: float = 1e-2
    batch: int = 32
    epochs: int = 60
    patience: int = 10

    name: ClassVar[str] = "t_mlp"
    family: ClassVar[str] = "MLP"
    kinds: ClassVar[tuple[Kind, ...]] = ("table",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0, noise=self.noise)
        if not all(isinstance(width, int) and width > 0 for width in self.hidden):
            raise PlanError("hidden widths of at least 1", repr(self.hidden), f"correct 'hidden' of {self.name}")

    def module(self, space: Space, task: Task) -> nn.Module:
        widths = [space.shape[0], *self.hidden]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*parts, nn.Linear(widths[-1], task.outputs))

    def augment(self, inputs: Tensor, space: Space, generator: Generator) -> Tensor:
        if not self.noise:
            return inputs
        scale = torch.as_tensor(space.per_channel(space.scale)).to(inputs)
        return inputs + self.noise * scale * torch.randn(inputs.shape, generator=generator)

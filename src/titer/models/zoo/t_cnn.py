"""T-CNN: a small convolutional network for pictures and volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from titer.cases.space import Kind, Space
from titer.models.recipe import Recipe
from titer.models.task import Task
from titer.models.zoo._parts import block, mean_pool, noisy, rescaled, shifted, within

_WIDTHS = {"full": (16, 32, 64, 64), "mini": (16, 32, 32)}


@dataclass(frozen=True, kw_only=True)
class TCNN(Recipe):
    """Blocks of 3x3 convolution, batch norm, ReLU and pooling, then averages and a linear layer.

    "full" has four blocks of 16, 32, 64 and 64 channels and a global average (about 60,000 weights for one channel);
    "mini" three blocks of 16, 32 and 32 and two dense layers. Volumes get the same in three dimensions.

    Source: the CNN of Soberano and Condes 2025 (doi 10.6000/1929-6029.2025.14.71), who do not state their
    architecture; this one is ours.

    Arguments
        size: "full" or "mini".
        dropout: share of features dropped before the last layer while training.
        flip: mirror half of the training cases left to right.
        shift: move training cases by up to this share of each side.
        contrast: stretch training cases about their mean by up to this share.
        noise: normal noise of up to this standard deviation, in the unit of the space.

    >>> model = TCNN(size="mini").module(Space("image", (1, 32, 32), "grey level (0-1)"), Task("classes", ("a", "b")))
    >>> model(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 2])
    """

    rate: float = 2e-3
    size: Literal["full", "mini"] = "full"
    dropout: float = 0.0
    flip: bool = False
    shift: float = 0.06
    contrast: float = 0.0
    noise: float = 0.0

    name: ClassVar[str] = "t_cnn"
    family: ClassVar[str] = "CNN"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "volume")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.choose("size", self.size, tuple(_WIDTHS))
        self.choose("flip", self.flip, (False, True))
        self.require(0, dropout=self.dropout, shift=self.shift, contrast=self.contrast, noise=self.noise)

    def module(self, space: Space, task: Task) -> nn.Module:
        dims, widths = len(space.shape) - 1, _WIDTHS[self.size]
        parts: list[nn.Module] = []
        before, side = space.shape[0], min(space.shape[1:])
        for after in widths:
            pool = 2 if side >= 2 else 1
            parts.append(block(dims, before, after, pool=pool))
            before, side = after, side // pool
        if self.size == "full":
            parts += [mean_pool(dims), nn.Flatten(), nn.Dropout(self.dropout), nn.Linear(before, task.outputs)]
        else:
            parts += [mean_pool(dims, 4), nn.Flatten(), nn.Linear(before * 4**dims, 64), nn.ReLU()]
            parts += [nn.Dropout(self.dropout), nn.Linear(64, task.outputs)]
        return nn.Sequential(*parts)

    def augment(self, inputs: Tensor, space: Space, generator: Generator) -> Tensor:
        if self.flip:
            mirror = torch.rand((len(inputs), *([1] * (inputs.dim() - 1))), generator=generator) < 0.5
            inputs = torch.where(mirror, inputs.flip(-1), inputs)
        if self.shift:
            inputs = shifted(inputs, self.shift, generator)
        if self.contrast:
            inputs = rescaled(inputs, self.contrast, generator)
        if self.noise:
            inputs = noisy(inputs, self.noise, generator)
        return within(inputs, space) if self.contrast or self.noise else inputs

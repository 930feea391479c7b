"""What recipes for signals share: settings and light augmentation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from titer.cases.space import Kind, Space
from titer.models.recipe import Recipe
from titer.models.zoo._parts import noisy, rescaled, shifted, within


@dataclass(frozen=True, kw_only=True)
class SignalRecipe(Recipe):
    """Base of the recipes for signals.

    Arguments
        own_scale: "none", "center" (every record loses its own mean, which is where the baseline lies) or "standard"
            (and is divided by its own standard deviation, for electrodes and axes differ); part of the model.
        dropout: share of features dropped before the last layer while training.
        shift: move training cases by up to this share of their length.
        amplitude: stretch training cases about their mean by up to this share.
        noise: normal noise of up to this standard deviation, in the unit of the space.
        wander: a slow sine of up to this height, in the unit of the space.
    """

    own_scale: Literal["none", "center", "standard"] = "none"
    dropout: float = 0.1
    shift: float = 0.0
    amplitude: float = 0.0
    noise: float = 0.0
    wander: float = 0.0

    kinds: ClassVar[tuple[Kind, ...]] = ("signal",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.choose("own_scale", self.own_scale, ("none", "center", "standard"))
        self.require(0, dropout=self.dropout, shift=self.shift, amplitude=self.amplitude)
        self.require(0, noise=self.noise, wander=self.wander)

    def augment(self, inputs: Tensor, space: Space, generator: Generator) -> Tensor:
        if self.shift:
            inputs = shifted(inputs, self.shift, generator)
        if self.amplitude:
            inputs = rescaled(inputs, self.amplitude, generator)
        if self.wander:
            inputs = inputs + _wander(inputs, self.wander, generator)
        if self.noise:
            inputs = noisy(inputs, self.noise, generator)
        return within(inputs, space) if self.amplitude or self.wander or self.noise else inputs


class OwnScale(nn.Module):
    """Records [n, C, T] seen from their own mean and, if wanted, in their own standard deviation."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, inputs: Tensor) -> Tensor:
        if self.how == "none":
            return inputs
        centered = inputs - inputs.mean(dim=2, keepdim=True)
        if self.how == "center":
            return centered
        # A flat record has no scale of its own; a hundredth of the usual spread keeps it near zero.
        return centered / (centered.square().mean(dim=2, keepdim=True) + 1e-4).sqrt()


def _wander(inputs: Tensor, height: float, generator: Generator) -> Tensor:
    """[n, 1, T] up to one slow wave per record."""
    size, waves, phase = torch.rand((3, len(inputs), 1, 1), generator=generator)
    clock = torch.linspace(0.0, 2 * math.pi, inputs.shape[-1])
    wave: Tensor = height * size * torch.sin(waves * clock + 2 * math.pi * phase)
    return wave

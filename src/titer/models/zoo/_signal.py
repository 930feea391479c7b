"""What recipes for signals share: settings and light augmentation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from titer.cases.space import Kind, Space
from titer.models.recipe import Recipe
from titer.models.zoo._parts import noisy, rescaled, shifted, within


@dataclass(frozen=True, kw_only=True)
class SignalRecipe(Recipe):
    """Base of the recipes for signals.

    Arguments
        dropout: share of features dropped before the last layer while training.
        shift: move training cases by up to this share of their length.
        amplitude: stretch training cases about their mean by up to this share.
        noise: normal noise of up to this standard deviation, in the unit of the space.
        wander: a slow sine of up to this height, in the unit of the space.
    """

    dropout: float = 0.1
    shift: float = 0.0
    amplitude: float = 0.0
    noise: float = 0.0
    wander: float = 0.0

    kinds: ClassVar[tuple[Kind, ...]] = ("signal",)

    def __post_init__(self) -> None:
        super().__post_init__()
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


def _wander(inputs: Tensor, height: float, generator: Generator) -> Tensor:
    """[n, 1, T] up to one slow wave per record."""
    size, waves, phase = torch.rand((3, len(inputs), 1, 1), generator=generator)
    clock = torch.linspace(0.0, 2 * math.pi, inputs.shape[-1])
    wave: Tensor = height * size * torch.sin(waves * clock + 2 * math.pi * phase)
    return wave

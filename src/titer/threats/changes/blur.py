"""Blur change: the picture loses sharpness, as with a slight movement, a wider beam or a lens out of focus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from titer.cases.space import Kind
from titer.threats.change import Field
from titer.threats.changes._dials import PICTURES, Dial, FewDials


@dataclass(frozen=True)
class Blur(FewDials):
    """x' = x seen through a Gaussian of standard deviation sigma in every direction, mirrored at the border.

    The parameter is the variance sigma^2 in squared pixels, since a picture changes evenly with it; the limit and the
    cost are sigma in pixels. The kernel is the Gaussian of whole pixels, whose cosine transform is
    exp(sigma^2 (cos w - 1)): its variance is exact for the finest widths too, it has no negative weights, so that no
    value leaves the range of the picture, and blurs add up, sigma^2 by sigma^2.

    Source: Lindeberg 1990 (doi 10.1109/34.49051) for the kernel.

    >>> Blur().sentence("1.5 pixels")
    'blur the picture by a Gaussian with a standard deviation of at most 1.5 pixels'
    """

    name: ClassVar[str] = "blur"
    kinds: ClassVar[tuple[Kind, ...]] = PICTURES
    two_sided = False

    def dials(self) -> tuple[Dial, ...]:
        deed = "blur the picture by a Gaussian with a standard deviation of at most {}"
        return (Dial(deed, "pixels", 1.0, points=17),)

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return params[:, 0].clamp_min(0).sqrt()

    def end(self, limit: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return limit.square()

    def turned(self, field: Field, params: Tensor) -> Tensor:
        return gaussian(field.clean, params[:, 0])


def gaussian(values: Tensor, variance: Float[Tensor, " n"]) -> Tensor:
    """Values [n, C, ...] blurred along every spatial dimension by a variance per case, in squared pixels."""
    for place in range(2, values.dim()):
        waves, fall = _cosines(values.shape[place], values.device)
        turned = waves.to(values)
        weight = torch.exp(variance.reshape(-1, 1) * fall.to(values)).reshape(
            -1, *([1] * (values.dim() - 2)), values.shape[place]
        )
        values = ((values.movedim(place, -1) @ turned * weight) @ turned.T).movedim(-1, place)
    return values


@lru_cache(maxsize=64)
def _cosines(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The orthonormal cosines [size, wave] that mirrored pictures are made of, and cos w - 1 of each."""
    w = math.pi * torch.arange(size, dtype=torch.float64) / size
    waves = torch.cos(w[None] * (torch.arange(size, dtype=torch.float64)[:, None] + 0.5)) * math.sqrt(2 / size)
    waves[:, 0] = math.sqrt(1 / size)
    return waves.to(device), (torch.cos(w) - 1).to(device)

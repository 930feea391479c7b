"""Gamma change: dark and bright parts move against each other, as another display or detector curve moves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.cases.space import Kind
from titer.threats.change import Field
from titer.threats.changes._dials import PICTURES, Dial, FewDials, column, ends, factor


@dataclass(frozen=True)
class Gamma(FewDials):
    """x' = low + (high - low) u^g with u = (x - low) / (high - low): black and white stay, the middle moves.

    A limit of 20% allows exponents g from 1 / 1.2 to 1.2. The order of grey levels never changes.

    Source: the display function of grey levels, in augmentation of medical images since Isensee et al. 2021 (doi
    10.1038/s41592-020-01008-z); here searched.

    >>> Gamma().sentence("20 %")
    'bend the grey-level curve (gamma) by at most 20 %'
    """

    name: ClassVar[str] = "gamma"
    kinds: ClassVar[tuple[Kind, ...]] = PICTURES

    def dials(self) -> tuple[Dial, ...]:
        return (Dial("bend the grey-level curve (gamma) by at most {}", "%", 100.0, points=21),)

    def turned(self, field: Field, params: Tensor) -> Tensor:
        low, high = ends(field)
        span = high - low
        share = ((field.clean - low) / span).clamp(0, 1)
        bent = share.clamp_min(torch.finfo(share.dtype).tiny) ** column(factor(params[:, 0]), share)
        # The slope of a power at 0 is no number; black stays black.
        return low + span * torch.where(share > 0, bent, torch.zeros_like(bent))

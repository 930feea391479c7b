"""Contrast change: gain and brightness of the whole picture, as another exposure or window would set them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from titer.cases.space import Kind
from titer.threats.change import Field
from titer.threats.changes._dials import PICTURES, Dial, FewDials, column, ends, factor, ranges


@dataclass(frozen=True)
class Contrast(FewDials):
    """x' = clip(m + g (x - m) + b (high - low)), with m the mean of each channel of the case, gain g and brightness b.

    A gain of 20% lies between 1 / 1.2 and 1.2. Values that leave the range saturate, as on a detector. Parameters are
    those of the ranges above 0: contrast, brightness. If only one is set, the limit is in percent of it, otherwise a
    share of both ranges.

    Source: brightness and contrast as in Hendrycks and Dietterich 2019 (arXiv 1903.12261), here searched.

    Arguments
        contrast: range of the gain in percent.
        brightness: range of the shift in percent of the valid range.

    >>> Contrast(brightness=0).sentence("10 %")
    'raise or lower contrast by at most 10 %'
    """

    contrast: float = 20.0
    brightness: float = 10.0
    name: ClassVar[str] = "contrast"
    kinds: ClassVar[tuple[Kind, ...]] = PICTURES

    def __post_init__(self) -> None:
        ranges(self, contrast=self.contrast, brightness=self.brightness)

    def dials(self) -> tuple[Dial, ...]:
        known = (
            Dial("raise or lower contrast by at most {}", "%", self.contrast, points=9, name="contrast"),
            Dial(
                "make it brighter or darker by at most {} of the range",
                "%",
                self.brightness,
                points=9,
                name="brightness",
            ),
        )
        return tuple(dial for dial in known if dial.whole > 0)

    def turned(self, field: Field, params: Tensor) -> Tensor:
        low, high = ends(field)
        clean, left = field.clean, iter(params.unbind(dim=1))
        changed = clean
        if self.contrast:
            # In float64, so that the middle of a case does not hang on the order of a sum.
            middle = column(clean.double().flatten(2).mean(dim=2), clean).reshape(
                *clean.shape[:2], *([1] * (clean.dim() - 2))
            )
            middle = middle.to(clean.dtype)
            changed = middle + column(factor(next(left) * (self.contrast / 100)), clean) * (clean - middle)
        if self.brightness:
            changed = changed + column(next(left) * (self.brightness / 100), clean) * (high - low)
        return changed

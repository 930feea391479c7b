"""Affine change: the picture is turned, shifted or enlarged, as when a camera or patient stands otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from titer.cases.space import Kind
from titer.errors import ThreatError
from titer.threats.change import Field
from titer.threats.changes._dials import PICTURES, Dial, FewDials, ends, factor, ranges

_PADDING: dict[str, Literal["zeros", "reflection", "border"]] = {
    "black": "zeros",
    "reflect": "reflection",
    "border": "border",
}


@dataclass(frozen=True)
class Affine(FewDials):
    """x'(q) = x(R(-a) (q - t) / s) around the middle of the picture: rotation by a, shift by t, enlargement by s.

    Values between pixels are bilinear. No value is altered by itself: whoever holds the camera may do this. Parameters
    are those of the ranges above 0, in this order: rotation (counterclockwise), shift down, shift right, scale. If only
    one range is set, the limit is in its unit, otherwise a share of all ranges: 1 is the whole set. Volumes
    are turned within the planes across one axis; pixel spacing is respected where it is known.

    Source: Engstrom et al. 2019 (arXiv 1712.02779), whose set of 30 degrees and 10% of the width is the default.
    Different from it: pictures keep their size, so the border shows what `padding` says; scale is ours.

    Arguments
        rotation: range of the angle in degrees.
        shift: range of the shift as a part of the height (down) and width (right).
        scale: range of the size in percent, up by 1 + scale / 100 and down by its inverse.
        padding: what enters from outside: "black" (the low end of the range), "reflect" or "border" (its last pixels).
        axis: volumes: the axis (0, 1, 2 of depth, height, width) around which planes are turned.

    Refuses masks: the whole picture moves.

    >>> Affine(rotation=30, shift=0).sentence("15 degrees")
    'turn the picture by at most 15 degrees'
    """

    rotation: float = 30.0
    shift: float = 0.1
    scale: float = 0.0
    padding: Literal["black", "reflect", "border"] = "black"
    axis: int = 0
    name: ClassVar[str] = "affine"
    kinds: ClassVar[tuple[Kind, ...]] = PICTURES
    local = False

    def __post_init__(self) -> None:
        ranges(self, rotation=self.rotation, shift=self.shift, scale=self.scale)
        if self.padding not in _PADDING:
            raise ThreatError(f"a padding among {', '.join(_PADDING)}", repr(self.padding), "correct 'padding'")
        if self.axis not in (0, 1, 2):
            raise ThreatError("an axis of 0, 1 or 2", str(self.axis), "correct 'axis'")

    def dials(self) -> tuple[Dial, ...]:
        known = (
            Dial("turn the picture by at most {}", "degrees", self.rotation, points=31, name="rotation"),
            Dial("shift it by at most {}", "of its size", self.shift, count=2, name="shift"),
            Dial("enlarge or shrink it by at most {}", "%", self.scale, name="scale"),
        )
        return tuple(dial for dial in known if dial.whole > 0)

    def turned(self, field: Field, params: Tensor) -> Tensor:
        clean, spacing = field.clean, field.spacing
        low, _ = ends(field)
        lifted = clean - low if self.padding == "black" else clean
        planes = lifted if clean.dim() == 4 else lifted.movedim(self.axis + 2, 2)
        flat = planes.flatten(1, -3)
        ratio = 1.0
        if spacing is not None:
            down, right = spacing if len(spacing) == 2 else spacing[: self.axis] + spacing[self.axis + 1 :]
            ratio = right / down
        where = self._where(params, flat.shape[2], flat.shape[3], ratio)
        moved = F.grid_sample(flat, where, "bilinear", _PADDING[self.padding], align_corners=False)
        found = moved.reshape(planes.shape)
        found = found if clean.dim() == 4 else found.movedim(2, self.axis + 2)
        return found + low if self.padding == "black" else found

    def _where(self, params: Tensor, height: int, width: int, ratio: float) -> Tensor:
        """[n, height, width, 2] where each pixel comes from, right and down, in halves of the picture."""
        # Angles in float64: half a turn must come out as exactly as a sign.
        turn, down, right, size = self._settings(params.double())
        cosine, sine = ((wave(turn) / size).to(params.dtype) for wave in (torch.cos, torch.sin))
        steps = [torch.arange(n, dtype=params.dtype, device=params.device) - (n - 1) / 2 for n in (height, width)]
        v = steps[0].reshape(1, -1, 1) - (down * height).to(params.dtype).reshape(-1, 1, 1)
        u = steps[1].reshape(1, 1, -1) - (right * width).to(params.dtype).reshape(-1, 1, 1)
        cosine, sine = cosine.reshape(-1, 1, 1), sine.reshape(-1, 1, 1)
        from_down = cosine * v + (sine * ratio) * u
        from_right = cosine * u - (sine / ratio) * v
        return torch.stack((from_right * (2 / width), from_down * (2 / height)), dim=-1)

    def _settings(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Angle in radians, shift down and right as parts of the sides, and size, each [n]."""
        left = iter(params.unbind(dim=1))
        still = torch.zeros_like(params[:, 0])
        turn = torch.deg2rad(next(left) * self.rotation) if self.rotation else still
        down, right = (next(left) * self.shift, next(left) * self.shift) if self.shift else (still, still)
        size = factor(next(left) * (self.scale / 100)) if self.scale else still + 1
        return turn, down, right, size

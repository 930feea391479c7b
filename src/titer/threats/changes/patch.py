"""Patch: something is laid over a part of the case, as a sticker, a marker on a film or an artifact would be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Field, Nature, SmoothChange
from titer.threats.random import CaseRandom

# Size and slant come first among the parameters, then one place per dimension, then the content.
_SIZE, _SLANT, _PLACE = 0, 1, 2
# A side that is a whole number of pixels but for rounding is that number.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Patch(SmoothChange):
    """x' = content where the patch lies, x everywhere else, bit for bit.

    Parameters of a case are one row of numbers: size, slant, place and content (`pack`, `content`). The content is a
    canvas of the case's own shape; a patch of s pixels shows s x s pixels of it, each the nearest one, never a mixture
    of two. Place 0 is flush left or top, 1 flush right or bottom. In pictures and planes of volumes the patch may be
    slanted; in a signal it is a window of time over all leads. Values outside the mask of a threat stay.

    The limit is the diameter or side of the patch as a share of the shortest side of the case ("width"; the length of a
    signal), or the share of the case that it covers ("area", without what a slant pushes over the edge; pixels belong
    to a patch if their middle does). Along a gradient a patch grows to its limit where it lies, and its content moves
    by parts of the valid range.

    Source: Brown et al. 2017 (arXiv 1712.09665), with round patches of a share of the image's width; windows of signals
    and cubes are ours.

    Arguments
        shape: "circle" (ball in volumes) or "square" (cube).
        measure: "width" or "area", what the limit counts.
        turn: the largest slant either way, in degrees, 0 to 90.

    >>> field = Field(torch.zeros(1, 1, 2, 4), torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0))
    >>> patch = Patch("square")
    >>> row = patch.pack(field, torch.tensor([0.5]), torch.tensor([[1.0, 1.0]]), torch.ones(1, 1, 2, 4))
    >>> patch.apply(field, row).tolist()
    [[[[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]]]
    """

    shape: Literal["circle", "square"] = "circle"
    measure: Literal["width", "area"] = "width"
    turn: float = 22.5
    name: ClassVar[str] = "patch"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "volume", "signal")
    nature: ClassVar[Nature] = "placed"

    def __post_init__(self) -> None:
        for label, known in (("shape", ("circle", "square")), ("measure", ("width", "area"))):
            if getattr(self, label) not in known:
                raise ThreatError(
                    f"a {label} among {', '.join(known)}", repr(getattr(self, label)), f"correct {label!r}"
                )
        if not 0 <= self.turn <= 90:
            raise ThreatError("a largest slant of 0 to 90 degrees", str(self.turn), "correct 'turn'")

    def unit(self, space: Space) -> str:
        if self.measure == "area":
            return "of the area" if space.kind == "image" else "of the case"
        return "of the length" if space.kind == "signal" else "of the shortest side"

    def check(self, field: Field) -> None:
        low, high = field.low, field.high
        if low is None or high is None or not bool(torch.isfinite(low).all() & torch.isfinite(high).all()):
            raise ThreatError(
                "a finite range for the content of a patch", "values without an end", "give the space a range"
            )

    def pack(
        self,
        field: Field,
        size: Float[Tensor, " n"],
        place: Float[Tensor, "n d"],
        content: Tensor,
        slant: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n P"]:
        """Parameters from their parts.

        Arguments
            size: what the limit limits. place: 0 to 1 per dimension.
            content: [n, *shape] canvas, or [1, *shape] for all.
            slant: -1 to 1, in parts of the largest; none if left out.
        """
        count = len(field)
        flat = content.flatten(1).expand(count, -1)
        tilt = flat.new_zeros(count) if slant is None else slant
        return torch.cat([size.reshape(-1, 1).to(flat), tilt.reshape(-1, 1).to(flat), place.to(flat), flat], dim=1)

    def content(self, field: Field, params: Tensor) -> Float[Tensor, "n ..."]:
        """The canvas [n, *shape] of each case."""
        return params[:, _PLACE + _dimensions(field) :].reshape(field.clean.shape)

    def nothing(self, field: Field) -> Tensor:
        count, clean = len(field), field.clean
        low, high = ends(field)
        middle = clean.new_full((count, _dimensions(field)), 0.5)
        return self.pack(field, clean.new_zeros(count), middle, ((low + high) / 2)[None].expand_as(clean))

    def apply(self, field: Field, params: Tensor) -> Tensor:
        inside, pixel = self.cover(field, params)
        clean = field.clean
        canvas = self.content(field, params).flatten(2)
        shown = canvas.gather(2, pixel[:, None].expand(-1, clean.shape[1], -1)).reshape(clean.shape)
        covered = inside[:, None] if field.mask is None else inside[:, None] & (field.mask != 0)
        return torch.where(covered, shown, clean)

    def cover(self, field: Field, params: Tensor) -> tuple[Bool[Tensor, "n ..."], Int[Tensor, "n pixels"]]:
        """Which pixels the patch covers, [n, *spatial], and which pixel of the canvas each would show."""
        lengths = field.clean.shape[2:]
        geometry = params[:, : _PLACE + len(lengths)].detach().double()
        side = self.side(field, geometry[:, _SIZE])
        axes = []
        for axis, length in enumerate(lengths):
            start = (geometry[:, _PLACE + axis] * (length - side)).round()
            middles = torch.arange(length, dtype=torch.float64, device=side.device) + 0.5
            shape = [-1, *[length if other == axis else 1 for other in range(len(lengths))]]
            axes.append((middles[None] - (start + side / 2)[:, None]).reshape(shape))
        if len(lengths) >= 2:
            axes[-2:] = self._slanted(axes[-2], axes[-1], geometry[:, _SLANT])
        return self._inside(axes, side, lengths)

    def side(self, field: Field, size: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Side or diameter in whole pixels, never above what the size allows."""
        size, lengths = size.double(), field.clean.shape[2:]
        if self.measure == "width":
            exact = size * min(lengths)
        else:
            filled = size.clamp(min=0) * math.prod(lengths) / self._fill(len(lengths))
            # Python's power, case by case: that of torch may differ in its last bit with the place in the batch.
            roots = [value ** (1 / len(lengths)) for value in filled.tolist()]
            exact = torch.tensor(roots, dtype=size.dtype, device=size.device)
        return (exact + _ROUNDING).floor().clamp(0, min(lengths))

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return params[:, _SIZE]

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        geometry = params[:, : _PLACE + _dimensions(field)]
        place = geometry[:, _PLACE:]
        fine = torch.isfinite(params).all(dim=1) & (geometry[:, _SIZE] >= 0) & (geometry[:, _SLANT].abs() <= 1)
        return fine & ((place >= 0) & (place <= 1)).all(dim=1)

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        size = params[:, _SIZE].clamp(min=0).minimum(limit.clamp(max=self._largest(field)).to(params))
        place = params[:, _PLACE : _PLACE + _dimensions(field)].clamp(0, 1)
        low, high = ends(field)
        canvas = torch.clamp(self.content(field, params), low, high)
        return self.pack(field, size, place, canvas, params[:, _SLANT].clamp(-1, 1))

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        low, high = ends(field)
        ascent = self.content(field, gradient).sign() * (high - low)
        count = len(field)
        return self.pack(field, ascent.new_ones(count), ascent.new_zeros(count, _dimensions(field)), ascent)

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        luck = rng.uniform((self.nothing(field).shape[1],), draw, field.clean.dtype)
        low, high = ends(field)
        canvas = low + self.content(field, luck) * (high - low)
        place = luck[:, _PLACE : _PLACE + _dimensions(field)]
        return self.project(field, self.pack(field, limit, place, canvas, 2 * luck[:, _SLANT] - 1), limit)

    def sentence(self, limit: str) -> str:
        what = "measuring" if self.measure == "width" else "covering"
        turned = f", turned by up to {self.turn:g} degrees" if self.turn else ""
        return f"lay a patch of any valid content, {what} at most {limit}, anywhere over the case{turned},"

    def _fill(self, dimensions: int) -> float:
        """The part of its own square or cube that the shape fills."""
        return {2: math.pi / 4, 3: math.pi / 6}.get(dimensions, 1.0) if self.shape == "circle" else 1.0

    def _largest(self, field: Field) -> float:
        """The size of a patch that reaches from edge to edge."""
        lengths = field.clean.shape[2:]
        full = min(lengths) ** len(lengths) * self._fill(len(lengths)) / math.prod(lengths)
        return 1.0 if self.measure == "width" else full

    def _slanted(self, down: Tensor, across: Tensor, slant: Float[Tensor, " n"]) -> list[Tensor]:
        """The last two axes turned. The tangent of half the angle is what is drawn: it needs no rounded sine."""
        half = (slant * math.tan(math.radians(self.turn) / 2)).reshape(-1, *[1] * (down.dim() - 1))
        scale = 1 + half * half
        cosine, sine = (1 - half * half) / scale, 2 * half / scale
        return [cosine * down - sine * across, sine * down + cosine * across]

    def _inside(
        self, axes: list[Tensor], side: Float[Tensor, " n"], lengths: tuple[int, ...]
    ) -> tuple[Bool[Tensor, "n ..."], Int[Tensor, "n pixels"]]:
        width = side.reshape(-1, *[1] * len(lengths))
        inside: Tensor = width > 0
        pixel: Tensor = torch.zeros((), dtype=torch.int64, device=side.device)
        square: Tensor = torch.zeros((), dtype=torch.float64, device=side.device)
        for distance, length in zip(axes, lengths, strict=True):
            share = distance / width.clamp(min=1) + 0.5
            inside = inside & (share >= 0) & (share < 1)
            pixel = pixel * length + (share * length).floor().clamp(0, length - 1).to(torch.int64)
            square = square + distance * distance
        if self.shape == "circle" and len(lengths) > 1:
            inside = inside & (4 * square <= width * width)
        whole = (len(side), *lengths)
        return inside.expand(whole), pixel.expand(whole).flatten(1)


def _dimensions(field: Field) -> int:
    return field.clean.dim() - 2


def ends(field: Field) -> tuple[Tensor, Tensor]:
    """The valid range, [*shape] each."""
    if field.low is None or field.high is None:
        raise ThreatError("a range for the content of a patch", "none", "give the space a range")
    shape = field.clean.shape[1:]
    return field.low.expand(shape), field.high.expand(shape)

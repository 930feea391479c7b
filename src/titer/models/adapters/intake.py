"""Intake: how a case in clinical units becomes what a model was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from titer.cases.space import Space
from titer.errors import ModelError, PlanError

Layout = Literal["channels-first", "channels-last", "squeezed", "flat"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_ALIASES: dict[str, Layout] = {
    "nchw": "channels-first", "ncdhw": "channels-first", "nct": "channels-first",
    "nhwc": "channels-last", "ndhwc": "channels-last", "ntc": "channels-last",
}  # fmt: skip


@dataclass(frozen=True)
class Intake:
    """Repeats channels, normalizes and arranges: (x - mean) / std in the order of dimensions that the model wants.

    Arguments
        space: what comes in, [n, *shape] in clinical units.
        mean, std: per channel or feature of the model, in clinical units.
        layout: "channels-first" (as cases are), "channels-last", "squeezed" (the single channel dropped) or "flat".
        channels: repeat a single channel this many times, for models of color pictures.

    >>> intake = Intake(Space("image", (1, 2, 3), "grey level"), 0.5, 0.5, "channels-last", channels=3)
    >>> intake.shape, intake(torch.ones(4, 1, 2, 3)).shape, float(intake(torch.ones(4, 1, 2, 3)).max())
    ((2, 3, 3), torch.Size([4, 2, 3, 3]), 1.0)
    """

    space: Space
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    layout: Layout = "channels-first"
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise PlanError(f"a layout among {', '.join(LAYOUTS)}", repr(self.layout), "correct 'layout'")
        first = self.space.shape[0]
        if self.channels is not None and self.space.kind in ("table", "tokens"):
            raise PlanError("channels for images, volumes and signals", self.space.kind, "leave 'channels' out")
        if self.channels is not None and (self.channels < 1 or first not in (1, self.channels)):
            raise PlanError(
                "a number of channels that one channel is repeated to", f"{self.channels} of {first}", "leave it out"
            )
        if self.layout == "squeezed" and (self.seen[0] != 1 or self.space.kind in ("table", "tokens")):
            raise PlanError("a single channel for layout 'squeezed'", str(self.seen), "choose another layout")
        for label, value in (("mean", self.mean), ("std", self.std)):
            array = np.asarray(value, dtype=np.float64)
            if array.ndim and array.shape != (self.seen[0],):
                raise ModelError(
                    f"one {label}, or {self.seen[0]}, one per channel or feature", str(value), f"correct '{label}'"
                )
            if not np.isfinite(array).all() or (label == "std" and not (array > 0).all()):
                raise ModelError(
                    "a std above 0" if label == "std" else "a finite mean", str(value), "correct the normalization"
                )

    @property
    def seen(self) -> tuple[int, ...]:
        """Shape of one case with its channels repeated, channels first."""
        return (self.channels or self.space.shape[0], *self.space.shape[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case as the model sees it."""
        return arranged(self.seen, self.layout)

    def __call__(self, inputs: Tensor) -> Tensor:
        """What the model sees of cases [n, *shape]; differentiable, and never the tensor that was passed in."""
        if not inputs.is_floating_point():
            return self._arrange(inputs.clone())
        wide = inputs
        if self.seen[0] != self.space.shape[0]:
            wide = inputs.expand(-1, self.seen[0], *inputs.shape[2:])
        if np.all(np.asarray(self.mean) == 0) and np.all(np.asarray(self.std) == 1):
            return self._arrange(wide.clone())
        return self._arrange((wide - self._like(self.mean, wide)) / self._like(self.std, wide))

    def _like(self, value: float | tuple[float, ...], inputs: Tensor) -> Tensor:
        array = np.asarray(value, dtype=np.float64)
        shaped = array if array.ndim == 0 else array.reshape(-1, *([1] * (inputs.dim() - 2)))
        return _placed(shaped.tobytes(), shaped.shape, inputs.dtype, inputs.device)

    def _arrange(self, inputs: Tensor) -> Tensor:
        if self.layout == "channels-last":
            return inputs.movedim(1, -1).contiguous()
        if self.layout == "squeezed":
            return inputs.squeeze(1)
        return inputs.flatten(1) if self.layout == "flat" else inputs


@lru_cache(maxsize=64)
def _placed(raw: bytes, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers of a normalization as a tensor; carried to a device once, not with every question."""
    array = np.frombuffer(raw, dtype=np.float64).reshape(shape).copy()
    # A tensor made in inference mode could never be part of a slope again.
    with torch.inference_mode(mode=False):
        return torch.from_numpy(array).to(device=device, dtype=dtype)


def arranged(seen: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Shape of one case in a layout, from its shape with channels first.

    >>> arranged((3, 8, 9), "channels-last"), arranged((3, 8, 9), "flat")
    ((8, 9, 3), (216,))
    """
    if layout == "channels-last":
        return (*seen[1:], seen[0])
    if layout == "squeezed":
        return seen[1:]
    return (math.prod(seen),) if layout == "flat" else seen


def read_layout(name: str | None) -> Layout | None:
    """A layout by its name or by letters such as NHWC; None stays None.

    >>> read_layout("NHWC")
    'channels-last'
    """
    if name is None or name in LAYOUTS:
        return name
    if str(name).lower() in _ALIASES:
        return _ALIASES[str(name).lower()]
    raise PlanError(f"a layout among {', '.join(LAYOUTS)}, NCHW, NHWC", repr(name), "correct 'layout'")


def find_layout(dims: Sequence[int | None] | None, space: Space, channels: int | None, what: str) -> Layout:
    """The layout in which cases fit the dimensions that a model declares (without the batch; None is free).

    >>> find_layout((28, 28, 1), Space("image", (1, 28, 28), "grey level (0-1)"), None, "x.onnx")
    'channels-last'
    """
    seen = (channels or space.shape[0], *space.shape[1:])
    if dims is None:
        return "channels-first"
    for layout in LAYOUTS:
        if layout == "squeezed" and (seen[0] != 1 or len(seen) == 1):
            continue
        shape = arranged(seen, layout)
        if len(shape) == len(dims) and all(want in (None, size) for want, size in zip(dims, shape, strict=True)):
            return layout
    wanted = " x ".join("any" if size is None else str(size) for size in dims)
    color = seen[0] == 1 and len(dims) == len(seen) and 3 in (dims[0], dims[-1])
    raise ModelError(
        f"cases that {what} takes ({wanted})",
        f"cases of shape {' x '.join(map(str, seen))}",
        "set 'channels: 3' to repeat the grey channel"
        if color
        else "resize the cases (data.options), choose the data set the model was made for, or set 'layout'",
    )


def pieces(inputs: Tensor, block: int | None) -> Iterator[tuple[Tensor, int]]:
    """Pieces of exactly `block` cases and how many of them count, the last one filled up; None gives one piece.

    >>> [(len(piece), count) for piece, count in pieces(torch.zeros(5, 1), 2)]
    [(2, 2), (2, 2), (2, 1)]
    """
    if block is not None and block < 1:
        raise PlanError("a batch of at least 1", str(block), "correct 'batch'")
    if block is None or len(inputs) == 0:
        yield inputs, len(inputs)
        return
    for start in range(0, len(inputs), block):
        piece = inputs[start : start + block]
        missing = block - len(piece)
        filled = torch.cat((piece, piece[:1].expand(missing, *piece.shape[1:]))) if missing else piece
        yield filled, len(piece)

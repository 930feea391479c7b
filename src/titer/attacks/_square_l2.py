"""Square in L2: what blocks of the places hold is traded for a bump elsewhere, so that the length stays the limit.

All amounts are in units of the scale; proposals have the length of the limit before range and mask cut it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.attacks._purse import column
from titer.threats.random import CaseRandom

# Blocks are no smaller, since a bump of one place has no shape.
_SMALLEST = 3
# Where blocks would have less than this part of a place on a side, every other proposal is about single values.
_TINY = 0.3
# The first proposal has so many bumps along each dimension.
_TILES = 5


def first(shape: tuple[int, ...], limit: Float[Tensor, " n"], rng: CaseRandom, dtype: torch.dtype) -> Tensor:
    """Bumps of random signs side by side over the whole case; for tables any direction."""
    places = shape[1:]
    if not places:
        return _of_length(rng.normal(shape, 0, dtype), limit)
    sides = [-(-length // _TILES) for length in places]
    signs = rng.signs((shape[0], *(-(-length // side) for length, side in zip(places, sides, strict=True))), 0, dtype)
    for axis, (length, side) in enumerate(zip(places, sides, strict=True), start=2):
        signs = signs.repeat_interleave(side, dim=axis).narrow(axis, 0, length)
    lines = [
        (torch.arange(length, device=limit.device) % side)[None] for length, side in zip(places, sides, strict=True)
    ]
    return _of_length(signs * _bump(_spread(lines, sides), max(sides), dtype), limit)


def block(current: Tensor, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int, share: float) -> Tensor:
    """One block takes what another has, reshaped by a pair of bumps of opposite signs.

    In each channel, with n the amounts in the block and e the pair (both divided by their lengths): n + e or n - e, as
    long as both blocks were together, with an equal part of what the limit still allows; the other block becomes 0.
    """
    spare = (limit.to(current.dtype).square() - current.flatten(1).square().sum(dim=1)).clamp(min=0)
    channels, places = current.shape[1], tuple(current.shape[2:])
    count = len(places)
    small = count > 0 and share ** (1 / count) * min(places) < _TINY
    if not count or (small and draw % 2):
        return _turned(current.flatten(1), spare, rng, draw, share).reshape(current.shape)
    luck = rng.uniform((2 * count + 1 + channels,), draw, current.dtype)
    edge = share ** (1 / count)
    sides = [min(length, max(_SMALLEST, round(edge * length))) for length in places]
    lines = [_along(luck[:, axis], length, side) for axis, (length, side) in enumerate(zip(places, sides, strict=True))]
    others = [
        _along(luck[:, count + axis], length, side)
        for axis, (length, side) in enumerate(zip(places, sides, strict=True))
    ]
    taking, giving = _inside(lines, sides), _inside(others, sides)
    cut = (luck[:, 2 * count] * count).floor().to(torch.int64)
    way = torch.where(luck[:, 2 * count + 1 :] < 0.5, -1.0, 1.0).to(current.dtype)
    pair = torch.where(taking, _pair(lines, sides, cut, current.dtype), 0.0)
    held = torch.where(taking, current, 0.0)
    bumps = _per_channel(way, current) * pair / _lengths(pair)
    shaped = held / _lengths(held) + bumps
    # A block that holds the very opposite would be left with nothing.
    shaped = torch.where(_lengths(shaped) < 1e-3, bumps, shaped)
    both = torch.where(taking | giving, current, 0.0)
    room = (both.flatten(2).square().sum(dim=2) + spare[:, None] / channels).sqrt()
    taken = shaped / _lengths(shaped) * _per_channel(room, current)
    return torch.where(taking, taken, torch.where(giving, 0.0, current))


def _turned(current: Tensor, spare: Float[Tensor, " n"], rng: CaseRandom, draw: int, share: float) -> Tensor:
    """Some random values (features of a table) turned by a random amount, at the same length."""
    width = current.shape[1]
    luck = rng.uniform((width + 1,), draw, current.dtype)
    chosen = min(width, max(2, round(share * width)))
    order = luck[:, :width].argsort(dim=1, stable=True)
    inside = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order[:, :chosen], True)
    # Numbers of draws above 2^31 are free of others.
    way = torch.where(inside, rng.normal((width,), draw + (1 << 31), current.dtype), 0.0)
    held = torch.where(inside, current, 0.0)
    length = torch.linalg.vector_norm(held, dim=1)
    even = held / length.clamp_min(1e-30)[:, None]
    # Small turns are as likely as large ones, since only they help near the end.
    turned = even + luck[:, width:].square() * way / torch.linalg.vector_norm(way, dim=1).clamp_min(1e-30)[:, None]
    return torch.where(inside, _of_length(turned, (length.square() + spare).sqrt()), current)


def _along(luck: Float[Tensor, " n"], length: int, side: int) -> Int[Tensor, "n l"]:
    """Places along one dimension, counted from where a block of this side begins."""
    start = (luck * (length - side + 1)).floor().to(torch.int64)
    return torch.arange(length, device=luck.device)[None] - start[:, None]


def _inside(lines: list[Tensor], sides: list[int]) -> Bool[Tensor, "n 1 ..."]:
    found = torch.ones((), dtype=torch.bool, device=lines[0].device)
    for axis, (line, side) in enumerate(zip(lines, sides, strict=True)):
        found = found & _laid(((line >= 0) & (line < side)), axis, len(sides))
    return found


def _pair(lines: list[Tensor], sides: list[int], cut: Int[Tensor, " n"], dtype: torch.dtype) -> Tensor:
    """Two bumps side by side along the dimension `cut`, the second negative."""
    folded, parts, sign = [], [], torch.ones((), dtype=dtype, device=cut.device)
    for axis, (line, side) in enumerate(zip(lines, sides, strict=True)):
        half = -(-side // 2)
        here = (cut == axis)[:, None]
        folded.append(torch.where(here, line % half, line))
        parts.append(torch.where(here[:, 0], half, side))
        sign = sign * _laid(torch.where(here & (line >= half), -1.0, 1.0).to(dtype), axis, len(sides))
    return sign * _bump(_spread(folded, parts), max(sides), dtype)


def _spread(lines: list[Tensor], sides: list[int] | list[Tensor]) -> Int[Tensor, "n 1 ..."]:
    """How far each place is from the middle of its block, along the dimension in which it is furthest."""
    far = torch.zeros((), dtype=torch.int64, device=lines[0].device)
    for axis, (line, side) in enumerate(zip(lines, sides, strict=True)):
        middle = torch.as_tensor(side, device=line.device).reshape(-1, 1) // 2
        far = torch.maximum(far, _laid((line - middle).abs(), axis, len(lines)))
    return far


def _bump(far: Int[Tensor, "n 1 ..."], side: int, dtype: torch.dtype) -> Tensor:
    """The height at this distance from the middle: the sum of 1 / k^2 from k = distance + 1 to the edge."""
    squares = 1 / torch.arange(1, side // 2 + 2, dtype=torch.float64, device=far.device).square()
    heights = squares.flip(0).cumsum(0).flip(0).to(dtype)
    found: Tensor = heights[far.clamp(max=len(heights) - 1)]
    return found


def _laid(line: Tensor, axis: int, count: int) -> Tensor:
    """[n, l] along one of the dimensions of places, behind one of channels."""
    return line.reshape(len(line), 1, *[line.shape[1] if other == axis else 1 for other in range(count)])


def _per_channel(values: Float[Tensor, "n c"], like: Tensor) -> Tensor:
    return values.reshape(*values.shape, *[1] * (like.dim() - 2))


def _lengths(values: Tensor) -> Tensor:
    """Of each channel, never 0."""
    return _per_channel(torch.linalg.vector_norm(values.flatten(2), dim=2).clamp_min(1e-30), values)


def _of_length(values: Tensor, length: Float[Tensor, " n"]) -> Tensor:
    """The same directions with these lengths."""
    now = torch.linalg.vector_norm(values.flatten(1), dim=1).clamp_min(1e-30)
    return values * column(length / now, values)

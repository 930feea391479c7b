"""The nearest point of a plane inside a box, exactly and for many cases at once.

Sought is the smallest d with slope . d = rise and low <= d <= high, where low <= 0 <= high. Turned so that everything
is positive, it is d = min(t, room) in L-infinity and d = min(t |slope|, room) in L2, with the one t that reaches the
rise. Given which values stand at their ends, t follows in closed form; a larger t only puts more values there, so t
rises round by round until no value joins, and is exact then. A round costs one look at all values, no sorting.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.threats.change import Norm


class Nearest(NamedTuple):
    """Where the plane is nearest.

    Arguments
        move: [n, d], to the plane or, where the box does not reach it, as far as the box allows.
        distance: [n], the size of the move in the norm.
        reached: [n], the part of the rise that the move makes, 1 where the plane is met.
    """

    move: Float[Tensor, "n d"]
    distance: Float[Tensor, " n"]
    reached: Float[Tensor, " n"]


def nearest(
    slope: Float[Tensor, "n d"],
    rise: Float[Tensor, " n"],
    low: Float[Tensor, "n d"],
    high: Float[Tensor, "n d"],
    norm: Norm,
) -> Nearest:
    """The smallest move that lifts a linear function by `rise` (either sign) inside a box; all in float64.

    Source: the problem is that of Croce and Hein 2020 (arXiv 1907.02044, section 2.2), who sort; the rounds are ours.

    >>> plane, ends = torch.tensor([[3.0, 4.0]]).double(), torch.tensor([[9.0, 0.5]]).double()
    >>> nearest(plane, torch.tensor([5.0]).double(), -ends, ends, "l2").move
    tensor([[1.0000, 0.5000]], dtype=torch.float64)
    """
    upward = torch.where(rise[:, None] < 0, -slope, slope)
    needed = rise.abs()
    size = upward.abs()
    room = torch.where(upward > 0, high, -low).clamp_min(0)
    room = torch.where(size > 0, room, torch.zeros_like(room))
    shape = torch.ones_like(size) if norm == "linf" else size
    gain = size * shape
    ended: Bool[Tensor, "n d"] = room <= 0
    while True:
        got = torch.where(ended, size * room, 0.0).sum(dim=1)
        free = torch.where(ended, 0.0, gain).sum(dim=1)
        time = torch.where(free > 0, (needed - got).clamp_min(0) / free, torch.inf)
        joined = ended | (time[:, None] * shape >= room)
        if torch.equal(joined, ended):
            break
        ended = joined
    grown = torch.where(ended, room, torch.where(torch.isfinite(time), time, 0.0)[:, None] * shape)
    made = (size * grown).sum(dim=1)
    reached = torch.where(needed > 0, made / needed, 1.0).clamp(max=1.0)
    distance = grown.amax(dim=1) if norm == "linf" else torch.linalg.vector_norm(grown, dim=1)
    # What is met to rounding is met.
    reached = torch.where(reached > 1 - 1e-9, 1.0, reached)
    return Nearest(grown * upward.sign(), distance, reached)

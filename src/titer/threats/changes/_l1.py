"""The geometry of an L1 ball cut by a box: nearest points, sparse steps and uniform draws, case by case.

All values are in units of the scale, [n, d].
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

# A value this near the end of its way (in parts of the way) counts as having arrived; float32 cannot tell more.
_ARRIVED = 1 - 1e-6


def nearest(
    moved: Float[Tensor, "n d"], low: Float[Tensor, "n d"], high: Float[Tensor, "n d"], bound: Float[Tensor, " n"]
) -> Float[Tensor, "n d"]:
    """The nearest point of {sum |d| <= bound, low <= d <= high} to `moved`, where low <= 0 <= high.

    Value by value it is clamp(sign(v) max(|v| - t, 0), low, high) with the smallest t >= 0 that keeps the bound. The
    sum falls with t in straight pieces, whose ends are the sizes |v| and the sizes less the room; sorted, they give
    t exactly. The bound may be 0, a value may have no room, and a row that keeps the bound already only meets the box.

    Source: Croce and Hein 2021 (arXiv 2103.01208), proposition 2.1, for the problem and its dual.
    """
    cut = torch.clamp(moved, low, high)
    size, room = moved.abs().double(), torch.where(moved > 0, high, -low).double()
    wanted = bound.double()[:, None]
    ends = torch.cat((size, (size - room).clamp_min(0)), dim=1)
    point, order = ends.sort(dim=1, descending=True, stable=True)
    # Coming down from the largest size, a value starts to count at |v| and counts in full at |v| - room.
    rising = torch.where(order < size.shape[1], 1.0, -1.0).to(torch.float64).cumsum(dim=1)
    fallen = torch.zeros_like(point)
    fallen[:, 1:] = (rising[:, :-1] * (point[:, :-1] - point[:, 1:])).cumsum(dim=1)
    # The first end at which the sum reaches the bound; on the piece before it the sum is a straight line.
    place = (fallen < wanted).sum(dim=1, keepdim=True).clamp(1, point.shape[1] - 1)
    before = place - 1
    left = (wanted - fallen.gather(1, before)) / rising.gather(1, before).clamp_min(1.0)
    threshold = (point.gather(1, before) - left).clamp_min(0).to(moved.dtype)
    kept = torch.clamp(moved.sign() * (moved.abs() - threshold).clamp_min(0), low, high)
    # Rounding may leave the sum a hair above the bound.
    kept = kept * (wanted / total(kept)[:, None].clamp_min(1e-300)).clamp(max=1.0).to(moved.dtype)
    return torch.where(total(cut)[:, None] <= wanted, cut, kept)


def total(values: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Sum of the sizes; in float64, since float32 loses what a limit can tell apart over many values."""
    return values.abs().sum(dim=1, dtype=torch.float64)


def steepest(slope: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The best direction of sum 1: all of it on the steepest value (the first of equals)."""
    place = slope.abs().argmax(dim=1, keepdim=True)
    return torch.zeros_like(slope).scatter_(1, place, slope.gather(1, place).sign())


def sparse(
    slope: Float[Tensor, "n d"],
    values: Float[Tensor, "n d"],
    low: Float[Tensor, "n d"],
    high: Float[Tensor, "n d"],
    count: Int[Tensor, " n"],
) -> Float[Tensor, "n d"]:
    """A direction of sum 1 in equal parts: the `count` steepest values that can still move, and all steeper ones.

    Steeper values that have arrived at their ends keep their part of the step: else the projection, which shortens all
    values alike, would take them away from their ends again.
    """
    way = torch.where(slope > 0, high, -low)
    free = (slope.abs() * (values * slope.sign() < way * _ARRIVED)).clamp_min(0)
    most = int(count.max()) if len(count) else 1
    least = free.topk(most, dim=1).values.gather(1, (count - 1)[:, None])
    chosen = torch.where(slope.abs() >= least.clamp_min(1e-45), slope.sign(), torch.zeros_like(slope))
    return chosen / total(chosen)[:, None].clamp_min(1).to(slope.dtype)


def uniform(luck: Float[Tensor, "n d1"], signs: Float[Tensor, "n d"], open_: Float[Tensor, "n d"]) -> Tensor:
    """A uniform draw from the unit ball of the open values, from d + 1 uniform numbers and d signs.

    Exponential numbers over the sum of themselves and one more are uniform in the simplex.
    """
    parts = -torch.log(luck)
    inside = parts[:, :-1] * open_
    return signs * inside / (inside.sum(dim=1, keepdim=True) + parts[:, -1:])

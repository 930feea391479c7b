"""Projection onto a convex set cut by linear relations: Dykstra's algorithm, row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Rounds at the most; and what a round must still move, in units of the limit's scale, to go on.
_ROUNDS = 300
_STILL = 1e-10


@dataclass(frozen=True, eq=False)
class Plane:
    """Sum of weights times values <= room (or = room) for each row.

    Arguments
        places: which values. weights: one per place, above or below 0. room: [n]. equal: whether it is an equation.
    """

    places: tuple[int, ...]
    weights: tuple[float, ...]
    room: Float[Tensor, " n"]
    equal: bool

    def excess(self, values: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """How far each row lies beyond, below 0 where it does not."""
        # Added term by term: the bits of a sum over a dimension may hang on the number of rows.
        total = -self.room
        for place, weight in zip(self.places, self.weights, strict=True):
            total = total + weight * values[:, place]
        return total

    def project(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The nearest rows that keep it."""
        over = self.excess(values)
        over = over if self.equal else over.clamp_min(0)
        share = over / sum(weight * weight for weight in self.weights)
        moved = list(values.unbind(dim=1))
        for place, weight in zip(self.places, self.weights, strict=True):
            moved[place] = moved[place] - weight * share
        return torch.stack(moved, dim=1)


def nearest(
    values: Float[Tensor, "n d"], base: Callable[[Tensor], Tensor], planes: Sequence[Plane]
) -> Float[Tensor, "n d"]:
    """The nearest point of a convex set, onto which `base` projects, that also keeps all planes.

    Each row stops on its own when a whole round moves neither it nor its corrections, so that its result does not
    depend on other rows. The set of `base` is kept exactly, the planes to about 1e-9.

    Source: Boyle and Dykstra 1986 (doi 10.1007/978-1-4613-9940-7_3).
    """
    point = base(values)
    if not planes:
        return point
    beyond = torch.stack([plane.excess(point).abs() if plane.equal else plane.excess(point) for plane in planes])
    busy = (beyond > _STILL).any(dim=0).unsqueeze(1)
    sets = [*(plane.project for plane in planes), base]
    point = torch.where(busy, values, point)
    corrections = [torch.zeros_like(values) for _ in sets]
    for _ in range(_ROUNDS):
        if not bool(busy.any()):
            break
        before, last = point, list(corrections)
        for number, onto in enumerate(sets):
            wanted = point + corrections[number]
            reached = onto(wanted)
            corrections[number] = torch.where(busy, wanted - reached, corrections[number])
            point = torch.where(busy, reached, point)
        moved = (point - before).abs()
        for old, new in zip(last, corrections, strict=True):
            moved = torch.maximum(moved, (new - old).abs())
        busy = busy & (moved.amax(dim=1, keepdim=True) > _STILL)
    return point

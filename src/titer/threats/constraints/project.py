"""Projection onto a convex set cut by linear relations: Dykstra's algorithm, row by row.

In numpy, which is several times quicker than torch for the many small steps that this takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Rounds at the most; and what a round must still move, in units of the limit's scale, to go on.
_ROUNDS = 300
_STILL = 1e-9


@dataclass(frozen=True, eq=False)
class Plane:
    """Sum of weights times values <= room (or = room) for each row.

    Arguments
        places: which values. weights: one per place, of length 1 together. room: [n]. equal: whether it is an equation.
    """

    places: tuple[int, ...]
    weights: tuple[float, ...]
    room: Array
    equal: bool

    def excess(self, values: Array) -> Array:
        """How far each row of [n, d] lies beyond, below 0 where it does not."""
        # Added term by term: the bits of a sum over a dimension may hang on the number of rows.
        total = -self.room
        for place, weight in zip(self.places, self.weights, strict=True):
            total = total + weight * values[:, place]
        return total


def nearest(values: Array, base: Callable[[Array], Array], planes: Sequence[Plane]) -> Array:
    """The nearest point of a convex set, onto which `base` projects, that also keeps all planes; rows [n, d].

    Each row stops on its own when a whole round moves neither it nor its corrections, so that its result does not
    depend on other rows. The set of `base` is kept exactly, the planes to about 1e-8. What a plane took back is a
    multiple of its normal, so one number per row remembers it (Hildreth's form).

    Source: Boyle and Dykstra 1986 (doi 10.1007/978-1-4613-9940-7_3).

    >>> half = Plane((0, 1), (0.6, 0.8), np.zeros(1), equal=False)
    >>> nearest(np.array([[3.0, 4.0]]), lambda z: z, [half]).round(6).tolist()
    [[0.0, 0.0]]
    """
    point = base(values)
    if not planes or not len(values):
        return point
    over = np.stack([np.abs(plane.excess(point)) if plane.equal else plane.excess(point) for plane in planes])
    busy: Array = np.asarray((over > _STILL).any(axis=0))
    point = np.where(busy[:, None], values, point)
    pushes, correction = [np.zeros(len(values)) for _ in planes], np.zeros_like(values)
    for _ in range(_ROUNDS):
        if not busy.any():
            break
        before, change = point, np.zeros(len(values))
        point = point.copy()
        for number, plane in enumerate(planes):
            push = plane.excess(point) + pushes[number]
            push = np.where(busy, push if plane.equal else np.maximum(push, 0.0), pushes[number])
            back = pushes[number] - push
            for place, weight in zip(plane.places, plane.weights, strict=True):
                point[:, place] += weight * back
            change, pushes[number] = np.maximum(change, np.abs(back)), push
        wanted = point + correction
        point = np.where(busy[:, None], base(wanted), before)
        correction = np.where(busy[:, None], wanted - point, correction)
        busy = busy & (np.maximum(change, np.abs(point - before).max(axis=1)) > _STILL)
    return point

"""Saliency maps: which one or two values to move, and which way.

Every value can move up or down, so it stands in the map twice: as the point (u, v) when it moves up, with u the
slope of what is wanted and v the slope of what is not, both counted in the attacker's favor, and as (-u, -v) when it
moves down. A single value is worth u v where both are above 0. A pair is worth (u_p + u_q)(v_p + v_q) where both
sums are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Pairs that are looked at together, to bound memory.
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class Move:
    """What to move in each case: value numbers (-1: none) and directions.

    Arguments
        worth: [n] of the map; minus infinity where nothing can be moved to any good.
        values: [n, 2] numbers of the values; the second is -1 for a single one.
        ways: [n, 2] of +1 or -1.
    """

    worth: Float[Tensor, " n"]
    values: Int[Tensor, "n 2"]
    ways: Float[Tensor, "n 2"]

    @classmethod
    def of(cls, worth: Float[Tensor, " n"], first: Int[Tensor, " n"], second: Int[Tensor, " n"], size: int) -> Move:
        """From places among the 2 x `size` points, first those that move up; -1 for none."""
        points = torch.stack([first, second], dim=1)
        values = torch.where(points < 0, points, points % size)
        ways = torch.where(points < size, 1.0, -1.0).to(worth.dtype)
        return cls(worth, values, ways)

    def or_else(self, other: Move, where: Bool[Tensor, " n"]) -> Move:
        """Another move for some of the cases."""
        column = where[:, None]
        return Move(
            torch.where(where, other.worth, self.worth),
            torch.where(column, other.values, self.values),
            torch.where(column, other.ways, self.ways),
        )


def single(u: Float[Tensor, "n p"], v: Float[Tensor, "n p"], open_: Bool[Tensor, "n p"]) -> Move:
    """The best single value among points of which only the open ones may be taken."""
    worth = torch.where(open_ & (u > 0) & (v > 0), u * v, torch.full_like(u, -torch.inf))
    best, place = worth.max(dim=1)
    return Move.of(best, place, torch.full_like(place, -1), u.shape[1] // 2)


def pair(u: Float[Tensor, "n p"], v: Float[Tensor, "n p"], open_: Bool[Tensor, "n p"], most: int) -> Move:
    """The best pair of two different values, over all pairs.

    Only points that at most one other surpasses in both u and v can be in a best pair: of two that surpass a third, one
    at least is not its partner, and would be better in its place. They are found by sorting, and are few; among
    them all pairs are tried. Should they be more than `most`, those with the largest u + v are.
    """
    if u is v:
        return _two_largest(u, open_)
    # A point without a positive part makes any pair worse than its partner alone.
    useful = open_ & ((u > 0) | (v > 0))
    order = torch.where(useful, u, torch.full_like(u, -torch.inf)).argsort(dim=1, descending=True, stable=True)
    sorted_v = torch.where(useful, v, torch.full_like(v, -torch.inf)).gather(1, order)
    keep = (sorted_v > _second_before(sorted_v)) & useful.gather(1, order)
    count = min(int(keep.sum(dim=1).amax()), most) if len(u) else 0
    if count == 0:
        nothing = torch.full((len(u),), -1, dtype=torch.int64, device=u.device)
        return Move.of(torch.full_like(u[:, 0], -torch.inf), nothing, nothing, u.shape[1] // 2)
    rank = torch.where(keep, (u + v).gather(1, order), torch.full_like(u, -torch.inf))
    top = rank.argsort(dim=1, descending=True, stable=True)[:, :count]
    place, live = order.gather(1, top), keep.gather(1, top)
    worth, first, second = _all_pairs(u.gather(1, place), v.gather(1, place), live, place % (u.shape[1] // 2))
    points = [place.gather(1, index[:, None])[:, 0] for index in (first, second)]
    return Move.of(worth, points[0], points[1], u.shape[1] // 2)


def _two_largest(slope: Float[Tensor, "n p"], open_: Bool[Tensor, "n p"]) -> Move:
    """The best pair of a map with u = v. No value is among both points, for it rises one way only."""
    best, place = torch.where(open_ & (slope > 0), slope, torch.full_like(slope, -torch.inf)).topk(2, dim=1)
    return Move.of(best.sum(dim=1) ** 2 * best.sum(dim=1).sign(), place[:, 0], place[:, 1], slope.shape[1] // 2)


def _second_before(values: Float[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    """For each place the second largest of the values before it."""
    least = torch.full_like(values[:, :1], -torch.inf)
    largest = torch.cat([least, values.cummax(dim=1).values[:, :-1]], dim=1)
    second = torch.minimum(values, largest).cummax(dim=1).values
    return torch.cat([least, second[:, :-1]], dim=1)


def _all_pairs(u: Tensor, v: Tensor, live: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The worth of the best pair of each case, and the places of its two points."""
    count = u.shape[1]
    pieces = []
    for rows in torch.split(torch.arange(len(u), device=u.device), max(1, _CHUNK // count**2)):
        a, b, on, number = u[rows], v[rows], live[rows], value[rows]
        wanted, unwanted = a[:, :, None] + a[:, None, :], b[:, :, None] + b[:, None, :]
        good = (wanted > 0) & (unwanted > 0) & on[:, :, None] & on[:, None, :]
        good &= number[:, :, None] != number[:, None, :]
        worth = torch.where(good, wanted * unwanted, torch.full_like(wanted, -torch.inf)).flatten(1)
        pieces.append(torch.stack([part.double() for part in worth.max(dim=1)]))
    best, flat = torch.cat(pieces, dim=1)
    place = flat.to(torch.int64)
    return best.to(u.dtype), place // count, place % count

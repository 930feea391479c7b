"""NES: a gradient felt out with scores, by asking on both sides along random directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from titer.attacks._purse import Purse, column
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.models.model import Access
from titer.threats.change import BallChange, Change
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class NES(Attack):
    """Projected ascent along a gradient that is estimated from scores (natural evolution strategies).

    g = sum over random normal u of (F(d + r u) - F(d - r u)) u, with F the attacker's margin and r = `radius` times the
    limit; then d <- project(d + rate * limit * steepest(g)), with rates that shrink evenly from 1 to 1 / steps and
    momentum on g. All questions of one estimate are asked at once. Fooled cases leave.

    Source: Ilyas et al. 2018 (arXiv 1804.08598), estimate with mirrored pairs and projected step. Different from it:
    the margin instead of a probability, which does not saturate; a radius in parts of the limit; steps that shrink on
    a schedule instead of on a plateau.

    Arguments
        queries: questions per case at the most; the threat's own limit holds as well.
        pairs: random directions per estimate, two questions each.
        radius: how far the estimate reaches out, in parts of the limit.
        momentum: part of the last direction that is kept; 0 for none.

    Refuses fewer than one question or pair, and a radius of 0.

    >>> NES(queries=200).needs
    'scores'
    """

    queries: int = 1000
    pairs: int = 25
    radius: float = 0.1
    momentum: float = 0.9
    name: ClassVar[str] = "nes"
    reference: ClassVar[str] = "Ilyas et al. 2018, arXiv 1804.08598"
    needs: ClassVar[Access] = "scores"

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries, pairs=self.pairs)
        self.require(1e-6, radius=self.radius)
        self.require(0, momentum=self.momentum)

    def fits(self, change: Change) -> bool:
        return isinstance(change, BallChange) and change.norm in ("linf", "l2") and change.surface == "input"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        purse = Purse.of(problem, self.queries)
        params = problem.nothing()
        velocity = torch.zeros_like(params)
        steps = max(1, -(-int(purse.left.max() if len(problem) else 0) // (2 * self.pairs + 1)))
        for step in range(steps):
            rows = purse.able(3)
            if not len(rows):
                break
            part = problem.rows(rows)
            slope = self._estimate(purse, rng.rows(rows), rows, params[rows], step)
            size = slope.flatten(1).abs().mean(dim=1).clamp_min(1e-30)
            moving = self.momentum * velocity[rows] + slope / column(size, slope)
            velocity = velocity.index_copy(0, rows, moving)
            stepped = part.project(params[rows] + part.step(moving, 1 - step / steps))
            params = params.index_copy(0, rows, stepped)
            purse.offer(rows, stepped)
        # One or two questions are left, or were all there ever were: a guess costs one.
        for draw in range(2):
            rows = purse.able()
            if len(rows):
                purse.offer(rows, problem.rows(rows).sample(rng.rows(rows), draw + (1 << 31)))
        return purse.best.params

    def _estimate(
        self, purse: Purse, rng: CaseRandom, rows: Int[Tensor, " m"], params: Tensor, step: int
    ) -> Float[Tensor, "m ..."]:
        """The slope of the margin at these parameters, with as many pairs as each case can pay for."""
        field, shape = purse.problem.field.rows(rows), tuple(params.shape[1:])
        reach = column(self.radius * purse.problem.limit[rows], params) * field.scale
        pairs = ((purse.left[rows] - 1) // 2).clamp(max=self.pairs)
        total = torch.zeros_like(params)
        most, first = int(pairs.max()), 0
        while first < most:
            count = min(most - first, purse.together(2 * len(rows)))
            lots = [field.allow(rng.normal(shape, step * self.pairs + first + k, params.dtype)) for k in range(count)]
            # Every asked side as one row: first all ups, then all downs, for those cases that can pay.
            asking = [(pairs > first + k).nonzero()[:, 0] for k in range(count)]
            ups = torch.cat([(params + reach * lot)[who] for lot, who in zip(lots, asking, strict=True)])
            downs = torch.cat([(params - reach * lot)[who] for lot, who in zip(lots, asking, strict=True)])
            who_all = rows[torch.cat(asking)]
            values = purse.value(torch.cat([who_all, who_all]), torch.cat([ups, downs]))
            gains = torch.split(values[: len(ups)] - values[len(ups) :], [len(who) for who in asking])
            # Added up one by one in the order of the draws: the same bits however many were asked together.
            for lot, who, gain in zip(lots, asking, gains, strict=True):
                part = lot[who] / field.scale * column(gain, lot)
                total = total.index_add(0, who, part)
            first += count
        return total

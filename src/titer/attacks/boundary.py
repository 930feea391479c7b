"""Boundary: a random walk that stays on the wrong side of the border and drifts toward the clean case."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from titer.attacks._border import Border, check_starts, read_starts
from titer.attacks._purse import column
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.cases.case import Array
from titer.models.model import Access
from titer.threats.change import BallChange, Change
from titer.threats.random import CaseRandom

# The first bisection need not be finer than the first steps.
_TOLERANCE = 1e-2
# How the two lengths react to an answer, so that they hold still at the shares of successes that are aimed at.
# Share of successes, rate, and the longest that it may become.
_ASIDE, _NEARER = (0.5, 0.3, 1.0), (0.25, 0.2, 0.5)
_FIRST, _SHORTEST = 0.3, 1e-7
# Steps nearer that have become as short as this part of the distance end a walk.
_SETTLED = 1e-3
# Numbers of draws: those of a step begin at its number times 2^20, starting points first.
_ASIDES = 1 << 19


@dataclass(frozen=True)
class Boundary(Attack):
    """Steps aside on the sphere around the clean case, and a little nearer to it, kept while the decision stays wrong.

    From d, which fools: d' = (1 - b) |d| (d + a |d| u) / |d + a |d| u| with u a random unit vector, kept if it fools.
    After each answer, b grows or shrinks so that a quarter of the steps succeed; every `every`-th time the step aside
    is asked about on its own, and a follows so that half of those succeed. It needs nothing but decisions and few
    assumptions about the border, and many questions. All cases go at once; each stops when the limit is kept or its
    questions are used up.

    Source: Brendel, Rauber, Bethge 2018 (arXiv 1712.04248). Different from it: lengths adapt after each answer instead
    of by counts over windows; the walk starts on the border, by bisection that asks about the limit first; a new walk
    begins elsewhere once b is below 0.001.

    Arguments
        queries: questions per case at the most; the threat's own limit holds as well.
        every: steps between questions about the step aside alone.
        tries: random starting points, at most.
        starts: cases in clinical units (arrays of the shape of a case) to start from, nearest first.
        closest: go on below the limit to the nearest that fools; costs then estimate the distance to the border.

    Refuses fewer than one of each number, starts that are not finite or of another shape, and norms other than L2.

    >>> Boundary(queries=500).needs
    'labels'
    """

    queries: int = 1000
    every: int = 10
    tries: int = 50
    starts: tuple[Array, ...] = field(default=(), compare=False, repr=False)
    closest: bool = False
    name: ClassVar[str] = "boundary"
    reference: ClassVar[str] = "Brendel, Rauber, Bethge 2018, arXiv 1712.04248"
    needs: ClassVar[Access] = "labels"

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries, every=self.every, tries=self.tries)
        object.__setattr__(self, "starts", read_starts(self.starts, self.name))

    def fits(self, change: Change) -> bool:
        return isinstance(change, BallChange) and change.norm == "l2" and change.surface == "input"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        check_starts(self.starts, problem, self.name)
        border = Border.of(problem, self.queries, self.closest)
        border.start(rng, self.starts, self.tries)
        rows = border.able()
        border.bisect(rows, border.here[rows], _TOLERANCE)
        aside, nearer = torch.full_like(border.cost, _FIRST), torch.full_like(border.cost, _FIRST)
        step = 0
        while len(rows := border.able()):
            around = self._aside(border, rng.rows(rows), rows, aside[rows], (step << 20) + _ASIDES)
            if step % self.every == 0:
                # A question that a case can only just pay for goes to the step itself.
                rich = border.purse.left[rows] > 1
                who = rows[rich]
                fooled = border.purse.value(who, around[rich]) > 0
                aside = aside.index_copy(0, who, _adapted(aside[who], fooled, *_ASIDE))
            inward = border.fitted(rows, around * column(1 - nearer[rows], around))
            fooled = border.look(rows, inward)
            nearer = nearer.index_copy(0, rows, _adapted(nearer[rows], fooled, *_NEARER))
            step += 1
            settled = rows[nearer[rows] < _SETTLED]
            if len(settled):
                border.leave(settled)
                aside[settled], nearer[settled] = _FIRST, _FIRST
                border.start(rng, (), self.tries, step)
                again = settled[torch.isin(settled, border.able())]
                border.bisect(again, border.here[again], _TOLERANCE)
        return border.found()

    def _aside(
        self, border: Border, rng: CaseRandom, rows: Int[Tensor, " m"], length: Float[Tensor, " m"], draw: int
    ) -> Tensor:
        """A random step from each case's point, back on the sphere through that point, inside mask and range."""
        params, field_ = border.here[rows], border.purse.problem.field.rows(rows)
        lot = field_.allow(rng.normal(tuple(params.shape[1:]), draw, params.dtype))
        unit = lot / column(torch.linalg.vector_norm(lot.flatten(1), dim=1).clamp_min(1e-30), lot)
        moved = params + column(length * border.far[rows], params) * unit * field_.scale
        back = border.far[rows] / border.purse.cost(rows, moved).clamp_min(1e-300)
        return border.fitted(rows, moved * column(back, moved))


def _adapted(
    length: Float[Tensor, " m"], success: Tensor, aim: float, rate: float, longest: float
) -> Float[Tensor, " m"]:
    """Longer after a success, shorter after a failure; without a trend where a share `aim` of the steps succeed."""
    factor = torch.where(success, math.exp(rate * (1 - aim)), math.exp(-rate * aim))
    return (length * factor).clamp(_SHORTEST, longest)

"""HopSkipJump: a walk along the border with nothing but decisions."""

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

# A leap is halved so often before the case stays where it is.
_HALVINGS = 12
# A turn that gains less than this part of the distance ends a walk.
_GAIN = 0.01
# Numbers of draws: those of a turn begin at its number times 2^20, starting points first, then slopes.
_SLOPES = 1 << 19
# Probes reach out by this part of the distance at least, so that float32 and coarse models can tell them apart.
_REACH = 1e-3


@dataclass(frozen=True)
class HopSkipJump(Attack):
    """Feels out the slope of the border by asking for decisions around a point on it, leaps along it, returns to it.

    In turn t of a walk, with d_t on the border at distance D: v = sum over B random u of (s - mean s) u, where s is +1
    if d_t + r u fools and -1 if not, B = draws * sqrt(t); then d = d_t + D / sqrt(t) * steepest(v), the step halved
    until d fools; then bisection from d toward the clean case. In L-infinity u is uniform in a cube and bisection cuts
    off, in L2 u is on a sphere and bisection scales. All cases go at once; each stops when the limit is kept or its
    questions are used up. What is seen need not be a class: any decision of the task will do, for a regression its
    number.

    Source: Chen, Jordan, Wainwright 2020 (arXiv 1904.02144). Different from it: within the limit, a step from the clean
    case along v is tried too, which costs one question and is exact where the border is flat; the first bisection
    asks about the limit itself; a turn never loses ground, and where it gains less than 1 % a new walk begins
    elsewhere, for there may be other ways to be wrong; r = D max(1/k, 1e-3) for k values and bisection to the part
    max(1/k, 1e-3) / sqrt(k) in both norms, where float32 cannot resolve the source's; noise of several grains to start.

    Arguments
        queries: questions per case at the most; the threat's own limit holds as well.
        draws: decisions for the first estimate of a slope.
        tries: random starting points, at most.
        starts: cases in clinical units (arrays of the shape of a case) to start from, nearest first.
        closest: go on below the limit to the nearest that fools; costs then estimate the distance to the border.

    Refuses fewer than one of each number, and starts that are not finite or of another shape.

    >>> HopSkipJump(queries=500).needs
    'labels'
    """

    queries: int = 1000
    draws: int = 100
    tries: int = 50
    starts: tuple[Array, ...] = field(default=(), compare=False, repr=False)
    closest: bool = False
    name: ClassVar[str] = "hopskipjump"
    reference: ClassVar[str] = "Chen, Jordan, Wainwright 2020, arXiv 1904.02144"
    needs: ClassVar[Access] = "labels"

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries, draws=self.draws, tries=self.tries)
        object.__setattr__(self, "starts", read_starts(self.starts, self.name))

    def fits(self, change: Change) -> bool:
        return isinstance(change, BallChange) and change.norm in ("linf", "l2") and change.surface == "input"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        check_starts(self.starts, problem, self.name)
        border = Border.of(problem, self.queries, self.closest)
        border.start(rng, self.starts, self.tries)
        values = max(1, problem.field.clean[:1].numel())
        reach = max(1 / values, _REACH)
        tolerance = reach / math.sqrt(values)
        # A turn keeps back what its leap and bisection will cost.
        kept = 4 + math.ceil(math.log2(1 / tolerance))
        rows = border.able()
        border.bisect(rows, border.here[rows], tolerance)
        turn, age = 0, torch.ones_like(border.far)
        while len(rows := border.able(kept + 2)):
            turn += 1
            before = border.far[rows]
            slope = self._slope(border, rng, rows, turn, age[rows].sqrt(), reach, kept)
            if not self.closest:
                part = problem.rows(rows)
                border.look(rows, part.project(part.step(slope, 1.0)))
            self._leap(border, rows, slope, age[rows].sqrt(), tolerance)
            age[rows] += 1
            settled = rows[border.far[rows] > (1 - _GAIN) * before]
            border.leave(settled)
            age[settled] = 1
            border.start(rng, (), self.tries, turn)
            again = settled[torch.isin(settled, border.able())]
            border.bisect(again, border.here[again], tolerance)
        return border.found()

    def _slope(
        self, border: Border, rng: CaseRandom, rows: Int[Tensor, " m"], turn: int, root: Tensor, reach: float, kept: int
    ) -> Float[Tensor, "m ..."]:
        """The direction in which more decisions fool, from decisions around each case's point on the border."""
        purse, norm = border.purse, border.change.norm
        params, field_ = border.here[rows], purse.problem.field.rows(rows)
        distance = column(reach * border.far[rows], params)
        wanted = (self.draws * root).ceil().to(torch.int64)
        count = torch.minimum(wanted, purse.left[rows] - kept)
        pull, drift = torch.zeros_like(params), torch.zeros_like(params)
        tilt, most, first = torch.zeros_like(border.far[rows]), int(count.max()), 0
        while first < most:
            numbers = range(first, min(most, first + purse.together(len(rows))))
            asking = [(count > k).nonzero()[:, 0] for k in numbers]
            lots = []
            for k, who in zip(numbers, asking, strict=True):
                lot = _lot(rng.rows(rows[who]), params[who], norm, (turn << 20) + _SLOPES + k)
                asked = border.fitted(rows[who], params[who] + distance[who] * lot * field_.scale)
                lots.append((asked - params[who]) / field_.scale)
            points = torch.cat([params[who] + lot * field_.scale for who, lot in zip(asking, lots, strict=True)])
            signs = torch.where(purse.value(rows[torch.cat(asking)], points) > 0, 1.0, -1.0)
            # Added up one by one in the order of the draws: the same bits however many were asked together.
            for lot, who, sign in zip(lots, asking, torch.split(signs, [len(who) for who in asking]), strict=True):
                pull = pull.index_add(0, who, lot * column(sign, lot))
                drift = drift.index_add(0, who, lot)
                tilt = tilt.index_add(0, who, sign.to(tilt.dtype))
            first = numbers.stop
        mean = tilt / count
        slope = torch.where(column(mean.abs(), pull) < 1, pull - column(mean, pull) * drift, pull)
        return slope / field_.scale

    def _leap(self, border: Border, rows: Int[Tensor, " m"], slope: Tensor, root: Tensor, tolerance: float) -> None:
        """Along the slope as far as decisions still fool, and back to the border from there."""
        length = border.far[rows] / root
        start, way = border.here[rows], border.change.steepest(border.purse.problem.field.rows(rows), slope)
        landed, hit = start, torch.zeros_like(rows, dtype=torch.bool)
        waiting = torch.arange(len(rows), device=rows.device)
        for _ in range(_HALVINGS):
            waiting = waiting[torch.isin(rows[waiting], border.able())]
            if not len(waiting):
                break
            who = rows[waiting]
            there = border.fitted(who, start[waiting] + column(length[waiting], way) * way[waiting])
            fooled = border.look(who, there)
            landed = landed.index_copy(0, waiting[fooled], there[fooled])
            hit[waiting[fooled]] = True
            waiting = waiting[~fooled]
            length = length / 2
        border.bisect(rows[hit], landed[hit], tolerance)


def _lot(rng: CaseRandom, like: Tensor, norm: str, draw: int) -> Tensor:
    """Random directions: of length 1, or uniform in the cube from -1 to 1."""
    shape = tuple(like.shape[1:])
    if norm == "linf":
        return 2 * rng.uniform(shape, draw, like.dtype) - 1
    lot = rng.normal(shape, draw, like.dtype)
    return lot / column(torch.linalg.vector_norm(lot.flatten(1), dim=1), lot)

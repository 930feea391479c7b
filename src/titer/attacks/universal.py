"""Universal perturbation: one change that is added to every case, learned from other cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks._pushes import Way, assigned, minibatches, toward, ways
from titer.attacks.attack import Attack, LearningAttack
from titer.attacks.losses import loss
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.models.model import Access
from titer.threats.change import BallChange, Change, Field
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class Universal(LearningAttack):
    """One perturbation d for all cases, |d| <= limit, that fools the model on as many of the pool as it can.

    Projected mini-batch ascent on the mean loss over the pool: u <- ball(u + rate * steepest(mean gradient)), where
    d = limit * u and the rate shrinks evenly from `reach` to nothing. A case gets d as far as its own room in the valid
    range allows. The mean gradient remembers earlier batches (`momentum`). Where any wrong answer will do, pushing all
    cases one way can fool more of them than pushing each its own way, since the pushes of one perturbation cancel; so
    that is tried too, for each class (or up, and down), and what fools most of the pool is kept. A regression is thus
    pushed by the signed objective. With the goal "the next class" there is one perturbation per class.

    Source: the problem is Moosavi-Dezfooli et al. 2017 (arXiv 1610.08401); ascent by mini-batches Shafahi et al. 2020
    (arXiv 1811.11304); in medical images Hirano et al. 2021 (doi 10.1186/s12880-020-00530-y). Different from all: the
    rate shrinks, the ways above, and it is learned in units of the limit.

    Arguments
        epochs: passes over the pool per way.
        batch: cases per step.
        loss: "ce", "margin" or "dlr".
        reach: length of the first step, in limits.
        momentum: share of the earlier mean gradient that stays, 0 to below 1.
        pool: the most cases to learn from in an audit.

    >>> Universal().learns
    True
    """

    epochs: int = 5
    batch: int = 32
    loss: str = "ce"
    reach: float = 0.5
    momentum: float = 0.5
    name: ClassVar[str] = "universal"
    reference: ClassVar[str] = "Moosavi-Dezfooli et al. 2017, arXiv 1610.08401; Shafahi et al. 2020, arXiv 1811.11304"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, epochs=self.epochs, batch=self.batch)
        self.require(0, reach=self.reach)
        if not 0 <= self.momentum < 1:
            raise AttackError("a momentum from 0 to below 1", str(self.momentum), "correct 'momentum' of universal")
        loss(self.loss)

    def fits(self, change: Change) -> bool:
        return isinstance(change, BallChange) and change.norm in ("linf", "l2") and change.surface == "input"

    def learn(self, problem: Problem, rng: CaseRandom) -> Attack:
        found = {way: self._ascend(toward(problem, way), rng) for way in ways(problem)}
        if problem.goal.kind == "untargeted":
            if "any" not in found:
                found["any"] = self._ascend(problem, rng)
            best = max(found, key=lambda way: _worth(problem, found[way], self.batch))
            found = {"any": found[best]}
        return _Shift(tuple(found), torch.stack(list(found.values())))

    def _ascend(self, problem: Problem, rng: CaseRandom) -> Tensor:
        """The perturbation of one way in units of the limit, [*shape]."""
        ball = _ball(problem)
        one = ball.clean.new_ones(1)
        unit, velocity = torch.zeros_like(ball.clean), torch.zeros_like(ball.clean)
        steps = self.epochs * -(-len(problem) // self.batch)
        step = 0
        for epoch in range(self.epochs):
            for rows in minibatches(rng, self.batch, epoch):
                part = problem.rows(rows)
                params = _applied(part, unit)
                gradient = _felt(part, params, part.slope(params, self.loss)[1]).mean(dim=0, keepdim=True)
                velocity = self.momentum * velocity + gradient / gradient.abs().mean().clamp_min(1e-30)
                rate = self.reach * (1 - step / steps)
                unit = problem.smooth.project(ball, unit + rate * problem.smooth.steepest(ball, velocity), one)
                step += 1
        return unit[0]


@dataclass(frozen=True, eq=False)
class _Shift(Attack):
    """What `Universal` learned: `units` [ways, *shape], in units of the limit. It asks nothing."""

    ways: tuple[Way, ...]
    units: Tensor
    name: ClassVar[str] = Universal.name
    reference: ClassVar[str] = Universal.reference
    needs: ClassVar[Access] = "labels"
    iterative: ClassVar[bool] = False

    def fits(self, change: Change) -> bool:
        return Universal().fits(change)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        return _applied(problem, self.units.to(problem.inputs.device)[assigned(problem, self.ways)])


def _ball(problem: Problem) -> Field:
    """A field of one case at zero without range or mask, in which what all cases share is held to the ball."""
    field = problem.field
    return Field(torch.zeros_like(field.clean[:1]), None, None, field.scale, rate=field.rate)


def _applied(problem: Problem, unit: Tensor) -> Tensor:
    """The perturbation as each case's own limit, mask and range allow it."""
    shape = (-1, *[1] * (problem.field.clean.dim() - 1))
    return problem.project(problem.limit.reshape(shape) * unit)


def _felt(problem: Problem, params: Tensor, gradient: Tensor) -> Tensor:
    """The gradient without what a case's mask or the end of its range would swallow."""
    field = problem.field
    free = field.allow(gradient)
    if field.low is None or field.high is None:
        return free
    reached = problem.change.apply(field, params)
    outward = torch.where(free > 0, reached >= field.high, reached <= field.low)
    return torch.where(outward & (free != 0), torch.zeros_like(free), free)


def _worth(problem: Problem, unit: Tensor, size: int) -> tuple[int, float]:
    """How many of the pool a perturbation fools, and by how much in the mean, to decide between equals."""
    pieces = torch.split(torch.arange(len(problem), device=problem.inputs.device), size)
    parts = [problem.rows(rows) for rows in pieces]
    gained = torch.cat([part.advantage(part.scores(_applied(part, unit))) for part in parts])
    return int((gained > 0).sum()), float(gained.mean())

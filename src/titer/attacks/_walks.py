"""Walks that set their own step sizes: what APGD remembers of each case between two looks at the model.

A walk sees a loss and its gradient where it stands, and moves. Everything is per case, so cases may leave at any time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.attacks.problem import Problem
from titer.threats.change import BallChange

# Of the steps between two checkpoints, the share that must rise, or the steps are too long.
_RISING = 0.75
# Sparse walks: values moved at once at first (of all), how often that is looked at (of all steps), the least fall
# that counts as one, and by how much density and length then shrink.
_DENSE, _OFTEN, _FEWER, _SHRINK, _SHORTEST = 0.2, 0.04, 0.95, 1.5, 0.1


@dataclass(eq=False)
class Walk(ABC):
    """Where each case stands, what was seen there, and the best place so far; all [n, ...]."""

    params: Tensor
    steps: int
    gradient: Tensor = field(init=False)
    value: Float[Tensor, " n"] = field(init=False)
    best: Tensor = field(init=False)
    best_gradient: Tensor = field(init=False)
    best_value: Float[Tensor, " n"] = field(init=False)
    # Whether all gradients so far were zero everywhere: such a case has not moved, and will not.
    blind: Bool[Tensor, " n"] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.params)
        self.best, self.gradient = self.params, torch.zeros_like(self.params)
        self.best_gradient = self.gradient
        # The first look is no rise, but the best so far.
        self.value = torch.full((count,), math.inf, dtype=torch.float64, device=self.params.device)
        self.best_value = -self.value
        self.blind = self.value > 0

    def see(self, value: Float[Tensor, " n"], gradient: Tensor) -> None:
        """Take in the loss and its gradient where the walk stands."""
        seen = value.double()
        better = seen > self.best_value
        self.best = torch.where(_column(better, self.params), self.params, self.best)
        self.best_gradient = torch.where(_column(better, gradient), gradient, self.best_gradient)
        self.best_value = torch.where(better, seen, self.best_value)
        self.value, self.gradient = seen, gradient
        if bool(self.blind.any()):
            self.blind = self.blind & ~gradient.flatten(1).any(dim=1)

    def keep(self, rows: Int[Tensor, " k"]) -> None:
        """Go on with these cases only."""
        for each in fields(self):
            now = getattr(self, each.name)
            if isinstance(now, Tensor):
                setattr(self, each.name, now[rows])

    def back(self, rows: Bool[Tensor, " n"]) -> None:
        """Put these cases back to their best places."""
        chosen = _column(rows, self.params)
        self.params = torch.where(chosen, self.best, self.params)
        self.gradient = torch.where(chosen, self.best_gradient, self.gradient)
        self.value = torch.where(rows, self.best_value, self.value)

    @abstractmethod
    def move(self, problem: Problem, step: int) -> None:
        """Adapt the step sizes to what was seen, then take step number `step`."""


@dataclass(eq=False)
class Halving(Walk):
    """Steps with momentum, halved where too few of them rise or a whole stretch brought nothing.

    z = project(x + rate * limit * steepest(gradient)), x' = project(x + m (z - x) + (1 - m) (x - x_before)), with
    rates of 2 at first. Whoever halves starts again from the best place.

    Source: Croce and Hein 2020 (arXiv 2003.01690), algorithm 1. Different from it: a walk that starts again has no
    momentum from before.
    """

    momentum: float = 0.75
    previous: Tensor = field(init=False)
    fresh: Bool[Tensor, " n"] = field(init=False)
    rate: Float[Tensor, " n"] = field(init=False)
    rises: Int[Tensor, " n"] = field(init=False)
    halved: Bool[Tensor, " n"] = field(init=False)
    best_then: Float[Tensor, " n"] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.previous = self.params
        self.rises = torch.zeros(len(self.params), dtype=torch.int64, device=self.params.device)
        self.fresh = self.rises == 0
        self.halved = ~self.fresh
        self.rate = torch.full_like(self.rises, 2, dtype=self.params.dtype)
        self.best_then = self.best_value
        self._points = checkpoints(self.steps)

    def see(self, value: Float[Tensor, " n"], gradient: Tensor) -> None:
        self.rises = self.rises + (value.double() > self.value)
        super().see(value, gradient)

    def move(self, problem: Problem, step: int) -> None:
        if step in self._points:
            self._adapt(self._points[step])
        here = self.params
        there = problem.project(here + problem.step(self.gradient, self.rate))
        if step:
            weight = _column(torch.where(self.fresh, 1.0, self.momentum).to(here.dtype), here)
            there = problem.project(here + weight * (there - here) + (1 - weight) * (here - self.previous))
        self.params, self.previous, self.fresh = there, here, torch.zeros_like(self.fresh)

    def _adapt(self, length: int) -> None:
        idle = ~self.halved & (self.best_then >= self.best_value)
        self.halved = (self.rises < _RISING * length) | idle
        self.rate = torch.where(self.halved, self.rate / 2, self.rate)
        self.best_then = self.best_value
        self.rises = torch.zeros_like(self.rises)
        self.fresh = self.halved
        self.back(self.halved)


@dataclass(eq=False)
class Sparse(Walk):
    """Steps on a few values at once, fewer as the best change found gets sparser; for limits in L1.

    x' = project(x + rate * limit * sparse(gradient)). Now and then the number of values is set to that of the best
    change over 1.5; where that fell, the walk goes on from there with full steps, else with steps 1.5 times shorter.

    Source: Croce and Hein 2021 (arXiv 2103.01208), section 3.
    """

    rate: Float[Tensor, " n"] = field(init=False)
    count: Int[Tensor, " n"] = field(init=False)
    moved: Int[Tensor, " n"] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.params[:1].numel() if len(self.params) else 1
        most = max(1, int(_DENSE * size))
        self.moved = self._moved()
        few = self._fewer().clamp(max=most)
        # Doing nothing says nothing about how many values to move.
        self.count = torch.where(self.moved > 0, few, torch.full_like(few, most))
        self.moved = torch.where(self.moved > 0, self.moved, torch.full_like(self.moved, size))
        self.rate = torch.ones_like(self.count, dtype=self.params.dtype)
        self._every = max(1, round(_OFTEN * self.steps))

    def move(self, problem: Problem, step: int) -> None:
        change = problem.change
        assert isinstance(change, BallChange)
        if step and step % self._every == 0:
            before, self.moved = self.moved, self._moved()
            sparser = self.moved < _FEWER * before
            self.count = self._fewer()
            self.rate = torch.where(sparser, 1.0, (self.rate / _SHRINK).clamp_min(_SHORTEST)).to(self.rate.dtype)
            self.back(sparser)
        length = _column((self.rate * problem.limit).to(self.params.dtype), self.params)
        step_to = length * change.sparse(problem.field, self.params, self.gradient, self.count)
        self.params = problem.project(self.params + step_to)

    def _moved(self) -> Int[Tensor, " n"]:
        """Values that the best change moves."""
        return (self.best != 0).flatten(1).sum(dim=1)

    def _fewer(self) -> Int[Tensor, " n"]:
        return (self.moved / _SHRINK).long().clamp_min(1)


def begin(problem: Problem, start: Tensor, steps: int, momentum: float) -> Walk:
    """The walk that suits the change, at its start."""
    return Sparse(start, steps) if sparse(problem) else Halving(start, steps, momentum)


def sparse(problem: Problem) -> bool:
    """Whether steps should move few values at once."""
    return isinstance(problem.change, BallChange) and problem.change.norm == "l1"


def checkpoints(steps: int) -> dict[int, int]:
    """Steps before which step sizes are looked at, each with the number of steps since the one before.

    After 22 % of all steps, then at distances that shrink by 3 % each time, down to 6 %.

    >>> checkpoints(100)
    {22: 22, 41: 19, 57: 16, 70: 13, 80: 10, 87: 7, 93: 6, 99: 6}
    """
    found: dict[int, int] = {}
    last, share, width = 0, 0.22, 0.22
    while (place := math.ceil(share * steps - 1e-9)) < steps:
        if place > last:
            found[place] = place - last
            last = place
        width = max(width - 0.03, 0.06)
        share += width
    return found


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *([1] * (like.dim() - 1)))

"""Carlini and Wagner: descent on the size of the change plus a weighed margin; the weight is found by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks._minimal import flat, has_norm, open_rows, raised, room, rounds, tighten, tilt
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.threats.change import Change
from titer.threats.random import CaseRandom

# Elementwise functions take another path through the code for what does not fill a block of this many numbers.
_BLOCK = 64
# The box of the hyperbolic tangent is wider by this part, else values at the ends of their range could hardly move.
_WIDER = 0.1


@dataclass(frozen=True)
class CarliniWagner(Attack):
    """Minimize |d|^2 + c max(-margin, 0) over w with d = middle + half tanh(w), so that no value leaves its range.

    Adam, then c is tripled until the model is fooled, and bisected afterwards, for each case by itself. The first c is
    right for a linear model, 2 |margin| / |slope|^2, and the steps of Adam are parts of its distance, so nothing
    depends on units. A descent ends early where a tenth of its steps no longer helps. The margin is that of the task:
    classes, one logit, findings, regression. The best change is shortened on its line at last. One question and one
    gradient per step. Values without a range are searched as they are.

    Source: Carlini and Wagner 2017 (arXiv 1608.04644), the L2 attack with f_6 and confidence 0. Different from it:
    first c and steps as above; steps shrink evenly; the box is a tenth wider for tanh and clipped.

    Arguments
        steps: of Adam, for each c.
        weights: how many values of c are tried.
        rate: first step, in parts of a linear model's mean change per value.
        refine: questions for the last shortening.

    >>> CarliniWagner(rate=0)
    Traceback (most recent call last):
    titer.errors.AttackError: expected rate of at least 1e-06, got 0; correct 'rate' of carlini_wagner
    """

    steps: int = 100
    weights: int = 4
    rate: float = 0.3
    refine: int = 3
    name: ClassVar[str] = "carlini_wagner"
    reference: ClassVar[str] = "Carlini and Wagner 2017, arXiv 1608.04644"
    minimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps, weights=self.weights)
        self.require(1e-6, rate=self.rate)
        self.require(0, refine=self.refine)

    def fits(self, change: Change) -> bool:
        return has_norm(change, "l2")

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Cheapest.of(problem)
        rows = open_rows(problem, best)
        left = rounds(problem, 1 + self.weights * self.steps + self.refine)
        if not len(rows) or left < 2:
            return best.params
        part = problem.rows(rows)
        _, gradient, _ = part.slope(part.nothing(), "margin")
        steep = torch.linalg.vector_norm(tilt(part, gradient), dim=1)
        # Where the clean case has no slope, descent has no start.
        keep = (steep > 0).nonzero()[:, 0]
        rows, part, steep = rows[keep], part.rows(keep), steep[keep]
        margin = -part.advantage(part.clean)
        weight = 2 * margin / steep**2
        pace = self.rate * margin / steep / math.prod(part.field.clean.shape[1:]) ** 0.5
        low, high = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
        for turn in range(self.weights):
            steps = min(self.steps, left - 1 - turn * self.steps)
            if not len(rows) or steps < 1:
                break
            found = self._descend(part, weight, pace, steps, rows, best)
            low, high = torch.where(found, low, weight), torch.where(found, weight, high)
            weight = torch.where(torch.isinf(high), 3 * weight, (low + high) / 2)
        tighten(problem, best, self.refine)
        return best.params

    def _descend(
        self, part: Problem, weight: Tensor, pace: Tensor, steps: int, rows: Tensor, best: Cheapest
    ) -> Bool[Tensor, " n"]:
        """Whether each case was fooled on the way down with this weight."""
        found, place = torch.zeros_like(rows, dtype=torch.bool), torch.arange(len(rows), device=rows.device)
        tube = _Tube.of(part)
        w, pace = tube.start, pace[:, None] / tube.half
        mean, power = torch.zeros_like(w), torch.zeros_like(w)
        before = torch.full_like(weight, torch.inf)
        for step in range(steps):
            params = part.project(raised(part, tube.values(w)))
            _, gradient, scores = part.slope(params, "margin")
            found[place] |= best.offer(part, params, scores, rows[place])
            size, margin = flat(part, params), part.advantage(scores)
            loss = size.square().sum(dim=1) - weight * margin.clamp(max=0)
            pull = torch.where(margin > 0, 0.0, weight)[:, None] * tilt(part, gradient)
            downhill = (2 * size - pull) * tube.derivative(w)
            mean = 0.9 * mean + 0.1 * downhill
            power = 0.999 * power + 0.001 * downhill.square()
            bent = (power / (1 - 0.999 ** (step + 1))).sqrt() + 1e-30
            w = tube.inside(w - (1 - step / steps) * pace * (mean / (1 - 0.9 ** (step + 1))) / bent)
            if (step + 1) % max(1, steps // 10) == 0:
                stay = (loss < 0.9999 * before).nonzero()[:, 0]
                if not len(stay):
                    break
                place, part, tube, before = place[stay], part.rows(stay), tube.rows(stay), loss[stay]
                w, mean, power, pace, weight = w[stay], mean[stay], power[stay], pace[stay], weight[stay]
        return found


@dataclass(frozen=True, eq=False)
class _Tube:
    """The change of variables: values [n, d] = middle + half tanh(w); where there is no range, values = w.

    Arguments
        bounded: where there is a range. low, high, start: w at the ends of the range, and of no change.
    """

    middle: Float[Tensor, "n d"]
    half: Float[Tensor, "n d"]
    bounded: Bool[Tensor, "n d"]
    low: Float[Tensor, "n d"]
    high: Float[Tensor, "n d"]
    start: Float[Tensor, "n d"]

    @classmethod
    def of(cls, problem: Problem) -> _Tube:
        low, high = room(problem)
        bounded = torch.isfinite(high - low)
        middle = torch.where(bounded, (low + high) / 2, 0.0)
        half = torch.where(bounded & (high > low), (1 + _WIDER) * (high - low) / 2, 1.0)
        ends = [
            torch.where(bounded, _steady(torch.atanh, torch.where(bounded, (each - middle) / half, 0.0)), each)
            for each in (low, high, torch.zeros_like(low))
        ]
        return cls(middle, half, bounded, *ends)

    def rows(self, index: Tensor) -> _Tube:
        return _Tube(*(each[index] for each in vars(self).values()))

    def values(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return torch.where(self.bounded, self.middle + self.half * _steady(torch.tanh, w), w)

    def derivative(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return torch.where(self.bounded, self.half * (1 - _steady(torch.tanh, w).square()), 1.0)

    def inside(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return torch.minimum(torch.maximum(w, self.low), self.high)


def _steady(function: Callable[[Tensor], Tensor], values: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """An elementwise function of rows that are filled up to whole blocks, so that no row depends on their number."""
    width = values.shape[1]
    return function(torch.nn.functional.pad(values, (0, -width % _BLOCK)))[:, :width]

"""sigma-zero: as few values as possible, by descent on a smooth count of the changed ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks._minimal import flat, has_norm, open_rows, raised, room, rounds, tilt
from titer.attacks._ways import Ways
from titer.attacks.attack import Attack
from titer.attacks.losses import loss
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.threats.change import Change
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class SigmaZero(Attack):
    """Descent on max(-margin, 0) plus a smooth count of changed values; what stays small is set back to zero.

    With u the change in parts of each value's range, the count is the mean of u^2 / (u^2 + sigma). u moves against the
    slope of the sum over its largest part, with a rate that falls along half a cosine; what is below the threshold
    becomes 0, and the threshold rises while the model is fooled and falls while it is not. The walk does not see the
    limit: one run tells how many values each case needs. At last the values found move to the end of their range, the
    ones that gain least are taken back while that still fools, and where more are needed than the limit allows, the
    largest are kept. A question and a gradient per step.

    Source: Cinà et al. 2024 (arXiv 2402.01879). Different from it: ranges may differ from value to value, and the
    values that gain least are taken back, which meets the optimum on linear models.

    Arguments
        steps: per walk.
        losses: what the walks push against until the model is fooled, one walk each: "margin", or "target",
            "target2", ... for the nearest classes in turn; no more walks than there are ways of being fooled.
        rate: first step of the value that moves most, in parts of its range.
        sigma: smoothness of the count.
        threshold: its first value, in parts of the range.
        pace: how fast it moves, in parts of the rate.
        refine: questions for taking back.

    >>> SigmaZero(sigma=0)
    Traceback (most recent call last):
    titer.errors.AttackError: expected sigma, rate and pace above 0, got 0, 1.0, 0.01; correct them in sigma_zero
    """

    steps: int = 50
    losses: tuple[str, ...] = ("target", "target2", "target3")
    rate: float = 1.0
    sigma: float = 1e-3
    threshold: float = 0.3
    pace: float = 0.01
    refine: int = 6
    name: ClassVar[str] = "sigma_zero"
    reference: ClassVar[str] = "Cinà et al. 2024, arXiv 2402.01879"
    minimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps)
        self.require(0, refine=self.refine, threshold=self.threshold)
        if not min(self.sigma, self.rate, self.pace) > 0:
            raise AttackError(
                "sigma, rate and pace above 0", f"{self.sigma}, {self.rate}, {self.pace}", "correct them in sigma_zero"
            )
        object.__setattr__(self, "losses", tuple(self.losses))
        if not self.losses:
            raise AttackError("at least one loss for sigma_zero", "none", "name one in 'losses', or leave it out")
        for each in self.losses:
            loss(each)

    def fits(self, change: Change) -> bool:
        return has_norm(change, "l0")

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        free = Cheapest.of(problem)
        rows = open_rows(problem, free)
        # Two questions are kept for the start of taking back and for what the limit cuts off.
        left = rounds(problem, len(self.losses) * (self.steps + 1) + self.refine + 2) - 2
        for name in self.losses[: Ways.of(problem.rows(rows), len(self.losses)).count]:
            steps = min(self.steps, left - 1)
            left -= steps + 1
            if len(rows) and steps > 0:
                self._walk(problem.rows(rows), name, steps, rows, free)
        self._take_back(problem, free, min(self.refine, left))
        return _within(problem, free)

    def _walk(self, part: Problem, name: str, steps: int, rows: Int[Tensor, " n"], free: Cheapest) -> None:
        low, high = room(part)
        span = high - low
        unit = torch.where(span > 0, span, 1.0)
        moved, threshold = torch.zeros_like(low), torch.full_like(low[:, :1], self.threshold)
        for step in range(steps):
            rate = self.rate * (1 + math.cos(math.pi * step / steps)) / 2
            _, gradient, scores = part.slope(raised(part, moved * span), name)
            fooled = free.offer(part, raised(part, moved * span), scores, rows)
            stay = (free.cost[rows] > 1).nonzero()[:, 0]
            if not len(stay):
                return
            if len(stay) < len(rows):
                rows, part, fooled, gradient = rows[stay], part.rows(stay), fooled[stay], gradient[stay]
                low, high, span, unit = low[stay], high[stay], span[stay], unit[stay]
                moved, threshold = moved[stay], threshold[stay]
            count = 2 * self.sigma * moved / (moved.square() + self.sigma).square() / moved.shape[1]
            down = count - torch.where(fooled[:, None], 0.0, tilt(part, gradient) * span)
            down = down / down.abs().amax(dim=1, keepdim=True).clamp_min(1e-300)
            moved = torch.minimum(torch.maximum(moved - rate * down, low / unit), high / unit)
            moved = torch.where(moved.abs() < threshold, 0.0, moved)
            threshold = (threshold + torch.where(fooled, 1.0, -1.0)[:, None] * self.pace * rate).clamp_min(0)
        params = raised(part, moved * span)
        free.offer(part, params, part.scores(params), rows)

    def _take_back(self, problem: Problem, free: Cheapest, questions: int) -> None:
        rows = open_rows(problem, free)
        rows = rows[torch.isfinite(free.cost[rows]) & (free.cost[rows] > 1)]
        if not len(rows) or questions < 1:
            return
        part, found = problem.rows(rows), free.params[rows]
        _, gradient, _ = part.slope(found, "margin")
        slope, (low, high) = tilt(part, gradient), room(part)
        end = torch.where(slope > 0, high, low)
        gain = torch.where(flat(part, found) != 0, slope.abs() * end.abs(), torch.inf)
        for _ in range(questions):
            gain = gain.scatter(1, gain.argmin(dim=1, keepdim=True), torch.inf)
            tried = raised(part, torch.where(torch.isfinite(gain), end, 0.0))
            fooled = free.offer(part, tried, part.scores(tried), rows)
            stay = (fooled & (free.cost[rows] > 1)).nonzero()[:, 0]
            if not len(stay):
                return
            rows, part, gain, end = rows[stay], part.rows(stay), gain[stay], end[stay]


def _within(problem: Problem, free: Cheapest) -> Tensor:
    """The changes found, those above their limit cut to the largest values and asked about once more."""
    params = problem.project(free.params)
    cut = (params != free.params).flatten(1).any(dim=1)
    best = Cheapest.of(problem)
    whole = (~cut).nonzero()[:, 0]
    best.params = best.params.index_copy(0, whole, free.params[whole])
    rows = cut.nonzero()[:, 0]
    if len(rows):
        part = problem.rows(rows)
        best.offer(part, params[rows], part.scores(params[rows]), rows)
    return best.params

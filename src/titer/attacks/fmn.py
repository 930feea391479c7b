"""FMN: a walk in a ball that shrinks while the model is fooled and grows while it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks._minimal import additive, flat, has_norm, length, open_rows, raised, room, rounds, tilt
from titer.attacks.attack import Attack
from titer.attacks.losses import loss
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.threats.change import Change
from titer.threats.random import CaseRandom

# By how much the ball grows while nothing is found and nothing says how far the border is.
_GROWTH = 1.2


@dataclass(frozen=True)
class FMN(Attack):
    """Fast minimum norm: gradient steps inside a ball whose size looks for the border.

    d <- project(d + rate * size * direction) onto a ball of this size and the valid range. The size is |d| + |margin| /
    |slope| (dual norm) or a little more until the model is fooled; from then on it shrinks by the part gamma when the
    point fools, and grows by it when not, with rate and gamma falling along half a cosine. The direction is the
    gradient over its length (L2), its sign (L-infinity), or the first-order gain of moving to the end of the range (L0,
    where the size is a number of values and changes by at least one). One question and one gradient per step.

    Source: Pintor, Roli, Brendel, Biggio 2021 (arXiv 2102.12827); in L2 it is close to DDN (Rony et al. 2019, arXiv
    1811.09600). Different from the first: steps are parts of the ball and not absolute, hence independent of units; the
    first part of the walk climbs the training loss, which weighs all classes, and the rest the margin; sign in
    L-infinity; projection is exact where ball and range cut each other.

    Arguments
        steps: gradient steps per walk.
        restarts: walks per case; all but the first begin at a random point of the smallest ball so far.
        rate, last_rate: length of the first and last step, in sizes of the ball (L0: in ranges of the values).
        gamma, last_gamma: part by which the ball changes, first and last.
        loss: what the first half climbs; a name from `titer.attacks.losses`.

    >>> FMN(gamma=1.5)
    Traceback (most recent call last):
    titer.errors.AttackError: expected gammas between 0 and 1, the first no smaller, got 1.5, 0.001; correct 'gamma'
    """

    steps: int = 50
    restarts: int = 2
    rate: float = 2.0
    last_rate: float = 0.01
    gamma: float = 0.1
    last_gamma: float = 0.001
    loss: str = "ce"
    name: ClassVar[str] = "fmn"
    reference: ClassVar[str] = "Pintor, Roli, Brendel, Biggio 2021, arXiv 2102.12827"
    minimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps, restarts=self.restarts)
        if not 0 < self.last_gamma <= self.gamma < 1:
            raise AttackError(
                "gammas between 0 and 1, the first no smaller", f"{self.gamma}, {self.last_gamma}", "correct 'gamma'"
            )
        if not 0 < self.last_rate <= self.rate:
            raise AttackError(
                "rates above 0, the first no smaller", f"{self.rate}, {self.last_rate}", "correct 'rate' of fmn"
            )
        loss(self.loss)

    def fits(self, change: Change) -> bool:
        return has_norm(change, "linf", "l2", "l0")

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Cheapest.of(problem)
        rows = open_rows(problem, best)
        left = rounds(problem, self.restarts * (self.steps + 1))
        for restart in range(self.restarts):
            steps = min(self.steps, left - 1)
            left -= steps + 1
            if not len(rows) or steps < 1:
                break
            part, ball = problem.rows(rows), torch.zeros_like(rows, dtype=torch.float64)
            params = part.nothing()
            if restart:
                ball = torch.minimum(best.cost[rows], part.limit.double())
                params = part.within(ball.to(part.limit.dtype)).sample(rng.rows(rows), restart)
            self._walk(part, params, ball, steps, rows, best)
        return best.params

    def _walk(
        self, part: Problem, params: Tensor, ball: Float[Tensor, " n"], steps: int, rows: Tensor, best: Cheapest
    ) -> None:
        for step in range(steps):
            share = (1 + math.cos(math.pi * step / max(1, steps - 1))) / 2
            rate = self.last_rate + (self.rate - self.last_rate) * share
            gamma = self.last_gamma + (self.gamma - self.last_gamma) * share
            # Only the slope of the margin says how far the border is.
            measured = step == 0 or step > steps // 2
            _, gradient, scores = part.slope(params, "margin" if measured else self.loss)
            known = torch.isfinite(best.cost[rows])
            fooled = best.offer(part, params, scores, rows)
            cost, slope = best.cost[rows], tilt(part, gradient)
            if additive(part).norm == "l0":
                ball = _count(ball, cost, gamma, fooled)
            else:
                far = _distance(part, params, scores, slope) if measured else _GROWTH * ball
                wider = torch.where(known, ball * (1 + gamma), torch.maximum(far, ball * (1 + gamma)))
                ball = torch.where(fooled, torch.minimum(ball * (1 - gamma), cost), wider)
            # Without a slope and nothing found there is nowhere to go; one value changed is the least there is.
            stay = (torch.isfinite(cost) | (slope != 0).any(dim=1)) & ((ball >= 1) | (not part.change.counts))
            if not bool(stay.all()):
                keep = stay.nonzero()[:, 0]
                if not len(keep):
                    return
                rows, part, params, slope, ball = rows[keep], part.rows(keep), params[keep], slope[keep], ball[keep]
            ball = torch.minimum(ball, part.limit.double())
            moved = raised(part, flat(part, params) + rate * _direction(part, slope, ball))
            params = part.within(ball.to(part.limit.dtype)).project(moved)
        best.offer(part, params, part.scores(params), rows)


def _direction(problem: Problem, slope: Float[Tensor, "n d"], ball: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """A move as long as the ball; for counted values, to the end of the range for the one that gains most."""
    norm = additive(problem).norm
    if norm == "linf":
        return slope.sign() * ball[:, None]
    if norm == "l2":
        return slope / length(problem, slope).clamp_min(1e-300)[:, None] * ball[:, None]
    low, high = room(problem)
    gain = slope * (high - low)
    return (high - low) * gain / gain.abs().amax(dim=1).clamp_min(1e-300)[:, None]


def _distance(
    problem: Problem, params: Tensor, scores: Float[Tensor, "n K ..."], slope: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """How large a change reaches the border if the margin is linear."""
    dual = slope.abs().sum(dim=1) if additive(problem).norm == "linf" else torch.linalg.vector_norm(slope, dim=1)
    ahead = (-problem.advantage(scores)).clamp_min(0) / dual.clamp_min(1e-300)
    paid: Tensor = problem.change.cost(problem.field, params)
    return paid.double() + ahead


def _count(
    ball: Float[Tensor, " n"], cost: Float[Tensor, " n"], gamma: float, fooled: Bool[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """The next number of values: fewer than have been enough, or more than were not."""
    fewer = torch.minimum(torch.minimum((ball * (1 - gamma)).floor(), ball - 1), cost - 1)
    more = torch.maximum((ball * (1 + gamma)).floor(), ball + 1)
    return torch.where(fooled, fewer, torch.minimum(more, cost - 1))

"""FAB: projections onto linear models of the border, pulled back toward the clean case all the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks._minimal import (
    flat,
    has_norm,
    length,
    onto,
    open_rows,
    raised,
    room,
    rounds,
    tighten,
    tilt,
    toward,
)
from titer.attacks._ways import Ways
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.threats.change import Change
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class FAB(Attack):
    """Fast adaptive boundary attack: stay at the border, and let it slide toward the clean case.

    With d the present change, p the smallest move from there to the nearest linear border inside the valid range and q
    that from the clean case to the same border, d <- (1 - a) (d + o p) + a o q, with a = min(|p| / (|p| + |q|), pull)
    and the overshoot o. Where that fools, d <- backstep d. Both projections are exact. The best change is shortened on
    its line at last. A step asks two questions and takes a gradient per candidate; what no longer moves leaves.

    Source: Croce and Hein 2020 (arXiv 1907.02044); one class at a time as in their FAB-T. Different from it: nearest
    borders are found inside the range; restarts begin within half of the smallest change so far or of the limit.

    Arguments
        steps: projections per walk.
        restarts: walks per case; all but the first begin at a random point.
        candidates: nearest classes or findings that are looked at.
        targeted: a walk of its own for each candidate, with one gradient per step; for many classes.
        pull: the greatest part a.
        overshoot: o, 1 or more.
        backstep: what is kept of a change that fools, between 0 and 1.
        refine: questions for the last shortening.

    >>> FAB(backstep=2)
    Traceback (most recent call last):
    titer.errors.AttackError: expected a backstep above 0, below 1, got 2; correct 'backstep' of fab
    """

    steps: int = 50
    restarts: int = 1
    candidates: int = 9
    targeted: bool = False
    pull: float = 0.1
    overshoot: float = 1.05
    backstep: float = 0.9
    refine: int = 3
    name: ClassVar[str] = "fab"
    reference: ClassVar[str] = "Croce and Hein 2020, arXiv 1907.02044"
    minimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps, restarts=self.restarts, candidates=self.candidates, overshoot=self.overshoot)
        self.require(0, refine=self.refine)
        for label, value, end in (("pull", self.pull, "up to 1"), ("backstep", self.backstep, "below 1")):
            if not 0 < value <= 1 or (label == "backstep" and value == 1):
                raise AttackError(f"a {label} above 0, {end}", str(value), f"correct {label!r} of fab")

    def fits(self, change: Change) -> bool:
        return has_norm(change, "linf", "l2")

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Cheapest.of(problem)
        rows = open_rows(problem, best)
        if not len(rows):
            return best.params
        ways = Ways.of(problem.rows(rows), self.candidates)
        each = [ways.only(rank) for rank in range(ways.count)] if self.targeted else [ways]
        walks = [(restart, aim) for restart in range(self.restarts) for aim in each]
        left = rounds(problem, 2 * self.steps * len(walks) + self.refine)
        for draw, (restart, aim) in enumerate(walks):
            steps = min(self.steps, left // 2)
            left -= 2 * steps
            part = problem.rows(rows)
            params = part.nothing()
            if restart and steps:
                radius = torch.minimum(best.cost[rows].to(part.limit.dtype), part.limit) / 2
                params = part.within(radius).sample(rng.rows(rows), draw)
            self._walk(part, params, aim, steps, rows, best)
        tighten(problem, best, self.refine)
        return best.params

    def _walk(self, part: Problem, params: Tensor, ways: Ways, steps: int, rows: Tensor, best: Cheapest) -> None:
        ends = room(part)
        for _ in range(steps):
            if not len(rows):
                return
            _, values, slopes = ways.look(part, params)
            start = flat(part, params)
            move, chosen = toward(part, values, slopes, start, ends)
            each = torch.arange(len(rows), device=rows.device)
            slope = tilt(part, slopes[each, chosen])
            at_origin = values[each, chosen] - (slope * start).sum(dim=1)
            direct = onto(part, at_origin, slope, torch.zeros_like(start), ends).move
            far, near = length(part, move), length(part, direct)
            share = (far / (far + near).clamp_min(1e-300)).clamp(max=self.pull)[:, None]
            following = (1 - share) * (start + self.overshoot * move) + share * self.overshoot * direct
            tried = part.project(raised(part, torch.clamp(following, *ends)))
            fooled = best.offer(part, tried, part.scores(tried), rows)
            tried = torch.where(fooled.reshape(-1, *[1] * (tried.dim() - 1)), self.backstep * tried, tried)
            stay = (tried != params).flatten(1).any(dim=1).nonzero()[:, 0]
            rows, part, ways = rows[stay], part.rows(stay), ways.rows(stay)
            params, ends = tried[stay], (ends[0][stay], ends[1][stay])

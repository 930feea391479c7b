"""DeepFool: walk to the nearest border of a linear model of the decision, again and again until it is crossed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks._minimal import flat, has_norm, onto, open_rows, raised, reaches, room, rounds, tighten, tilt
from titer.attacks._ways import Ways
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.threats.change import Change
from titer.threats.random import CaseRandom

# The first part of the way that a turn goes, and what is left of it after a turn that gained nothing.
_FIRST, _LESS = 0.4, 0.4


@dataclass(frozen=True)
class DeepFool(Attack):
    """Few steps, each to the nearest linear border; a small change, seldom the smallest.

    With g_k the lead of class k over the true one and w_k its slope, r <- r + argmin over k of the smallest move with
    g_k + w_k . move = 0 inside the valid range, and the model is asked at x + (1 + overshoot) r. In L2 and without
    a range the move is |g_k| w_k / |w_k|^2. Findings, the two ends of a regression's tolerance and one logit are
    borders of the same kind. Fooled cases leave, and so do those that no longer move. What passes the limit is put
    back on it. The change found is shortened on its line at last.

    Source: Moosavi-Dezfooli, Fawzi, Frossard 2016 (arXiv 1511.04599). Different from it: moves are smallest inside the
    range and not clipped to it afterwards, hence exact on linear models; far borders are left out after the first
    linear model; the turns along the border, and the last shortening.

    Arguments
        steps: linear models per case, at most.
        overshoot: part by which the way to the border is overdone.
        candidates: nearest classes or findings that are looked at, each with a gradient of its own.
        followed: how many of them, the nearest in the first linear model, are looked at in the later ones.
        turns: how often the change found is brought nearer along its border, for two gradients and a question each.
        refine: questions for the last shortening; 0 for none.

    >>> DeepFool(overshoot=-1)
    Traceback (most recent call last):
    titer.errors.AttackError: expected overshoot of at least 0, got -1; correct 'overshoot' of deepfool
    """

    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10
    followed: int = 1
    turns: int = 1
    refine: int = 3
    name: ClassVar[str] = "deepfool"
    reference: ClassVar[str] = "Moosavi-Dezfooli, Fawzi, Frossard 2016, arXiv 1511.04599"
    minimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps, candidates=self.candidates, followed=self.followed)
        self.require(0, overshoot=self.overshoot, turns=self.turns, refine=self.refine)

    def fits(self, change: Change) -> bool:
        return has_norm(change, "linf", "l2")

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Cheapest.of(problem)
        rows = open_rows(problem, best)
        part = problem.rows(rows)
        ways, ends, params = Ways.of(part, self.candidates), room(part), part.nothing()
        total = flat(part, params)
        for step in range(min(self.steps + 1, rounds(problem, self.steps + 1 + 3 * self.turns + self.refine))):
            if not len(rows):
                break
            if step == self.steps:
                best.offer(part, params, part.scores(params), rows)
                break
            scores, values, slopes = ways.look(part, params)
            fooled = best.offer(part, params, scores, rows)
            moves, worth = reaches(part, values, slopes, flat(part, params), ends)
            move = moves[torch.arange(len(moves), device=moves.device), worth.argmax(dim=1)]
            if step == 0 and ways.count > self.followed:
                ways = ways.chosen(worth.argsort(dim=1, descending=True, stable=True)[:, : self.followed])
            total = flat(part, part.project(raised(part, total + move)))
            following = part.project(raised(part, (1 + self.overshoot) * total))
            stay = (~fooled & (following != params).flatten(1).any(dim=1)).nonzero()[:, 0]
            rows, part, ways = rows[stay], part.rows(stay), ways.rows(stay)
            params, total, ends = following[stay], total[stay], (ends[0][stay], ends[1][stay])
        share = torch.full_like(best.cost, _FIRST)
        for _ in range(self.turns):
            self._turn(problem, best, share)
        tighten(problem, best, self.refine)
        return best.params

    def _turn(self, problem: Problem, best: Cheapest, share: Float[Tensor, " n"]) -> None:
        """A part of the way to the nearest point of the linear border, and back to the border itself.

        The border is bent, so what lies near it in its linear model may not fool: one more linear move makes that good.
        Where it does not, the next turn goes a smaller part of the way.
        """
        rows = open_rows(problem, best)
        rows = rows[torch.isfinite(best.cost[rows])]
        if not len(rows) or rounds(problem, 3) < 3:
            return
        part, params, before = problem.rows(rows), best.params[rows], best.cost[rows]
        value, gradient, _ = part.slope(params, "margin")
        here, slope, ends = flat(part, params), tilt(part, gradient), room(part)
        lead = value.double() - (slope * here).sum(dim=1)
        near = onto(part, lead, slope, torch.zeros_like(here), ends).move
        middle = part.project(raised(part, here + share[rows, None] * (near - here)))
        value, gradient, scores = part.slope(middle, "margin")
        best.offer(part, middle, scores, rows)
        start = flat(part, middle)
        move = onto(part, value.double(), tilt(part, gradient), start, ends).move
        params = part.project(raised(part, start + (1 + self.overshoot) * move))
        best.offer(part, params, part.scores(params), rows)
        failed = rows[best.cost[rows] >= before]
        share[failed] *= _LESS

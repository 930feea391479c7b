"""APGD: gradient ascent that sets its step sizes itself, case by case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from titer.attacks._walks import begin, sparse
from titer.attacks.attack import Attack
from titer.attacks.losses import in_turn, loss
from titer.attacks.problem import Best, Problem
from titer.errors import AttackError
from titer.threats.random import CaseRandom

# Wider balls in which a sparse walk begins, in limits, and the share of the steps spent in each.
_WIDER = ((3.0, 0.3), (2.0, 0.3))


@dataclass(frozen=True)
class APGD(Attack):
    """Auto-PGD: a walk with momentum whose steps halve, case by case, where they no longer pay.

    The first step has twice the limit. At checkpoints, ever closer together, a case whose loss rose in fewer than 75 %
    of the steps since the last one, or found nothing better, goes back to its best place and takes half steps. With a
    limit in L1 each step moves only the steepest values, fewer as the change gets sparser, and the walk begins in
    balls of three and two limits. The best iterate of each case counts. Restarts take the losses in turn, and each
    "target" or "dlr-target" in turn is the next nearest wrong class.

    Source: Croce and Hein 2020 (arXiv 2003.01690); L1: Croce and Hein 2021 (arXiv 2103.01208). Different from both:
    the first walk starts at the clean case, so that it is never weaker than FGSM, and restarts begin uniformly in the
    ball; cases whose gradient is zero everywhere leave a walk that stands still.

    Arguments
        steps: gradient steps per restart.
        restarts: walks per case.
        losses: names from `titer.attacks.losses` ("ce", "margin", "dlr", "target", "dlr-target"), used by the restarts
            in turn.
        momentum: share of the new step in a move; the rest repeats the last move. 1 for none.
        from_clean: the first walk starts at the clean case; else it starts at random, as the others do.
        early_exit: cases leave as soon as they are fooled (same robust accuracy, weaker scores).

    >>> APGD(momentum=0.0)
    Traceback (most recent call last):
    titer.errors.AttackError: expected a momentum above 0, up to 1, got 0.0; correct 'momentum' of apgd
    """

    steps: int = 50
    restarts: int = 2
    losses: tuple[str, ...] = ("ce", "dlr")
    momentum: float = 0.75
    from_clean: bool = True
    early_exit: bool = False
    name: ClassVar[str] = "apgd"
    reference: ClassVar[str] = "Croce and Hein 2020, arXiv 2003.01690; L1: 2021, arXiv 2103.01208"

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps, restarts=self.restarts)
        if not 0 < self.momentum <= 1:
            raise AttackError("a momentum above 0, up to 1", str(self.momentum), "correct 'momentum' of apgd")
        object.__setattr__(self, "losses", tuple(self.losses))
        if not self.losses:
            raise AttackError("at least one loss for apgd", "none", "name one in 'losses', or leave it out")
        for each in self.losses:
            loss(each)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        everyone = torch.arange(len(problem), device=problem.inputs.device)
        for restart in range(self.restarts):
            rows = everyone[~best.fooled] if self.early_exit else everyone
            if not len(rows):
                break
            part = problem.rows(rows)
            known = self.from_clean and restart == 0
            start = part.nothing() if known else part.sample(rng.rows(rows), draw=restart)
            self._walk(part, start, in_turn(self.losses, restart), rows, best, known)
        return best.params

    def _walk(
        self, problem: Problem, start: Tensor, name: str, rows: Int[Tensor, " k"], best: Best, known: bool
    ) -> None:
        """One restart; `known` says that the start needs no judgement."""
        left = self.steps
        for factor, share in _WIDER if sparse(problem) else ():
            steps = int(share * self.steps)
            start = self._wide(problem.within(factor * problem.limit), start, name, steps)
            left, known = left - steps, known and not steps
        walk = begin(problem, problem.project(start), left, self.momentum)
        for step in range(left):
            value, gradient, scores = problem.slope(walk.params, name)
            if step or not known:
                best.offer(walk.params, problem.advantage(scores), rows)
            walk.see(value, gradient)
            leaves = walk.blind | best.fooled[rows] if self.early_exit else walk.blind
            if bool(leaves.any()):
                stay = (~leaves).nonzero()[:, 0]
                rows, problem = rows[stay], problem.rows(stay)
                walk.keep(stay)
                if not len(rows):
                    return
            walk.move(problem, step)
        best.offer(walk.params, problem.advantage(problem.scores(walk.params)), rows)

    def _wide(self, problem: Problem, start: Tensor, name: str, steps: int) -> Tensor:
        """The best place of a walk in a ball that is too wide to count."""
        walk = begin(problem, problem.project(start), steps, self.momentum)
        for step in range(steps):
            walk.see(*problem.slope(walk.params, name)[:2])
            walk.move(problem, step)
        return walk.best

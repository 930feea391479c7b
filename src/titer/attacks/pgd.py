"""PGD: many small steps uphill, each projected back into what the threat allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.losses import in_turn, loss
from titer.attacks.problem import Best, Problem
from titer.errors import AttackError
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient ascent with restarts, keeping the best iterate of each case.

    d <- project(d + rate * limit * steepest(gradient)), from doing nothing first and from random points of the ball
    after that. The rate shrinks evenly from 1 to 1 / steps: the first step is that of FGSM, so a walk is never weaker,
    and the last ones settle. With `reach` all rates are `reach / steps`, as in the source. With momentum m (MI-FGSM),
    the gradient is replaced by g <- m g + gradient / mean |gradient|. Restarts take the losses in turn; each "target"
    in turn is the next nearest wrong class, so that `restarts` of one less than the classes try all of them.

    Source: Madry et al. 2018 (arXiv 1706.06083); momentum: Dong et al. 2018 (arXiv 1710.06081). Different from both:
    the first walk starts at the clean case, and the best iterate is kept, not the last.

    Arguments
        steps: gradient steps per restart.
        restarts: walks per case.
        losses: names from `titer.attacks.losses` ("ce", "margin", "dlr", "target", "dlr-target"), used by the restarts
            in turn.
        reach: None for steps that shrink; a number for equal steps, then the length of a whole walk in limits.
        momentum: 0 for none.
        early_exit: cases leave as soon as they are fooled (same robust accuracy, weaker scores).

    >>> PGD(steps=0)
    Traceback (most recent call last):
    titer.errors.AttackError: expected steps of at least 1, got 0; correct 'steps' of pgd
    """

    steps: int = 20
    restarts: int = 2
    losses: tuple[str, ...] = ("ce", "margin")
    reach: float | None = None
    momentum: float = 0.0
    early_exit: bool = False
    name: ClassVar[str] = "pgd"
    reference: ClassVar[str] = "Madry et al. 2018, arXiv 1706.06083"

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps, restarts=self.restarts)
        self.require(0, momentum=self.momentum, **({} if self.reach is None else {"reach": self.reach}))
        object.__setattr__(self, "losses", tuple(self.losses))
        if not self.losses:
            raise AttackError("at least one loss for pgd", "none", "name one in 'losses', or leave it out")
        for each in self.losses:
            loss(each)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        everyone = torch.arange(len(problem), device=problem.inputs.device)
        for restart in range(self.restarts):
            rows = everyone[~best.fooled] if self.early_exit else everyone
            if len(rows):
                self._walk(problem, rng, restart, rows, best)
        return best.params

    def _walk(self, problem: Problem, rng: CaseRandom, restart: int, rows: Tensor, best: Best) -> None:
        part, noise = problem.rows(rows), rng.rows(rows)
        params = part.nothing() if restart == 0 else part.sample(noise, draw=restart)
        name = in_turn(self.losses, restart)
        velocity = torch.zeros_like(params)
        for step in range(self.steps):
            _, gradient, scores = part.slope(params, name)
            # The first look of the first walk is the clean case, which `best` starts from.
            if restart or step:
                best.offer(params, part.advantage(scores), rows)
            if self.momentum:
                size = gradient.flatten(1).abs().mean(dim=1).clamp_min(1e-30)
                velocity = self.momentum * velocity + gradient / size.reshape(-1, *([1] * (gradient.dim() - 1)))
                gradient = velocity
            if self.early_exit and bool((best.fooled[rows]).any()):
                stay = ~best.fooled[rows]
                rows, params, velocity, gradient = rows[stay], params[stay], velocity[stay], gradient[stay]
                part = problem.rows(rows)
                if not len(rows):
                    return
            params = part.project(params + part.step(gradient, self._rate(step)))
        best.offer(params, part.advantage(part.scores(params)), rows)

    def _rate(self, step: int) -> float:
        return 1 - step / self.steps if self.reach is None else self.reach / self.steps

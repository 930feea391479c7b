"""Natural corruptions: what chance does to recordings. A control, not an attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.models.model import Access
from titer.threats.change import Change, DrawnChange
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class Natural(Attack):
    """The worst of a few random corruptions at the severity that the limit names, or a single one.

    It says what to expect of noise, breath and loose contacts. That a model fails here is a weakness, but nobody's
    attack: reports list it among the controls. An attacker who picks the worst of many is `random_search`.

    Source: worst of a few draws, as Engstrom et al. 2019 (arXiv 1712.02779) take of rotations.

    Arguments
        draws: corruptions per case; of several the one that does most is kept.

    >>> Natural().control
    True
    """

    draws: int = 1
    name: ClassVar[str] = "natural"
    reference: ClassVar[str] = "control: random natural corruptions"
    needs: ClassVar[Access] = "labels"
    searches: ClassVar[type[Change]] = DrawnChange  # type: ignore[type-abstract]
    control: ClassVar[bool] = True
    iterative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.require(1, draws=self.draws)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        if self.draws == 1:
            return problem.sample(rng, 0)
        left = problem.remaining()
        best = Best.of(problem)
        rows = torch.arange(len(problem), device=problem.inputs.device)
        for draw in range(self.draws if left is None else min(self.draws, left)):
            params = problem.sample(rng, draw)
            value = problem.advantage(problem.scores(params))
            if draw == 0:
                # What happened counts, even where doing nothing would have been worse for the model.
                best.value = torch.full_like(value, -torch.inf)
            best.offer(params, value, rows)
        return best.params

"""Corner: the best of a few random corners of the ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.models.model import Access
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class Corner(Attack):
    """Jump to random corners of the ball and keep the best.

    Arguments
        tries: corners per case.
    """

    tries: int = 8
    name: ClassVar[str] = "corner"
    reference: ClassVar[str] = "an example"
    needs: ClassVar[Access] = "scores"

    def __post_init__(self) -> None:
        self.require(1, tries=self.tries)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        for attempt in range(self.tries):
            signs = rng.signs(tuple(problem.field.clean.shape[1:]), attempt, problem.field.clean.dtype)
            params = problem.project(problem.step(signs, 1.0))
            best.offer(params, problem.advantage(problem.scores(params)))
        return best.params

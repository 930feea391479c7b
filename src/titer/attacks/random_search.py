"""Random search: the best of many random changes; all that labels alone allow without a search along the border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.models.model import Access
from titer.threats.change import BallChange, Change
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class RandomSearch(Attack):
    """Independent random changes at the limit, until one fools the model.

    With an L-infinity limit every value moves to plus or minus the limit; other changes are drawn within theirs. An
    endpoint that gives labels only can be attacked with it; the result is a weak upper bound, and reports say which
    attack it came from.

    Source: the baseline of Andriushchenko et al. 2020 (arXiv 1912.00049), without their search.

    Arguments
        queries: questions per case at the most; a threat's own limit goes before it.

    >>> RandomSearch().needs
    'labels'
    """

    queries: int = 100
    name: ClassVar[str] = "random_search"
    reference: ClassVar[str] = "best of independent random changes"
    needs: ClassVar[Access] = "labels"
    searches: ClassVar[type[Change]] = Change  # type: ignore[type-abstract]

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        left = problem.remaining()
        best = Best.of(problem)
        rows = torch.arange(len(problem), device=problem.inputs.device)
        for question in range(self.queries if left is None else min(self.queries, left)):
            rows = rows[~best.fooled[rows]]
            if not len(rows):
                break
            part = problem.rows(rows)
            params = self._draw(part, rng.rows(rows), question)
            best.offer(params, part.advantage(part.scores(params)), rows)
        return best.params

    def _draw(self, problem: Problem, rng: CaseRandom, question: int) -> Tensor:
        change, clean = problem.change, problem.field.clean
        if isinstance(change, BallChange) and change.norm == "linf":
            return problem.project(problem.step(rng.signs(tuple(clean.shape[1:]), question, clean.dtype), 1.0))
        return problem.sample(rng, question)

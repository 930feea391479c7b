"""Greedy: single edits tried one by one, the best kept; all combinations where there are few enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.models.model import Access
from titer.threats.change import Change, StepwiseChange
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class Greedy(Attack):
    """Try every single edit, make the best, and go on until the model is fooled or the limit is reached.

    Where a case has so few edits that all combinations within its limit can be asked about in `queries` questions,
    they are, fewest edits first: then the result is the smallest number of edits that there is. Serves words, leads and
    every other change made of single edits; nothing but scores is needed.

    Source: the greedy search of Papernot et al. 2016 (arXiv 1604.08275) and Kuleshov et al. 2018 (openreview
    r1QZ3zbAZ), with answers in place of gradients; the exhaustive one is ours.

    Arguments
        queries: questions per case, at most; the threat's own limit holds as well.

    >>> Greedy().needs
    'scores'
    """

    queries: int = 1000
    name: ClassVar[str] = "greedy"
    reference: ClassVar[str] = "Kuleshov et al. 2018, openreview r1QZ3zbAZ"
    needs: ClassVar[Access] = "scores"
    searches: ClassVar[type[Change]] = StepwiseChange  # type: ignore[type-abstract]

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Cheapest.of(problem)
        left = problem.remaining()
        most = self.queries if left is None else min(self.queries, left)
        edits = problem.stepwise.edits(problem.field, problem.nothing())
        real = edits != problem.nothing().unsqueeze(-1)
        limit = torch.minimum(problem.limit.floor().long(), real.any(dim=-1).sum(dim=1))
        go = (best.value <= 0) & (limit > 0)
        counted = [_combinations(each, int(k), most) for each, k in zip(real, limit, strict=True)]
        few = torch.tensor([count <= most for count in counted], device=go.device)
        rows = (go & few).nonzero()[:, 0]
        if len(rows):
            self._all(problem.rows(rows), rows, limit[rows], edits[rows], real[rows], best)
        rows = (go & ~few).nonzero()[:, 0]
        if len(rows):
            self._climb(problem.rows(rows), rows, limit[rows], edits[rows], real[rows], most, best)
        return best.params

    def _all(self, problem: Problem, rows: Tensor, limit: Tensor, edits: Tensor, real: Tensor, best: Cheapest) -> None:
        """Every combination, fewest edits first; who is fooled leaves."""
        clean = problem.nothing()
        for positions, choices in _listed(int(limit.max()), edits.shape[1], edits.shape[2]):
            able = (len(positions) <= limit) & real[:, positions, choices].all(dim=1)
            able &= torch.isinf(best.cost[rows])
            asked = able.nonzero()[:, 0]
            if len(asked):
                where = torch.tensor(positions, device=clean.device)
                params = clean[asked].index_copy(1, where, edits[asked][:, positions, choices])
                part = problem.rows(asked)
                best.offer(part, params, part.scores(params), rows[asked])
            if not bool((torch.isinf(best.cost[rows]) & (len(positions) <= limit)).any()):
                return

    def _climb(
        self, problem: Problem, rows: Tensor, limit: Tensor, edits: Tensor, real: Tensor, most: int, best: Cheapest
    ) -> None:
        """One best edit after the other."""
        params = problem.nothing()
        asked = torch.zeros_like(rows)
        open_ = real.clone()
        for step in range(int(limit.max())):
            value = torch.full_like(rows, -torch.inf, dtype=torch.float64)
            chosen = torch.full_like(rows, -1)
            for place in range(edits.shape[1] * edits.shape[2]):
                position, choice = divmod(place, edits.shape[2])
                running = torch.isinf(best.cost[rows]) & (step < limit) & (asked < most)
                able = (running & open_[:, position, choice]).nonzero()[:, 0]
                if not len(able):
                    continue
                part = problem.rows(able)
                tried = _edited(params[able], position, edits[able, position, choice])
                scores = part.scores(tried)
                best.offer(part, tried, scores, rows[able])
                asked[able] += 1
                reached = part.advantage(scores)
                better = reached > value[able]
                value[able[better]], chosen[able[better]] = reached[better], place
            moved = (chosen >= 0).nonzero()[:, 0]
            if not len(moved):
                return
            where, which = chosen[moved] // edits.shape[2], chosen[moved] % edits.shape[2]
            params = params.clone()
            params[moved, where] = edits[moved, where, which]
            open_[moved, where] = False


def _edited(params: Tensor, position: int, value: Tensor) -> Tensor:
    changed = params.clone()
    changed[:, position] = value
    return changed


def _combinations(real: Bool[Tensor, "position choice"], limit: int, enough: int) -> int:
    """How many combinations of 1 to `limit` edits there are; any number above `enough` where there are more."""
    # The number of ways to take k edits is the k-th coefficient of the product of (1 + choices x) over positions.
    ways = [1] + [0] * limit
    for choices in real.sum(dim=1).tolist():
        for k in range(limit, 0, -1):
            ways[k] += ways[k - 1] * choices
        if sum(ways[1:]) > enough:
            return enough + 1
    return sum(ways[1:])


def _listed(limit: int, positions: int, choices: int) -> Iterator[tuple[list[int], list[int]]]:
    """All combinations of positions with a choice for each, fewest first."""
    for count in range(1, limit + 1):
        for where in combinations(range(positions), count):
            for which in product(range(choices), repeat=count):
                yield list(where), list(which)

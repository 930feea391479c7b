"""Grid: every setting of a change with few parameters is tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.models.model import Access
from titer.threats.change import Change, GridChange
from titer.threats.random import CaseRandom

# Points asked about a case in one question: few at first, since many cases fall at once.
_MOST = 32
# Rows in one question, so that memory does not grow with the batch.
_ROWS = 1024


@dataclass(frozen=True)
class Grid(Attack):
    """Exhaustive search over a grid of parameters that fills the limit.

    Of the settings that fool a case the one with the largest margin among those asked together is kept, otherwise the
    nearest miss. Nothing but answers is needed, and no slope can mislead it, which matters where the landscape is full
    of hills. With the defaults of `affine` the grid has 31 x 5 x 5 = 775 points, one of which does nothing.

    Source: Engstrom et al. 2019 (arXiv 1712.02779). Different from it: a fooled case leaves, unless `whole` is set.

    Arguments
        points: values per parameter; None takes the change's own numbers. Their product is the number of questions.
        mildest: go from the smallest change outward, so that the cost of a fooled case is its smallest on the grid (to
            within the points asked together); otherwise from the limit inward, which needs fewer questions.
        whole: ask about all points even where a case is fooled, for the worst setting rather than one that suffices.

    A query limit of the threat cuts the grid off.

    >>> Grid().needs
    'labels'
    """

    points: int | None = None
    mildest: bool = False
    whole: bool = False
    name: ClassVar[str] = "grid"
    reference: ClassVar[str] = "Engstrom et al. 2019, arXiv 1712.02779"
    needs: ClassVar[Access] = "labels"
    searches: ClassVar[type[Change]] = GridChange  # type: ignore[type-abstract]

    def __post_init__(self) -> None:
        if self.points is not None:
            self.require(1, points=self.points)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        nodes = problem.gridded.grid(problem.field, problem.limit, self.points)
        if self.mildest:
            nodes = nodes.flip(1)
        left = problem.remaining()
        total = nodes.shape[1] if left is None else min(nodes.shape[1], left)
        rows = torch.arange(len(problem), device=problem.inputs.device)
        start, several = 0, 1
        while start < total:
            rows = rows if self.whole else rows[~best.fooled[rows]]
            if not len(rows):
                break
            stop = min(start + several, total)
            for piece in torch.split(rows, max(1, _ROWS // several)):
                self._ask(problem, piece, nodes[piece, start:stop], best)
            start, several = stop, min(2 * several, _MOST)
        return best.params

    def _ask(self, problem: Problem, rows: Tensor, nodes: Tensor, best: Best) -> None:
        """Try several settings of each case at once and keep the best."""
        count = nodes.shape[1]
        part = problem.rows(rows.repeat_interleave(count))
        value = part.advantage(part.scores(nodes.flatten(0, 1))).reshape(-1, count)
        found, which = value.max(dim=1)
        best.offer(nodes[torch.arange(len(rows), device=rows.device), which], found, rows)

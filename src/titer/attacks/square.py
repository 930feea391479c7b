"""Square: random search with blocks of the largest allowed change; needs scores only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.errors import AttackError
from titer.models.model import Access
from titer.threats.change import Change
from titer.threats.changes.additive import Additive
from titer.threats.random import CaseRandom

# Parts of the query budget at which the size of the blocks is halved (schedule of the authors' paper, per 10,000).
_HALVED = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Square(Attack):
    """Blocks of +-limit at random places; one is kept when it brings the attacker forward.

    It begins with stripes (one sign per channel and column; per value in a table). Question i changes one block whose
    share of the values is p_i, which falls from `share` by halves on a fixed schedule: a square of a picture, a cube of
    a volume, an interval of a signal, random values of a table. A block has one sign per channel. Fooled cases ask no
    more.

    Source: Andriushchenko, Croce, Flammarion, Hein 2020 (arXiv 1912.00049), L-infinity form; intervals, cubes and
    tables are ours.

    Arguments
        queries: questions per case at the most; a threat's own limit goes before it.
        share: part of the values that the first block covers, in (0, 1].

    >>> Square(queries=100).needs
    'scores'
    """

    queries: int = 1000
    share: float = 0.8
    name: ClassVar[str] = "square"
    reference: ClassVar[str] = "Andriushchenko, Croce, Flammarion, Hein 2020, arXiv 1912.00049"
    needs: ClassVar[Access] = "scores"

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries)
        if not 0 < self.share <= 1:
            raise AttackError("a share above 0 and at most 1", str(self.share), f"correct 'share' of {self.name}")

    def fits(self, change: Change) -> bool:
        return isinstance(change, Additive) and change.norm == "linf" and change.surface == "input"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        left = problem.remaining()
        queries = self.queries if left is None else min(self.queries, left)
        best = Best.of(problem)
        rows = torch.arange(len(problem))
        for question in range(queries):
            rows = rows[~best.fooled[rows]]
            if not len(rows):
                break
            part, noise = problem.rows(rows), rng.rows(rows)
            if question == 0:
                params = self._stripes(part, noise)
            else:
                params = self._block(part, noise, best.params[rows], question, self._part(question, queries))
            best.offer(params, part.advantage(part.scores(params)), rows)
        return best.params

    def _part(self, question: int, queries: int) -> float:
        return self.share * 0.5 ** sum(question > part * queries for part in _HALVED)

    def _stripes(self, problem: Problem, rng: CaseRandom) -> Tensor:
        shape = tuple(problem.field.clean.shape[1:])
        signs = rng.signs((shape[0], *([1] * (len(shape) - 2)), *shape[-1:]) if len(shape) > 1 else shape, draw=0)
        return problem.project(problem.step(signs.to(problem.field.clean.dtype).expand(-1, *shape), 1.0))

    def _block(self, problem: Problem, rng: CaseRandom, params: Tensor, question: int, part: float) -> Tensor:
        shape = tuple(problem.field.clean.shape[1:])
        if len(shape) == 1:
            # Two streams per question: which values, and their signs.
            order = rng.uniform(shape, 2 * question).argsort(dim=1).argsort(dim=1)
            chosen = order < max(1, round(part * shape[0]))
            signs = rng.signs(shape, 2 * question + 1)
        else:
            spots = rng.uniform((len(shape) - 1,), 2 * question)
            chosen = self._inside(shape, spots, part)
            signs = rng.signs((shape[0], *([1] * (len(shape) - 1))), 2 * question + 1)
        full = problem.step(signs.to(params.dtype).expand(-1, *shape), 1.0)
        return problem.project(torch.where(chosen, full, params))

    def _inside(self, shape: tuple[int, ...], spots: Tensor, part: float) -> Tensor:
        """[n, 1, ...] whether each place lies in the block that starts at its case's spot."""
        sides = shape[1:]
        dims = len(sides)
        inside = torch.ones((len(spots), 1, *([1] * dims)), dtype=torch.bool)
        for axis, side in enumerate(sides):
            length = min(side, max(1, round(part ** (1 / dims) * side)))
            start = (spots[:, axis] * (side - length + 1)).floor()
            place = torch.arange(side)
            hit = (place >= start[:, None]) & (place < start[:, None] + length)
            inside = inside & hit.reshape(len(spots), 1, *(side if other == axis else 1 for other in range(dims)))
        return inside

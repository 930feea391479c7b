"""Square: random search by blocks, for models that show scores but no gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.attacks import _square_l2
from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.errors import AttackError
from titer.models.model import Access
from titer.threats.change import BallChange, Change
from titer.threats.changes.clinical_table import ClinicalTable
from titer.threats.random import CaseRandom

# When the blocks halve, in parts of all questions.
_HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Square(Attack):
    """Blocks of values are set anew at random, always at the full limit, and kept if that helps.

    Blocks are squares in images, cubes in volumes, intervals in signals and random features in tables; a block covers
    `share` of all places at first and half as many each time that the schedule says so. L-infinity: every value
    stands at plus or minus the limit, at first in stripes, and each channel of a block gets its own sign. L2: the total
    length stays the limit, at first in bumps side by side; a block takes over what another block has, reshaped by two
    bumps of opposite signs (tables, and every other time when blocks would have become far smaller than a
    place: some values are turned by a random amount). What is as good as before is kept
    too, so that models with steps in their scores (trees) can be crossed. Fooled cases leave. Nothing but scores is
    needed.

    Source: Andriushchenko et al. 2020 (arXiv 1912.00049), both searches with their schedule. Different from it: a
    block that would change nothing gets the opposite signs; intervals, cubes and features are ours.

    Arguments
        queries: questions per case, at most; the threat's own limit holds as well.
        share: part of all places that the first blocks cover; None: 0.8 for L-infinity, 0.1 for L2 (tables: 0.8).

    >>> Square().needs
    'scores'
    """

    queries: int = 1000
    share: float | None = None
    name: ClassVar[str] = "square"
    reference: ClassVar[str] = "Andriushchenko et al. 2020, arXiv 1912.00049"
    needs: ClassVar[Access] = "scores"

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries)
        if self.share is not None and not 0 < self.share <= 1:
            raise AttackError("a share above 0, up to 1", str(self.share), "correct 'share' of square")

    def fits(self, change: Change) -> bool:
        if isinstance(change, ClinicalTable):
            return change.norm == "linf"
        return isinstance(change, BallChange) and change.norm in ("linf", "l2") and change.surface == "input"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        left = problem.remaining()
        total = self.queries if left is None else min(self.queries, left)
        rows = (~best.fooled).nonzero()[:, 0]
        part, noise = problem.rows(rows), rng.rows(rows)
        current, value = part.nothing(), torch.full_like(rows, -torch.inf, dtype=torch.float64)
        for question in range(total):
            if not len(rows):
                break
            if question == 0:
                proposal = part.project(self._first(part, noise))
            else:
                proposal = part.project(self._next(part, noise, current, question, total))
            reached = part.advantage(part.scores(proposal))
            better = reached >= value
            current = torch.where(_column(better, current), proposal, current)
            value = torch.where(better, reached, value)
            best.offer(proposal, reached, rows)
            if bool((value > 0).any()):
                stay = (value <= 0).nonzero()[:, 0]
                rows, part, noise = rows[stay], part.rows(stay), noise.rows(stay)
                current, value = current[stay], value[stay]
        return best.params

    def _first(self, problem: Problem, rng: CaseRandom) -> Tensor:
        clean = problem.field.clean
        if getattr(problem.change, "norm", "") == "l2":
            return _square_l2.first(tuple(clean.shape[1:]), problem.limit, rng, clean.dtype) * problem.field.scale
        return self._stripes(problem, rng)

    def _next(self, problem: Problem, rng: CaseRandom, current: Tensor, draw: int, total: int) -> Tensor:
        """The current parameters with one block set anew."""
        l2 = getattr(problem.change, "norm", "") == "l2"
        share = self.share or (0.1 if l2 and current.dim() > 2 else 0.8)
        share /= 2 ** sum(draw >= moment * total for moment in _HALVINGS)
        if l2:
            scale = problem.field.scale
            return _square_l2.block(current / scale, problem.limit, rng, draw, share) * scale
        return self._block(problem, rng, current, draw, share)

    def _stripes(self, problem: Problem, rng: CaseRandom) -> Tensor:
        """The first proposal: signs that change along the last dimension only."""
        shape = tuple(problem.field.clean.shape[1:])
        if len(shape) == 2:
            # Single samples of a signal would be noise that most models filter out.
            width = max(1, shape[1] // 16)
            signs = rng.signs((shape[0], -(-shape[1] // width)), 0).repeat_interleave(width, dim=2)[:, :, : shape[1]]
        elif len(shape) == 1:
            signs = rng.signs(shape, 0)
        else:
            signs = rng.signs((shape[0], *[1] * (len(shape) - 2), shape[-1]), 0)
        return self._full(problem, signs.expand(-1, *shape))

    def _block(self, problem: Problem, rng: CaseRandom, current: Tensor, draw: int, share: float) -> Tensor:
        """One block at plus or minus the limit."""
        shape = tuple(current.shape[1:])
        places = shape[1:] or shape
        luck = rng.uniform(((len(places) if len(shape) > 1 else shape[0]) + shape[0],), draw)
        signs = torch.where(luck[:, -shape[0] :] < 0.5, -1.0, 1.0).reshape(-1, shape[0], *[1] * (len(shape) - 1))
        inside = _cube(luck, places, share) if len(shape) > 1 else _features(luck[:, : shape[0]], share)
        target = self._full(problem, signs.expand(-1, *shape))
        proposal = torch.where(inside, target, current)
        idle = (problem.project(proposal) == current).flatten(1).all(dim=1)
        return torch.where(_column(idle, current) & inside, -target, proposal)

    def _full(self, problem: Problem, signs: Tensor) -> Tensor:
        """These signs at the full limit."""
        return problem.step(signs.to(problem.field.clean.dtype), 1.0)


def _features(luck: Float[Tensor, "n d"], share: float) -> Bool[Tensor, "n d"]:
    """Random features, a share of all, at least one."""
    chosen = max(1, round(share * luck.shape[1]))
    order = luck.argsort(dim=1, stable=True)
    return torch.zeros_like(order, dtype=torch.bool).scatter_(1, order[:, :chosen], True)


def _cube(luck: Float[Tensor, "n k"], places: tuple[int, ...], share: float) -> Bool[Tensor, "n ..."]:
    """A random interval, square or cube (of the proportions of a case) that covers a share of all places."""
    edge = share ** (1 / len(places))
    inside = torch.ones((len(luck), 1, *[1] * len(places)), dtype=torch.bool, device=luck.device)
    for axis, length in enumerate(places):
        side = max(1, round(edge * length))
        start = (luck[:, axis] * (length - side + 1)).floor()[:, None]
        along = torch.arange(length, device=luck.device)
        covered = (along >= start) & (along < start + side)
        inside = inside & covered.reshape(-1, 1, *[length if other == axis else 1 for other in range(len(places))])
    return inside


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *([1] * (like.dim() - 1)))

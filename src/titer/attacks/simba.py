"""SimBA: one direction at a time, forth or back, kept if the scores move the right way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.attacks._purse import Purse, column
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.models.model import Access
from titer.threats.change import BallChange, Change
from titer.threats.random import CaseRandom

Basis = Literal["values", "dct"]


@dataclass(frozen=True)
class SimBA(Attack):
    """Steps along the directions of an orthonormal basis in random order, each kept if the margin grows.

    d' = project(d + e q), then project(d - e q) if the first was no better; q is one direction, e the step. Directions
    are single values, or cosine waves of one channel (plane waves of images, standing waves of signals, volumes alike;
    tables have values only). Waves begin with the lowest `share` of frequencies of each axis; when all of these were
    tried, the share doubles, up to all. After a round through the whole basis in which less than a quarter of the
    directions helped, the step of the case is halved, which lets the search settle. Fooled cases leave.

    Source: Guo et al. 2019 (arXiv 1905.07121). Different from it: the threat's limit is kept by projection instead of
    the number of steps; the margin instead of a probability; later rounds with smaller steps, where the source has one
    round.

    Arguments
        queries: questions per case at the most; the threat's own limit holds as well.
        basis: "values" or "dct".
        step: length of a first step in parts of the limit; None: 1 for L-infinity, 0.2 for L2.
        share: part of the frequencies of each axis that "dct" begins with.

    Refuses another basis, a step or share of 0, and a share above 1.

    >>> SimBA(basis="dct").needs
    'scores'
    """

    queries: int = 1000
    basis: Basis = "values"
    step: float | None = None
    share: float = 0.25
    name: ClassVar[str] = "simba"
    reference: ClassVar[str] = "Guo et al. 2019, arXiv 1905.07121"
    needs: ClassVar[Access] = "scores"

    def __post_init__(self) -> None:
        self.require(1, queries=self.queries)
        if self.basis not in ("values", "dct"):
            raise AttackError("a basis among values, dct", repr(self.basis), "correct 'basis' of simba")
        if self.step is not None:
            self.require(1e-6, step=self.step)
        if not 0 < self.share <= 1:
            raise AttackError("a share above 0, up to 1", str(self.share), "correct 'share' of simba")

    def fits(self, change: Change) -> bool:
        return isinstance(change, BallChange) and change.norm in ("linf", "l2") and change.surface == "input"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        purse = Purse.of(problem, self.queries)
        shape = tuple(problem.field.clean.shape[1:])
        walk = _Walk(purse, purse.best.params, purse.best.value)
        stuck = torch.zeros_like(purse.best.value, dtype=torch.bool)
        size = torch.full_like(purse.best.value, self._length(problem.change), dtype=torch.float64)
        turn = 0
        while bool((~stuck[purse.able()]).any()):
            counts = self._counts(shape, turn)
            # Draws are numbered by turn; each case goes through the directions in an order of its own.
            order = rng.uniform((math.prod(counts),), turn).argsort(dim=1, stable=True)
            before, helped = purse.left, torch.zeros_like(size, dtype=torch.float32)
            for place in range(order.shape[1]):
                rows = purse.able()
                rows = rows[~stuck[rows]]
                if not len(rows):
                    break
                wave = self._direction(problem, rows, order[rows, place], counts)
                step = column(size[rows], wave) * wave
                # Whoever went forth with success does not go back.
                failed = walk.try_(rows, step)
                back = failed & (purse.left[rows] > 0)
                failed[back] = walk.try_(rows[back], -step[back])
                helped[rows] += (~failed).float()
            if counts == shape:
                stuck |= before == purse.left
                size = torch.where(helped < 0.25 * order.shape[1], size / 2, size)
            turn += 1
        return purse.best.params

    def _length(self, change: Change) -> float:
        return self.step if self.step is not None else 1.0 if getattr(change, "norm", "") == "linf" else 0.2

    def _counts(self, shape: tuple[int, ...], turn: int) -> tuple[int, ...]:
        """How many directions along each dimension; all but the first hold frequencies."""
        if self.basis == "values" or len(shape) == 1:
            return shape
        share = min(1.0, self.share * 2**turn)
        return (shape[0], *(math.ceil(share * length) for length in shape[1:]))

    def _direction(self, problem: Problem, rows: Tensor, number: Int[Tensor, " m"], counts: tuple[int, ...]) -> Tensor:
        """The directions with these numbers, as long as the limit."""
        field = problem.field.rows(rows)
        shape = tuple(field.clean.shape[1:])
        wave = torch.ones((), dtype=torch.float64, device=rows.device)
        for axis in range(len(shape) - 1, -1, -1):
            number, place = number // counts[axis], number % counts[axis]
            lines = self._lines(shape[axis], axis, getattr(problem.change, "norm", ""), place.device)[place]
            wave = wave * lines.reshape(len(rows), *[shape[a] if a == axis else 1 for a in range(len(shape))])
        return field.allow(column(problem.limit[rows], field.clean) * field.scale * wave.to(field.clean.dtype))

    def _lines(self, length: int, axis: int, norm: str, device: torch.device) -> Float[Tensor, "k k"]:
        """What one dimension adds to a direction: one place, or a cosine of length 1 (L-infinity: of height 1)."""
        if self.basis == "values" or axis == 0:
            return torch.eye(length, dtype=torch.float64, device=device)
        lines = _cosines(length, device)
        return lines / lines.abs().amax(dim=1, keepdim=True) if norm == "linf" else lines


@dataclass(eq=False)
class _Walk:
    """Where each case stands, and what that is worth."""

    purse: Purse
    params: Tensor
    value: Float[Tensor, " n"]

    def try_(self, rows: Int[Tensor, " m"], step: Tensor) -> Bool[Tensor, " m"]:
        """Ask about one step, take it where it helps, and tell where it did not; no question where it moves nothing."""
        proposal = self.purse.problem.rows(rows).project(self.params[rows] + step)
        moved = (proposal != self.params[rows]).flatten(1).any(dim=1)
        asked, proposal = rows[moved], proposal[moved]
        reached, _ = self.purse.offer(asked, proposal)
        better = reached > self.value[asked]
        self.params = self.params.index_copy(0, asked[better], proposal[better])
        self.value = self.value.index_copy(0, asked[better], reached[better])
        failed = torch.ones_like(rows, dtype=torch.bool)
        failed[moved] = ~better
        return failed


@lru_cache(maxsize=32)
def _cosines(length: int, device: torch.device | None = None) -> Float[Tensor, "k k"]:
    """The orthonormal cosines of the discrete cosine transform, one per row, by rising frequency."""
    places = torch.arange(length, dtype=torch.float64)
    waves = torch.cos(torch.pi * (places + 0.5) * places[:, None] / length)
    return (waves / waves.square().sum(dim=1, keepdim=True).sqrt()).to(device=device)

"""The border between right and wrong, as an attacker who sees labels finds it: starts, blends, bisection.

Everything happens for all cases in lockstep; each case has its own purse, and drops out when that is empty or when
what it holds keeps the limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.attacks._purse import Purse, column
from titer.attacks.problem import Problem
from titer.cases.case import Array
from titer.errors import AttackError
from titer.threats.change import BallChange, Field
from titer.threats.random import CaseRandom

# Bisection ends where float32 cannot halve any further.
_FINEST = 1e-6


@dataclass(eq=False)
class Border:
    """For each case the nearest parameters known to fool, whatever the limit, and where its walk stands.

    Arguments
        purse: questions and the best inside the limit.
        params, cost: the nearest that fool; infinitely far where none are known.
        here, far: the nearest that fool of the present walk, and their cost; infinitely far where none is under way.
        right: cases that the model decides right as they are.
        closest: whether cases go on after the limit is kept, to come as near as their questions allow.
    """

    purse: Purse
    params: Tensor
    cost: Float[Tensor, " n"]
    here: Tensor
    far: Float[Tensor, " n"]
    right: Bool[Tensor, " n"]
    closest: bool

    @classmethod
    def of(cls, problem: Problem, queries: int, closest: bool) -> Border:
        cost = torch.full((len(problem),), torch.inf, dtype=torch.float64, device=problem.inputs.device)
        right = problem.advantage(problem.clean) <= 0
        nothing = problem.nothing()
        return cls(Purse.of(problem, queries), nothing, cost, nothing, cost, right, closest)

    @property
    def change(self) -> BallChange:
        change = self.purse.problem.change
        if not isinstance(change, BallChange):
            raise AttackError("an additive change", f"{change.name!r}", "use another attack for this change")
        return change

    def able(self, questions: int = 1) -> Int[Tensor, " m"]:
        """The cases whose walk can pay for so many questions, and still has to."""
        return (torch.isfinite(self.far) & self._wanting(questions)).nonzero()[:, 0]

    def look(self, rows: Int[Tensor, " m"], params: Tensor) -> Bool[Tensor, " m"]:
        """Whether these parameters fool; what is nearer than all before is kept, and the walk goes there."""
        value, cost = self.purse.offer(rows, params)
        fooled = value > 0
        nearer = fooled & (cost < self.cost[rows])
        self.params = self.params.index_copy(0, rows[nearer], params[nearer])
        self.cost = self.cost.index_copy(0, rows[nearer], cost[nearer])
        onward = fooled & (cost < self.far[rows])
        self.here = self.here.index_copy(0, rows[onward], params[onward])
        self.far = self.far.index_copy(0, rows[onward], cost[onward])
        return fooled

    def leave(self, rows: Int[Tensor, " m"]) -> None:
        """End the walks of these cases; what was found is kept."""
        self.far = self.far.index_fill(0, rows, torch.inf)

    def start(self, rng: CaseRandom, given: Sequence[Array], tries: int, turn: int = 0) -> None:
        """A walk for every case without: from the nearest of the given cases, or from noise of ever other grain.

        A case for which all of them are decided as they should be gives up.
        """
        problem = self.purse.problem
        everyone = torch.arange(len(problem), device=problem.inputs.device)
        offers = [self._toward(everyone, torch.from_numpy(each)) for each in given]
        if offers:
            order = torch.stack([self.purse.cost(everyone, each) for each in offers], dim=1).argsort(dim=1, stable=True)
        for number in range(len(offers) + tries):
            rows = (torch.isinf(self.far) & self._wanting(1)).nonzero()[:, 0]
            if not len(rows):
                return
            if number < len(offers):
                self.look(rows, torch.stack(offers)[order[rows, number], rows])
            else:
                kind = number - len(offers)
                noise = _noise(problem.field.rows(rows), rng.rows(rows), kind + turn, (turn << 20) + kind)
                self.look(rows, self._toward(rows, noise))
        self.right = self.right & torch.isfinite(self.far)

    def bisect(self, rows: Int[Tensor, " m"], params: Tensor, tolerance: float) -> None:
        """From parameters that fool toward doing nothing, until the border is known to a part of the distance."""
        size = self.purse.cost(rows, params)
        # Nearer than this part something is right, further than that part something fools.
        low, high = torch.zeros_like(size), torch.ones_like(size)
        # Only the limit matters, so it is asked about first.
        middle = (low + high) / 2
        if not self.closest:
            at_limit = self.purse.problem.limit[rows].double() / size.clamp_min(1e-300)
            middle = torch.where((at_limit > 0) & (at_limit < 1), at_limit, middle)
        while True:
            going = (high - low > max(tolerance, _FINEST) * high) & self._wanting(1)[rows]
            if not bool(going.any()):
                return
            who = going.nonzero()[:, 0]
            fooled = self.look(rows[who], self.blend(rows[who], params[who], size[who], middle[who]))
            high = high.index_copy(0, who[fooled], middle[who[fooled]])
            low = low.index_copy(0, who[~fooled], middle[who[~fooled]])
            middle = (low + high) / 2

    def blend(self, rows: Int[Tensor, " m"], params: Tensor, size: Tensor, share: Tensor) -> Tensor:
        """Parameters at this share of the cost: scaled (L2), or cut off there (L-infinity)."""
        if self.change.norm == "l2":
            return params * column(share, params)
        bound = column(share * size, params) * self.purse.problem.field.scale
        return torch.clamp(params, -bound, bound)

    def fitted(self, rows: Int[Tensor, " m"], params: Tensor) -> Tensor:
        """The nearest parameters that keep mask and range, at any cost."""
        free = params.new_full((len(rows),), torch.inf)
        return self.change.project(self.purse.problem.field.rows(rows), params, free)

    def found(self) -> Tensor:
        """The nearest that fools where the limit allows it, otherwise the best inside the limit."""
        kept = self._kept().reshape(-1, *[1] * (self.params.dim() - 1))
        return torch.where(kept, self.params, self.purse.best.params)

    def _wanting(self, questions: int) -> Bool[Tensor, " n"]:
        wanting = self.right & (self.purse.left >= questions)
        return wanting if self.closest else wanting & ~self._kept()

    def _kept(self) -> Bool[Tensor, " n"]:
        """Whether what fools keeps the limit."""
        return self.cost <= self.purse.limit(torch.arange(len(self.cost), device=self.cost.device))

    def _toward(self, rows: Int[Tensor, " m"], values: Tensor) -> Tensor:
        """Parameters that turn a case into these values, as far as mask and range let it."""
        clean = self.purse.problem.field.clean[rows]
        return self.fitted(rows, values.to(clean) - clean)


def read_starts(starts: Sequence[Any], name: str) -> tuple[Array, ...]:
    """Cases handed in as starting points, as arrays of numbers."""
    made = tuple(np.asarray(each, dtype=np.float64) for each in starts)
    if any(not np.isfinite(each).all() for each in made):
        raise AttackError("finite numbers in 'starts'", "NaN or infinity", f"repair the starting points of {name}")
    return made


def check_starts(starts: Sequence[Array], problem: Problem, name: str) -> None:
    """Refuse starting points of another shape than the cases."""
    shape = tuple(problem.field.clean.shape[1:])
    for each in starts:
        if each.shape != shape:
            raise AttackError(
                f"starting points of shape {list(shape)} for {name}", str(list(each.shape)), "correct 'starts'"
            )


def _noise(field: Field, rng: CaseRandom, kind: int, draw: int) -> Tensor:
    """Cases of noise over the whole range: even kinds anywhere in it, odd ones at its ends; grains double in turn.

    Fine noise looks the same to many models, whatever its seed; coarse noise does not.
    """
    shape = tuple(field.clean.shape[1:])
    places = shape[1:]
    levels = 1 + (math.ceil(math.log2(max(places))) if places else 0)
    grain = 2 ** ((kind // 2) % levels)
    luck = rng.uniform((shape[0], *(-(-length // grain) for length in places)), draw, field.clean.dtype)
    if kind % 2:
        luck = luck.round()
    for axis, length in enumerate(places, start=2):
        luck = luck.repeat_interleave(grain, dim=axis).narrow(axis, 0, length)
    if field.low is None or field.high is None:
        raise AttackError(
            "a valid range to draw starting points from", "values without an end", "give the space a range"
        )
    return field.low + luck * (field.high - field.low)

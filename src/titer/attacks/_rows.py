"""Where each case sits in a question, so that its answer has the same bits whatever stands beside it.

A row of a matrix product, or of an elementwise function, can differ in its last bit with its place in the batch: the
last rows take another path through the code than full blocks do, and rows that do not start on the borders of
memory lines are summed up in another order. So a question always has a multiple of a block of rows, filled up with
its first case, and, where the widths of a model's layers can shift memory borders, each case keeps its lane: its
place modulo four, which follows from its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from titer.cases.space import Space
from titer.models.model import Model
from titer.threats.random import CaseRandom

_LANES = 4
# Values from which a case is large, and how many cases of that size make a block.
_LARGE = ((16_384, 4), (1_024, 8))


def block(space: Space | None = None) -> int:
    """Rows that leave no rest: torch adds up columns in strips of four vectors of 8 (16 with AVX-512) numbers.

    Pictures and volumes of some size are asked about in blocks of a few rows, always as many, so that what lies
    between two layers stays cached, and a few cases that still stand cost no more than they must.
    """
    if space is not None and space.kind in ("image", "volume"):
        for size, few in _LARGE:
            if space.size >= size:
                return few
    return 64 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 32


def lanes(model: Model, ids: Sequence[str]) -> Int[Tensor, " n"] | None:
    """The lane of each case, -1 where any will do; None for a remote model, and for one on a graphics card.

    A remote model is asked about each case once and never about fillers, since each row is a question that counts. A
    model that asks row by row needs none. On a graphics card filled-up questions are not enough for equal bits.
    """
    return lanes_of(model, CaseRandom.of("lane", ids).to(model.device))


def lanes_of(model: Model, rng: CaseRandom) -> Int[Tensor, " n"] | None:
    """The same from random numbers of the cases, for a model that an attack asks beside the target."""
    if getattr(model, "remote", False) or getattr(model, "rowwise", False) or rng.keys.device.type != "cpu":
        return None
    if _even(model):
        return torch.full((len(rng),), -1, device=rng.keys.device)
    return rng.keys[:, 0] % _LANES


@dataclass(frozen=True, eq=False)
class Seating:
    """Rows of a question: `source[i]` is the case in row i, `place[j]` the row of case j."""

    source: Int[Tensor, " rows"]
    place: Int[Tensor, " n"]

    @classmethod
    def of(cls, lane: Int[Tensor, " n"], rows_of_a_block: int | None = None) -> Seating | None:
        """The seats of cases with these lanes; None if they fill whole blocks in their order."""
        together = rows_of_a_block or block()
        numbers = torch.arange(len(lane), device=lane.device)
        if bool((lane < 0).all()):
            place = numbers
        else:
            order = lane.argsort(stable=True)
            counts = torch.bincount(lane, minlength=_LANES)
            starts = counts.cumsum(0) - counts
            rank = torch.empty_like(lane).index_copy(0, order, numbers - starts[lane[order]])
            place = rank * _LANES + lane
        rows = -(-(int(place.max()) + 1) // together) * together
        if rows == len(lane):
            return None
        return cls(numbers.new_zeros(rows).index_copy(0, place, numbers), place)

    def spread(self, values: Tensor) -> Tensor:
        """Values of cases [n, ...] as values of rows; gradients flow through the cases' own rows only."""
        return values.detach()[self.source].index_copy(0, self.place.to(values.device), values)

    def gather(self, values: Tensor) -> Tensor:
        """Values of rows as values of cases."""
        return values[self.place]


def _even(model: Model) -> bool:
    """Whether all matrices of a torch model are so wide that rows keep to the borders of memory lines."""
    module = getattr(model, "module", None)
    if not isinstance(module, torch.nn.Module):
        return False
    weights = list(module.parameters())
    return bool(weights) and all(weight.shape[1] % _LANES == 0 for weight in weights if weight.dim() == 2)

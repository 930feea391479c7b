"""Dials: what changes of few numbers per case have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Field, GridChange, Nature, SmoothChange
from titer.threats.random import CaseRandom

# More could neither be asked nor held in memory.
_MOST_POINTS = 100_000
PICTURES: tuple[Kind, ...] = ("image", "volume")


@dataclass(frozen=True)
class Dial:
    """One thing that can be set.

    Arguments
        deed: what it does within a limit, "turn the picture by at most {}".
        unit: unit of that limit.
        whole: the limit, in that unit, at which a parameter of 1 stands.
        count: how many parameters it has.
        points: values of each of them on a grid.
        name: the setting that gives its range, if it is one of several.
    """

    deed: str
    unit: str
    whole: float
    count: int = 1
    points: int = 5
    name: str = ""

    def words(self) -> str:
        """The deed at its whole range."""
        return self.deed.format(f"{self.whole:g} {self.unit}")


class DialChange(SmoothChange):
    """A change with a few parameters per case, [n, p], each between plus and minus the limit.

    With one dial the limit has the dial's own unit (15 degrees). With several, it is a share of all their ranges: 1
    allows each its whole range, 0.5 half of it, and 2 twice as much. Parameters are shares of the whole range. A case
    whose parameters are all 0 keeps its very bits, and nothing leaves the valid range.
    """

    nature: ClassVar[Nature] = "semantic"
    # Whether parameters below 0 mean anything.
    two_sided = True
    # Whether single values can be left as they are.
    local = True

    @abstractmethod
    def dials(self) -> tuple[Dial, ...]:
        """The dials that can move, in the order of their parameters."""

    @abstractmethod
    def turned(self, field: Field, params: Tensor) -> Tensor:
        """Changed cases, before what must not move is put back."""

    @property
    def single(self) -> bool:
        """Whether one dial alone moves, so that the limit has its unit."""
        return len(self.dials()) == 1

    def parameters(self, field: Field) -> int:
        """Parameters per case."""
        return sum(dial.count for dial in self.dials())

    @property
    def variant(self) -> str:
        return self.dials()[0].name if self.single else ""

    def unit(self, space: Space) -> str:
        return self.dials()[0].unit if self.single else "of the ranges"

    def check(self, field: Field) -> None:
        if not all(bool(torch.isfinite(end).all()) for end in ends(field)):
            raise ThreatError(f"a finite range for {self.name!r}", "values without an end", "give the space a range")
        if field.mask is not None and not self.local:
            raise ThreatError(
                f"'where' of 'all' for {self.name!r}, which moves the whole picture",
                "a mask",
                "leave 'where' out, or use 'additive'",
            )

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros(len(field), self.parameters(field), dtype=field.clean.dtype, device=field.clean.device)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        changed = field.clip(self.turned(field, params))
        if field.mask is not None:
            changed = torch.where(field.mask != 0, changed, field.clean)
        still = (params == 0).all(dim=1)
        if not bool(still.any()):
            return changed
        # Rounding must not move what stands still; the slope is that of the change all the same.
        return torch.where(column(still, changed), field.clean + (changed - changed.detach()), changed)

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return params.abs().amax(dim=1) * self._whole

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        return super().valid(field, params) if self.two_sided else (params >= 0).all(dim=1)

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        end = self.end(limit).unsqueeze(1)
        return torch.clamp(params, -end if self.two_sided else torch.zeros_like(end), end)

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        return gradient.sign() / self._whole

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        chance = rng.uniform((self.parameters(field),), draw, field.clean.dtype)
        return (2 * chance - 1 if self.two_sided else chance) * self.end(limit).unsqueeze(1)

    def end(self, limit: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The largest parameter within each case's limit."""
        return limit / self._whole

    def sentence(self, limit: str) -> str:
        dials = self.dials()
        if self.single:
            return dials[0].deed.format(limit)
        return f"{', '.join(dial.words() for dial in dials[:-1])} and {dials[-1].words()}, using at most {limit}"

    @property
    def _whole(self) -> float:
        return self.dials()[0].whole if self.single else 1.0


class FewDials(DialChange, GridChange):
    """A change with so few dials that a grid over them can be tried."""

    def grid(self, field: Field, limit: Float[Tensor, " n"], points: int | None) -> Float[Tensor, "n point parameter"]:
        lines = [
            self._line(dial.points if points is None else points) for dial in self.dials() for _ in range(dial.count)
        ]
        count = math.prod(len(line) for line in lines)
        if count > _MOST_POINTS:
            raise ThreatError(f"a grid of at most {_MOST_POINTS:,} points", f"{count:,}", "lower 'points'")
        nodes = torch.cartesian_prod(*lines).reshape(-1, len(lines))
        size = nodes.abs().amax(dim=1)
        nodes = nodes[size.argsort(descending=True, stable=True)][: int((size > 0).sum())]
        return nodes.to(field.clean) * self.end(limit).to(field.clean).reshape(-1, 1, 1)

    def _line(self, points: int) -> Tensor:
        if points == 1:
            return torch.ones(1, dtype=torch.float64)
        # Whole numbers first, so that the middle is exactly 0.
        steps = torch.arange(points, dtype=torch.float64)
        return (2 * steps - (points - 1)) / (points - 1) if self.two_sided else steps / (points - 1)


def column(values: Tensor, like: Tensor) -> Tensor:
    """Values [n] shaped to broadcast against [n, ...]."""
    return values.reshape(-1, *([1] * (like.dim() - 1)))


def ends(field: Field) -> tuple[Tensor, Tensor]:
    """The lowest and the highest valid value, broadcastable to cases."""
    if field.low is None or field.high is None:
        raise ThreatError("a range of valid values", "none", "give the space a range")
    return field.low, field.high


def factor(share: Tensor) -> Tensor:
    """1 + share upward and 1 / (1 - share) downward, so that 0.2 and -0.2 undo each other; smooth at 0.

    >>> factor(torch.tensor([0.25, 0.0, -0.25])).tolist()
    [1.25, 1.0, 0.800000011920929]
    """
    return torch.where(share >= 0, 1 + share.clamp_min(0), 1 / (1 - share.clamp_max(0)))


def ranges(change: object, **settings: float) -> None:
    """Refuse ranges that are no numbers of 0 or more, or all 0."""
    for label, value in settings.items():
        if not 0 <= value < float("inf"):
            raise ThreatError(f"{label!r} of 0 or more", str(value), f"correct {label!r}")
    if not any(settings.values()):
        names = ", ".join(settings)
        raise ThreatError(f"at least one of {names} above 0", "none", f"give {type(change).__name__} a range")

"""The constraints that a table can be under: small frozen objects that judge rows and can be read aloud."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.errors import ThreatError
from titer.threats.constraints.expression import Comparison, names, picked, place, read, size, value

# A value counts as a multiple of its step if it is off by no more than this part of the step.
_STEP = 1e-4


class Constraint(ABC):
    """What must stay true of a row; `clean` is the row before the attack."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Names of the features it speaks of."""

    @abstractmethod
    def holds(
        self, clean: Float[Tensor, "n d"], rows: Float[Tensor, "n d"], known: Sequence[str]
    ) -> Bool[Tensor, " n"]:
        """Whether each row keeps it."""

    @abstractmethod
    def sentence(self) -> str:
        """The constraint in words, after 'keeping'."""

    def ends(self, clean: Float[Tensor, " n"]) -> tuple[Tensor | float, Tensor | float]:
        """Lowest and highest value of one of its features whose clean values these are, other features aside."""
        return -math.inf, math.inf

    def columns(self, rows: Tensor, known: Sequence[str]) -> Tensor:
        """[n, k] the values of its features."""
        return rows[:, [place(name, known) for name in self.features]]


@dataclass(frozen=True)
class Immutable(Constraint):
    """Features that no attacker can change: age, sex, a diagnosis on record."""

    features: tuple[str, ...] = ()

    def holds(self, clean: Tensor, rows: Tensor, known: Sequence[str]) -> Tensor:
        return (self.columns(clean, known) == self.columns(rows, known)).all(dim=1)

    def ends(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        return clean, clean

    def sentence(self) -> str:
        return f"{_listed(self.features)} as recorded"


@dataclass(frozen=True)
class Steps(Constraint):
    """A feature that takes multiples of a step only: 1 for whole numbers, 0.5 for half tablets."""

    feature: str
    step: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0):
            raise ThreatError(f"a step above 0 for {self.feature!r}", str(self.step), "correct 'steps'")

    @property
    def features(self) -> tuple[str, ...]:
        return (self.feature,)

    def holds(self, clean: Tensor, rows: Tensor, known: Sequence[str]) -> Tensor:
        counted = self.columns(rows, known).double() / self.step
        return ((counted - counted.round()).abs() <= _STEP).all(dim=1)

    def sentence(self) -> str:
        return f"{self.feature} a whole number" if self.step == 1 else f"{self.feature} a multiple of {self.step:g}"


@dataclass(frozen=True)
class Range(Constraint):
    """A feature with a narrower range than its device has: what is plausible for these patients."""

    feature: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ThreatError(f"a range of {self.feature!r} from low to high", f"{self.low} to {self.high}", "swap it")

    @property
    def features(self) -> tuple[str, ...]:
        return (self.feature,)

    def holds(self, clean: Tensor, rows: Tensor, known: Sequence[str]) -> Tensor:
        slack = 1e-6 * (self.high - self.low if math.isfinite(self.high - self.low) else 1.0)
        found = self.columns(rows, known).double()
        return ((found >= self.low - slack) & (found <= self.high + slack)).all(dim=1)

    def ends(self, clean: Tensor) -> tuple[float, float]:
        return self.low, self.high

    def sentence(self) -> str:
        return f"{self.feature} within {self.low:g} and {self.high:g}"


@dataclass(frozen=True)
class Direction(Constraint):
    """A feature that may only rise, or only fall: an age, a cumulative dose, a count of past events."""

    feature: str
    rises: bool

    @property
    def features(self) -> tuple[str, ...]:
        return (self.feature,)

    def holds(self, clean: Tensor, rows: Tensor, known: Sequence[str]) -> Tensor:
        moved = self.columns(rows, known) - self.columns(clean, known)
        return ((moved >= 0) if self.rises else (moved <= 0)).all(dim=1)

    def ends(self, clean: Tensor) -> tuple[Tensor | float, Tensor | float]:
        return (clean, math.inf) if self.rises else (-math.inf, clean)

    def sentence(self) -> str:
        return f"{self.feature} from {'falling' if self.rises else 'rising'}"


@dataclass(frozen=True)
class OneOf(Constraint):
    """A category written as several features, of which exactly one is 1 and the others are 0."""

    category: str
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.features)) < 2 or len(set(self.features)) < len(self.features):
            raise ThreatError(
                f"two different features or more for the category {self.category!r}",
                str(list(self.features)),
                "correct 'one_of'",
            )

    def holds(self, clean: Tensor, rows: Tensor, known: Sequence[str]) -> Tensor:
        found = self.columns(rows, known)
        return ((found == 0) | (found == 1)).all(dim=1) & (found.sum(dim=1) == 1)

    def ends(self, clean: Tensor) -> tuple[float, float]:
        return 0.0, 1.0

    def sentence(self) -> str:
        return f"one category of {self.category}"


@dataclass(frozen=True)
class Relation(Constraint):
    """Two expressions over features that stand in <=, >= or = to each other.

    Arguments
        text: such as 'diastolic <= systolic', 'total = a + b', 'bmi = weight / (height * height)'.
        tolerance: how far apart the sides may be, as a part of the size of their terms.

    >>> rows = torch.tensor([[120.0, 80.0], [80.0, 120.0]])
    >>> Relation("diastolic <= systolic").holds(rows, rows, ("systolic", "diastolic")).tolist()
    [True, False]
    """

    text: str
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if not self.features:
            raise ThreatError("a relation between features", repr(self.text), "name a feature, or leave it out")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ThreatError("a tolerance of 0 or more", str(self.tolerance), "correct 'tolerance'")

    @cached_property
    def comparison(self) -> Comparison:
        """What the text says."""
        return read(self.text)

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names(self.comparison.left) + names(self.comparison.right)))

    def holds(self, clean: Tensor, rows: Tensor, known: Sequence[str]) -> Tensor:
        column, asked = picked(rows.double(), known), self.comparison
        gap = torch.as_tensor(value(asked.left, column) - value(asked.right, column), device=rows.device)
        slack = self.tolerance * (size(asked.left, column) + size(asked.right, column))
        # A division by 0 breaks the relation, whatever it says.
        finite = torch.isfinite(gap)
        below, above = (gap <= slack) & finite, (gap >= -slack) & finite
        return {"<=": below, ">=": above, "=": below & above}[asked.sign].expand(len(rows))

    def sentence(self) -> str:
        return self.text


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

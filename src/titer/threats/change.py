"""Change: a family of modifications, addressed by parameters.

A change says what doing nothing is, how parameters turn a clean case into a perturbed one, and what that costs.
A smooth change adds what gradient attacks need (`project`, `steepest`, `sample`), a stepwise change what search
attacks need (`edits`). A smooth change held to a ball of a norm tells its `norm` and the `ends` of its parameters, one
of few parameters offers a `grid` over them; a drawn change can only be drawn. A change never knows the model, and never
decides whether an attack succeeded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.threats.random import CaseRandom

Norm = Literal["linf", "l2", "l1", "l0"]
Nature = Literal["values", "semantic", "placed", "natural"]


@dataclass(frozen=True, eq=False)
class Field:
    """What a change may act on: clean values with the borders they must keep.

    Arguments
        clean: [n, *shape] values on the surface of the change (inputs, or embedded notes).
        low, high: valid range, broadcastable to `clean`; None where there is none (embeddings).
        scale: what one unit of limit means for each value, broadcastable to `clean`.
        mask: 1 where the attacker may change something, 0 elsewhere; broadcastable, with a first dimension of n or 1;
            None means everywhere.
        choices: for tokens: [V, C] token numbers that may replace each word, padded with the word itself.
        rate: samples per second of a signal, if known.
        spacing: millimeters per pixel or voxel in the order of the spatial dimensions, if known.
        names: names of the channels or features, if known.
    """

    clean: Shaped[Tensor, "n ..."]
    low: Tensor | None
    high: Tensor | None
    scale: Tensor
    mask: Tensor | None = None
    choices: Tensor | None = None
    rate: float | None = None
    spacing: tuple[float, ...] | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clean)

    def rows(self, index: Tensor) -> Field:
        """The cases at these row numbers."""
        mask = self.mask if self.mask is None or len(self.mask) == 1 else self.mask[index]
        return replace(self, clean=self.clean[index], mask=mask)

    def clip(self, values: Tensor) -> Tensor:
        """Values moved into the valid range."""
        if self.low is None or self.high is None:
            return values
        # Unlike minimum and maximum, clamp passes the whole gradient at the border itself.
        return torch.clamp(values, self.low, self.high)

    def room(self) -> tuple[Tensor, Tensor]:
        """The furthest that each value may move down (0 or less) and up (0 or more); infinite without a range."""
        return self._room

    @cached_property
    def _room(self) -> tuple[Tensor, Tensor]:
        # Asked for at every step, and the same at each.
        if self.low is None or self.high is None:
            far = torch.full_like(self.clean, float("inf"))
            return -far, far
        # A clean value outside the range by a rounding error must not be moved by an attacker who does nothing.
        return (self.low - self.clean).clamp(max=0), (self.high - self.clean).clamp(min=0)

    def allow(self, values: Tensor) -> Tensor:
        """Values set to 0 where nothing may change."""
        return values if self.mask is None else torch.where(self.mask != 0, values, torch.zeros_like(values))


class Change(ABC):
    """Base of all changes; subclasses are frozen dataclasses of their settings, one file each.

    Attributes
        name: as plans call it.
        surface: "input", or "embedding" for changes that act behind a model's embedding of words.
        exact: whether a perturbed case could really be recorded or written (an embedding could not).
        kinds: spaces on which the change has a meaning.
        nature: "values" for numbers moved one by one, "semantic" for what a person could name (angle, contrast, words,
            codes, leads), "placed" for what is put into the scene, "natural" for what needs no attacker.
    """

    name: ClassVar[str]
    surface: ClassVar[Literal["input", "embedding"]] = "input"
    exact: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "volume", "signal", "table")
    nature: ClassVar[Nature] = "values"

    @property
    def counts(self) -> bool:
        """Whether the limit is a number of edits rather than a size."""
        return False

    @property
    def variant(self) -> str:
        """What tells this change from others of its name, where a plan has several: "rotation" for an affine one."""
        return ""

    def unit(self, space: Space) -> str:
        """How limits of this change are read aloud."""
        return space.radius_unit

    def places(self, space: Space) -> int:
        """For counts: how many there are to change in one case, of which a limit may be a share."""
        return space.size

    def suits(self, space: Space) -> None:  # noqa: B027 - nothing to refuse is the rule
        """Refuse a space that lacks what the change speaks of, such as a named feature; asked before anything runs."""

    def check(self, field: Field) -> None:  # noqa: B027 - nothing to refuse is the rule
        """Refuse a field on which the change cannot act; most act on any."""

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        """Whether the parameters are any that the change allows, apart from limit, mask and range."""
        return torch.ones(len(params), dtype=torch.bool, device=params.device)

    @abstractmethod
    def nothing(self, field: Field) -> Tensor:
        """Parameters [n, ...] that leave every case as it is."""

    @abstractmethod
    def apply(self, field: Field, params: Tensor) -> Tensor:
        """Perturbed cases [n, *shape]."""

    @abstractmethod
    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        """What the attacker paid per case, in the unit of the limit."""

    @abstractmethod
    def sentence(self, limit: str) -> str:
        """The change within a limit, in English: 'change every value by at most 4/255'."""

    def told(self, limit: str, space: Space) -> str:
        """The same sentence for a space, whose units and names it may use."""
        return self.sentence(limit)


class SmoothChange(Change):
    """A change with real-valued parameters that gradients can improve."""

    @abstractmethod
    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        """The nearest parameters that keep the limit, the mask and the valid range."""

    @abstractmethod
    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        """The direction of cost 1 along which a loss with this gradient rises most, to first order."""

    @abstractmethod
    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        """Random parameters within the limit; another `draw` gives other ones."""


class BallChange(SmoothChange):
    """A smooth change with one parameter per value of its surface; its cost is a norm of the parameters / scale.

    Attributes
        norm: in which the size is measured.
        direct: whether a parameter is what its value moves by, and no other value with it.
    """

    norm: Norm
    direct: ClassVar[bool] = True

    @abstractmethod
    def ends(self, field: Field) -> tuple[Tensor, Tensor]:
        """The lowest and highest parameters of each value, whatever happens to the others."""

    @abstractmethod
    def sparse(self, field: Field, params: Tensor, gradient: Tensor, count: Int[Tensor, " n"]) -> Tensor:
        """A step of L1 length 1 from `params`: equal parts to the `count` steepest values that can still move."""


class GridChange(SmoothChange):
    """A smooth change of so few parameters that a grid over all of them can be tried."""

    @abstractmethod
    def grid(self, field: Field, limit: Float[Tensor, " n"], points: int | None) -> Float[Tensor, "n point parameter"]:
        """Parameters on a grid that fills each case's limit, from the farthest to the mildest, without doing nothing.

        Arguments
            points: values per parameter; None takes the change's own numbers.
        """


class DrawnChange(Change):
    """A change that is drawn at random and not searched: what happens to recordings without any attacker."""

    nature: ClassVar[Nature] = "natural"

    @abstractmethod
    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        """Random parameters at the limit; another `draw` gives other ones."""


class StepwiseChange(Change):
    """A change made of single edits, each of which can be tried on its own; the limit is their number."""

    nature: ClassVar[Nature] = "semantic"

    @property
    def counts(self) -> bool:
        return True

    @abstractmethod
    def edits(self, field: Field, params: Tensor) -> Int[Tensor, "n position choice"]:
        """For each case and position the values that one edit could put there; the present value means no edit."""

    @abstractmethod
    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        """Random edits up to the limit; another `draw` gives other ones."""

"""Prepared patches, laid over each case: shared by the patch that was learned and the one that was cut out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from titer.attacks._pushes import Way, assigned
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.models.model import Access
from titer.threats.change import Change
from titer.threats.changes.patch import Patch
from titer.threats.random import CaseRandom

# The draw of the place and slant that a case gets when it is attacked; learning uses others.
_FINAL = 1


@dataclass(frozen=True, eq=False)
class Placed(Attack):
    """A patch per way, each [*shape]; a case gets the one that suits it, at its limit, at a place of its own.

    Arguments
        contents: the way of each patch and its canvas, best first.
        place: 0 to 1 per dimension for one place for all, without a slant; None for random ones.
    """

    contents: Mapping[Way, Tensor]
    place: tuple[float, ...] | None = None
    needs: ClassVar[Access] = "labels"
    iterative: ClassVar[bool] = False

    def fits(self, change: Change) -> bool:
        return isinstance(change, Patch)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        canvases = torch.stack(list(self.contents.values())).to(problem.inputs.device)
        canvases = canvases[assigned(problem, tuple(self.contents))]
        return laid(problem, canvases, problem.limit, self.place, rng, _FINAL)


def laid(
    problem: Problem,
    canvas: Tensor,
    size: Float[Tensor, " n"],
    place: tuple[float, ...] | None,
    rng: CaseRandom,
    draw: int,
) -> Tensor:
    """Parameters of this canvas [n or 1, *shape], at a fixed place or at random ones and slants."""
    field, change = problem.field, patch_of(problem)
    dimensions = field.clean.dim() - 2
    if place is None:
        luck = rng.uniform((dimensions + 1,), draw, torch.float64)
        where, slant = luck[:, :dimensions], 2 * luck[:, dimensions] - 1
    else:
        where = torch.tensor(place, dtype=torch.float64, device=field.clean.device).expand(len(problem), -1)
        slant = torch.zeros(len(problem), dtype=torch.float64, device=field.clean.device)
    return problem.project(change.pack(field, size, where, canvas, slant))


def patch_of(problem: Problem) -> Patch:
    """The change, which must be a patch."""
    if not isinstance(problem.change, Patch):
        raise AttackError("the change 'patch'", repr(problem.change.name), "use 'patch' in the threat")
    return problem.change


def checked_place(place: tuple[float, ...] | None, name: str) -> tuple[float, ...] | None:
    """A place as settings give it, or a refusal."""
    if place is None:
        return None
    numbers = tuple(place)
    if not numbers or not all(0 <= number <= 1 for number in numbers):
        raise AttackError("a place of 0 to 1 for each dimension", str(place), f"correct 'place' of {name}")
    return numbers


def check_dimensions(place: tuple[float, ...] | None, problem: Problem, name: str) -> None:
    """Refuse a place that has other dimensions than the cases."""
    dimensions = problem.field.clean.dim() - 2
    if place is not None and len(place) != dimensions:
        raise AttackError(f"a place of {dimensions} numbers", str(place), f"correct 'place' of {name}")

"""Natural patch: a piece of another real case, laid over this one. A control, not an attack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks._placed import Placed, check_dimensions, checked_place, patch_of
from titer.attacks._pushes import Way, toward, ways
from titer.attacks.attack import Attack, LearningAttack
from titer.attacks.problem import Problem
from titer.models.model import Access
from titer.threats.change import Change
from titer.threats.changes.patch import Patch
from titer.threats.random import CaseRandom

# Cases of the pool that are asked about at once.
_PIECE = 64


@dataclass(frozen=True)
class NaturalPatch(LearningAttack):
    """A crop of a real case of what this case is not: the one that the model is surest of, and nothing optimized.

    It shows how much of what a patch does is occlusion, or real tissue of another class, rather than content made
    against the model. Windows of the size that the limit allows are cut at random from the cases of the pool that the
    model decides the wanted way (from all, if there are none). Each is shown to the model enlarged to the whole case,
    and the one with the most extreme answer is kept, per class, or up and down. An attacked case gets it at a place and
    slant of its own, as `patch` lays its own.

    Source: the natural patches of Finlayson et al. 2019 (doi 10.1126/science.aaw4399, arXiv 1804.05296), cut from
    training images by the most extreme predicted probability; where they cut is not stated, here it is anywhere.

    Arguments
        crops: windows per case of the pool.
        place: as for `patch`.
        pool: the most cases to cut from in an audit.

    >>> NaturalPatch().control
    True
    """

    crops: int = 4
    place: tuple[float, ...] | None = None
    name: ClassVar[str] = "natural_patch"
    reference: ClassVar[str] = "control: crop of a real case; Finlayson et al. 2019, arXiv 1804.05296"
    needs: ClassVar[Access] = "scores"
    searches: ClassVar[type[Change]] = Patch
    control: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, crops=self.crops)
        object.__setattr__(self, "place", checked_place(self.place, self.name))

    def learn(self, problem: Problem, rng: CaseRandom) -> Attack:
        check_dimensions(self.place, problem, self.name)
        wanted = ways(problem)
        best: dict[Way, tuple[tuple[bool, float], Tensor]] = {}
        for rows in torch.split(torch.arange(len(problem), device=problem.inputs.device), _PIECE):
            part = problem.rows(rows)
            corner = torch.zeros(len(part), part.field.clean.dim() - 2, device=rows.device)
            whole = torch.ones(len(part), device=rows.device)
            for crop in range(self.crops):
                canvas = _windows(part, rng.rows(rows), crop)
                shown = patch_of(part).pack(part.field, whole, corner, canvas)
                scores = part.scores(shown)
                for way in wanted:
                    sure, row = _surest(part, way, scores)
                    if way not in best or sure > best[way][0]:
                        best[way] = sure, canvas[row]
        order = sorted(best, key=lambda way: best[way][0], reverse=True)
        return _Cut({way: best[way][1] for way in order}, self.place)


@dataclass(frozen=True, eq=False)
class _Cut(Placed):
    """The pieces that `NaturalPatch` cut out. It asks nothing."""

    name: ClassVar[str] = NaturalPatch.name
    reference: ClassVar[str] = NaturalPatch.reference
    control: ClassVar[bool] = True


def _windows(problem: Problem, rng: CaseRandom, draw: int) -> Tensor:
    """A random window of each case as the canvas of a patch that shows it pixel by pixel, [n, *shape]."""
    field, clean = problem.field, problem.field.clean
    side = patch_of(problem).side(field, problem.limit)
    luck = rng.uniform((clean.dim() - 2,), draw, torch.float64)
    window = clean
    for axis, length in enumerate(clean.shape[2:]):
        start = (luck[:, axis] * (length - side + 1)).floor()
        steps = ((torch.arange(length, device=side.device) + 0.5) * side[:, None] / length).floor()
        source = (start[:, None] + steps).clamp(0, length - 1).to(torch.int64)
        shape = [len(clean), 1, *[length if other == axis else 1 for other in range(clean.dim() - 2)]]
        window = window.gather(axis + 2, source.reshape(shape).expand_as(clean))
    return window


def _surest(problem: Problem, way: Way, scores: Tensor) -> tuple[tuple[bool, float], int]:
    """The row whose crop goes furthest this way, and how far; first those whose own case goes this way already."""
    single = toward(problem, way)
    number = problem.model.task.kind == "regression"
    if number:
        # The number itself counts here, not how far it moved.
        single = replace(single, clean=torch.zeros_like(problem.clean), truth=torch.zeros_like(problem.truth))
    far = single.advantage(scores)
    own = torch.ones_like(far, dtype=torch.bool) if number else single.advantage(problem.clean) > 0
    candidates = torch.where(own, far, torch.full_like(far, -torch.inf)) if bool(own.any()) else far
    row = int(candidates.argmax())
    return (bool(own[row]), float(far[row])), row

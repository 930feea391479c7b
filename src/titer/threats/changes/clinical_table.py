"""Clinical table change: values of a row are changed, and what must be true of a patient stays true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Field, Nature, Norm, SmoothChange
from titer.threats.changes._ground import Ground, names_of
from titer.threats.changes.additive import Additive
from titer.threats.constraints.constraint import Constraint, Direction, Immutable, OneOf, Range, Relation, Steps
from titer.threats.constraints.expression import place
from titer.threats.constraints.rules import Rules
from titer.threats.random import CaseRandom

# Projection onto relations is not worked out for sums of sizes (L1).
_NORMS = ("linf", "l2", "l0")


@dataclass(frozen=True)
class ClinicalTable(SmoothChange):
    """x' = repair(x + d): a change of a table row that keeps constraints, with the size of (x' - x) / scale limited.

    Between steps d is a real number per feature, projected onto the limit, the ranges and all linear relations at once
    (exact up to rounding, Dykstra's algorithm). The row that is asked about and paid for is repaired: steps are
    rounded, a category has one member, and a feature that an equation gives, such as a body mass index, is
    computed from the others. Slopes pass through rounding as if it were not there. Where a repaired row would still
    break a constraint or the limit, d is shortened until it does not; the row stays as it was if nothing else helps.

    Source: problem as in Simonetto et al. 2022 (arXiv 2112.01156); projection: Boyle and Dykstra 1986; slopes through
    rounding: Bengio et al. 2013 (arXiv 1308.3432). Different from the first: what comes out is always valid.

    Arguments
        norm: "linf" or "l2" of (x' - x) / scale, or "l0", the number of features changed (a category counts once,
            what follows from other features not at all).
        immutable: features that stay as they are. rising, falling: features that may move one way only.
        integer: features of whole numbers. steps: feature -> step of which values are multiples.
        ranges: feature -> (low, high), in the feature's unit, beyond the range of the space.
        one_of: category -> its features, of which one is 1 and the others are 0.
        relations: such as "diastolic <= systolic", "total = a + b", "bmi = weight / (height * height)".
        scale: feature -> what one unit of limit means for it, in its unit, where it is not what the space says.
        tolerance: how far sides of a relation may be apart, as a part of their terms; clean rows that were rounded
            when recorded need more than the default.

    Features are named as in the data; a unit in brackets may be left out. Refuses unknown names, and clean rows that
    break a constraint.

    >>> ClinicalTable(immutable=("age",), relations=("diastolic <= systolic",)).sentence("0.5 SD")
    'change every value by at most 0.5 SD, keeping age as recorded; diastolic <= systolic'
    """

    norm: Norm = "linf"
    immutable: tuple[str, ...] = ()
    integer: tuple[str, ...] = ()
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    steps: Any = ()
    ranges: Any = ()
    one_of: Any = ()
    scale: Any = ()
    tolerance: float = 1e-5
    name: ClassVar[str] = "clinical_table"
    kinds: ClassVar[tuple[Kind, ...]] = ("table",)
    nature: ClassVar[Nature] = "semantic"

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise ThreatError(f"a norm among {', '.join(_NORMS)} for a table", repr(self.norm), "correct 'norm'")
        for label in ("immutable", "integer", "rising", "falling", "relations"):
            given = getattr(self, label)
            object.__setattr__(self, label, (given,) if isinstance(given, str) else tuple(given))
        for label in ("steps", "ranges", "one_of", "scale"):
            object.__setattr__(self, label, _pairs(label, getattr(self, label)))
        for feature, unit in self.scale:
            if not (isinstance(unit, (int, float)) and 0 < unit < float("inf")):
                raise ThreatError(f"a scale above 0 for {feature!r}", str(unit), "correct 'scale'")
        if set(self.rising) & set(self.falling):
            both = sorted(set(self.rising) & set(self.falling))[0]
            raise ThreatError("one direction per feature", repr(both), "name it in 'immutable' if it cannot move")
        _ = self.constraints

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """All constraints, as objects."""
        made: list[Constraint] = [Immutable(self.immutable)] if self.immutable else []
        made += [Steps(feature) for feature in self.integer]
        made += [Steps(feature, float(step)) for feature, step in self.steps]
        for feature, ends in self.ranges:
            if not isinstance(ends, tuple) or len(ends) != 2:
                raise ThreatError(f"[low, high] for {feature!r}", repr(ends), "correct 'ranges'")
            made.append(Range(feature, float(ends[0]), float(ends[1])))
        made += [Direction(feature, rises=True) for feature in self.rising]
        made += [Direction(feature, rises=False) for feature in self.falling]
        made += [OneOf(category, tuple(members)) for category, members in self.one_of]
        return (*made, *(Relation(text, self.tolerance) for text in self.relations))

    @property
    def counts(self) -> bool:
        return self.norm == "l0"

    def unit(self, space: Space) -> str:
        return "features" if self.counts else super().unit(space)

    def suits(self, space: Space) -> None:
        known = names_of(space.names, space.size)
        _rules(self, known).check()
        for feature, _unit in self.scale:
            place(feature, known)

    def check(self, field: Field) -> None:
        rules = self._rules(field)
        rules.check()
        Additive(self.norm).check(field)
        for each in self.constraints:
            broken = ~each.holds(field.clean, field.clean, rules.known)
            if bool(broken.any()):
                raise ThreatError(
                    f"clean cases that keep '{each.sentence()}'",
                    f"{int(broken.sum())} of {len(broken)} that break it, first in row {int(broken.nonzero()[0, 0])}",
                    "correct these cases or the constraint, or raise 'tolerance' if values were rounded",
                )

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros_like(field.clean)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        return self._ground(field).made(params)[0]

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        ground = self._ground(field)
        return ground.price(ground.made(params)[0])

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        return self._rules(field).holds(field.clean, self.apply(field, params))

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        return self._ground(field).project(params, limit)

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        ground = self._ground(field)
        low, high = ground.room(ground.scale.new_full((len(field),), float("inf")))
        slope = torch.where(low < high, gradient.double(), 0.0)
        step = Additive(self.norm).steepest(replace(field, scale=ground.scale[0], mask=None), slope)
        if self.norm == "linf":
            # Where relations tie features together, signs would lead astray: there the slope itself is the direction.
            for tied in ground.rules.coupled:
                at = list(tied)
                part = slope[:, at] * ground.scale[:, at]
                largest = part.abs().amax(dim=1, keepdim=True).clamp_min(1e-300)
                step[:, at] = part / largest * ground.scale[:, at]
        return step.to(gradient.dtype)

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        scaled = replace(field, scale=self._ground(field).scale[0].to(field.clean.dtype))
        return self.project(field, Additive(self.norm).sample(scaled, limit, rng, draw), limit)

    def sentence(self, limit: str) -> str:
        said = Additive(self.norm).sentence(limit).replace("values, each", "features, each")
        return said + (
            f", keeping {'; '.join(each.sentence() for each in self.constraints)}" if self.constraints else ""
        )

    def _rules(self, field: Field) -> Rules:
        return _rules(self, names_of(field.names, field.clean.shape[1]))

    def _ground(self, field: Field) -> Ground:
        rules, width = self._rules(field), field.clean.shape[1]
        scale = field.scale.double().reshape(1, -1).expand(1, width).clone()
        for feature, unit in self.scale:
            scale[0, place(feature, rules.known)] = float(unit)
        return Ground(field, rules, scale, self.norm)


@lru_cache(maxsize=64)
def _rules(change: ClinicalTable, known: tuple[str, ...]) -> Rules:
    return Rules(change.constraints, known)


def _pairs(label: str, given: Any) -> tuple[tuple[str, Any], ...]:
    """A mapping as pairs, lists within it as tuples, so that settings can be compared and named."""
    if isinstance(given, Mapping):
        given = tuple(given.items())
    if not isinstance(given, (tuple, list)) or not all(
        isinstance(each, (tuple, list)) and len(each) == 2 for each in given
    ):
        raise ThreatError(f"{label!r} as a mapping from names", repr(given), "write {feature: value}")
    return tuple((str(key), tuple(value) if isinstance(value, (list, tuple)) else value) for key, value in given)

"""Rules: the constraints of one table, with their features found, that judge rows and repair them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.errors import ThreatError
from titer.threats.constraints.constraint import Constraint, Immutable, OneOf, Relation, Steps
from titer.threats.constraints.expression import Expression, Name, linear, names, place, value
from titer.threats.constraints.project import Plane


@dataclass(frozen=True)
class Rules:
    """All constraints of a table whose features have these names.

    Arguments
        constraints: in any order. known: names of the features, in the order of the columns.
    """

    constraints: tuple[Constraint, ...]
    known: tuple[str, ...]

    def check(self) -> None:
        """Refuse names that no feature has, and features in two categories."""
        for each in self.constraints:
            for name in each.features:
                place(name, self.known)
        members = [member for group in self.groups for member in group]
        twice = [self.known[member] for member in members if members.count(member) > 1]
        if twice:
            raise ThreatError("every feature in one category at most", repr(twice[0]), "correct 'one_of'")

    def holds(self, clean: Float[Tensor, "n d"], rows: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Whether each row keeps every constraint."""
        kept = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        for each in self.constraints:
            kept = kept & each.holds(clean, rows, self.known)
        return kept

    def ends(
        self, clean: Float[Tensor, "n d"], low: Float[Tensor, "n d"], high: Float[Tensor, "n d"]
    ) -> tuple[Tensor, Tensor]:
        """Lowest and highest value of each feature, other features aside, within the range of the space."""
        lows, highs = list(low.unbind(dim=1)), list(high.unbind(dim=1))
        for each in self.constraints:
            for name in each.features:
                at = place(name, self.known)
                down, up = each.ends(clean[:, at])
                lows[at] = torch.maximum(lows[at], torch.as_tensor(down, dtype=clean.dtype, device=clean.device))
                highs[at] = torch.minimum(highs[at], torch.as_tensor(up, dtype=clean.dtype, device=clean.device))
        return torch.stack(lows, dim=1), torch.stack(highs, dim=1)

    @cached_property
    def steps(self) -> dict[int, float]:
        """Step of each feature that has one; members of a category are whole numbers too."""
        found = {place(each.feature, self.known): each.step for each in self.constraints if isinstance(each, Steps)}
        return found | {member: 1.0 for group in self.groups for member in group}

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Columns of each category."""
        found = [each for each in self.constraints if isinstance(each, OneOf)]
        return tuple(tuple(place(name, self.known) for name in each.features) for each in found)

    @cached_property
    def derived(self) -> tuple[tuple[int, Expression], ...]:
        """Features that follow from others by an equation, in an order in which they can be computed."""
        fixed = {
            place(name, self.known)
            for each in self.constraints
            if isinstance(each, (Immutable, OneOf))
            for name in each.features
        }
        found: dict[int, Expression] = {}
        for each in self.constraints:
            if not isinstance(each, Relation) or each.comparison.sign != "=":
                continue
            asked = each.comparison
            for target, side in ((asked.left, asked.right), (asked.right, asked.left)):
                if isinstance(target, Name):
                    at = place(target.name, self.known)
                    if at not in found and at not in fixed and at not in self._sources(side, found):
                        found[at] = side
                        break
        ready: list[tuple[int, Expression]] = []
        while len(ready) < len(found):
            done = {at for at, _ in ready}
            waiting = set(found) - done
            ready += [(at, found[at]) for at in sorted(waiting) if not self._columns(found[at]) & waiting]
        return tuple(ready)

    @cached_property
    def coupled(self) -> tuple[tuple[int, ...], ...]:
        """Sets of features that relations tie together."""
        sets: list[set[int]] = []
        for each in self.constraints:
            if isinstance(each, Relation):
                tied = {place(name, self.known) for name in each.features}
                for other in [one for one in sets if one & tied]:
                    sets.remove(other)
                    tied |= other
                sets.append(tied)
        return tuple(tuple(sorted(each)) for each in sets if len(each) > 1)

    def planes(self, clean: Float[Tensor, "n d"], scale: Sequence[float]) -> list[Plane]:
        """The linear relations, for changes in units of the scale."""
        made = []
        for each in self.constraints:
            if not isinstance(each, Relation):
                continue
            left, right = linear(each.comparison.left), linear(each.comparison.right)
            if left is None or right is None:
                continue
            flip = -1.0 if each.comparison.sign == ">=" else 1.0
            weights: dict[int, float] = {}
            for side, sign in ((left, flip), (right, -flip)):
                for name, weight in side[0].items():
                    at = place(name, self.known)
                    weights[at] = weights.get(at, 0.0) + sign * weight
            weights = {at: weight for at, weight in weights.items() if weight}
            if not weights:
                continue
            room = torch.full_like(clean[:, 0], flip * (right[1] - left[1]))
            for at, weight in weights.items():
                room = room - weight * clean[:, at]
            equal = each.comparison.sign == "="
            # What a clean row is off by rounding is neither held against it nor made up for.
            room = torch.zeros_like(room) if equal else room.clamp_min(0)
            sized = tuple(weight * scale[at] for at, weight in weights.items())
            length = math.sqrt(sum(weight * weight for weight in sized))
            units = tuple(weight / length for weight in sized)
            made.append(Plane(tuple(weights), units, (room / length).cpu().numpy(), equal))
        return made

    def repair(self, clean: Float[Tensor, "n d"], wanted: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Rows near the wanted ones: steps rounded, one member per category, derived features computed.

        Slopes pass through rounding as if it were not there, and through derived features as they are.
        """
        columns = list(wanted.unbind(dim=1))
        for at, step in self.steps.items():
            columns[at] = _through(columns[at], (columns[at] / step).round() * step, columns[at] == clean[:, at])
        for group in self.groups:
            members = wanted[:, list(group)]
            # Of equals the recorded one wins.
            first = (members.detach() + 1e-6 * clean[:, list(group)]).argmax(dim=1)
            for number, at in enumerate(group):
                columns[at] = _through(wanted[:, at], (first == number).to(wanted.dtype), first == -1)
        for at, expression in self.derived:
            used = sorted(self._columns(expression))
            still = torch.stack([columns[k].detach() == clean[:, k] for k in used]).all(dim=0)
            made = value(expression, lambda name: columns[place(name, self.known)])
            columns[at] = torch.where(
                still, clean[:, at], torch.as_tensor(made, dtype=clean.dtype, device=clean.device)
            )
        return torch.stack(columns, dim=1)

    def _columns(self, expression: Expression) -> set[int]:
        return {place(name, self.known) for name in names(expression)}

    def _sources(self, expression: Expression, found: dict[int, Expression]) -> set[int]:
        """Features from which an expression follows, through what is derived already."""
        seen: set[int] = set()
        new = self._columns(expression)
        while new:
            seen |= new
            new = {k for at in new if at in found for k in self._columns(found[at])} - seen
        return seen


def _through(soft: Tensor, hard: Tensor, still: Tensor) -> Tensor:
    """The hard values with the slope of the soft ones; the soft ones where nothing was moved."""
    return torch.where(still, soft, hard.detach() + (soft - soft.detach()))

"""Ground: rows of a table under constraints: where they may go, what that costs, and how they are repaired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from titer.threats.change import Field, Norm
from titer.threats.changes.additive import Additive
from titer.threats.constraints.project import nearest
from titer.threats.constraints.rules import Rules

Array = np.ndarray[Any, Any]
# Candidates on the way back to the clean row, and how often the best of them is refined.
_STATIONS, _HALVINGS = 16, 8
# What a cost may pass its limit by, below what the engine forgives.
_SLACK = 5e-7


@dataclass(frozen=True, eq=False)
class Ground:
    """A field of table rows with its rules.

    Arguments
        field: clean rows. rules: constraints. scale: [1, d] what one unit of limit means.
        norm: how changes are measured.
    """

    field: Field
    rules: Rules
    scale: Float[Tensor, "one d"]
    norm: Norm

    def project(self, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        """The nearest changes that keep limit, ranges and linear relations, shortened to what can be repaired."""
        clean, bound, counts = self.field.clean.double(), limit.double(), self.norm == "l0"
        if self.norm == "l2":
            # Rounding of the final row must not carry it over the limit.
            bound = (bound - torch.linalg.vector_norm(self.grain() / self.scale, dim=1)).clamp_min(0)
        low, high = self.room(bound)
        if counts:
            low, high = self.chosen(params.double(), bound, low, high)
        edges = _array(low / self.scale), _array(high / self.scale)
        planes = self.rules.planes(clean, self.scale[0].tolist())
        found = nearest(_array(params.double() / self.scale), lambda z: self._base(z, *edges, bound.cpu()), planes)
        moves = torch.from_numpy(found).to(self.scale) * self.scale
        return self.shortened(moves.to(self.field.clean.dtype), limit)

    def _base(self, moves: Array, low: Array, high: Array, bound: Float[Tensor, " n"]) -> Array:
        """The nearest changes, in units of the scale, within the room of each feature and a ball in L2."""
        if self.norm != "l2":
            return np.asarray(np.minimum(np.maximum(moves, low), high))
        given = torch.from_numpy(moves)
        box = Field(torch.zeros_like(given), torch.from_numpy(low), torch.from_numpy(high), torch.ones_like(given[:1]))
        return np.asarray(Additive("l2").project(box, given, bound).numpy())

    def made(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Repaired rows, and whether they are valid; a row that is not is left as it was."""
        rules, clean = self.rules, self.field.clean.double()
        low, high = self.ends()
        # Like `clip`, with the whole slope at the ends.
        wanted = torch.clamp(clean + params.double(), low, high)
        made = rules.repair(clean, wanted).to(self.field.clean.dtype)
        with torch.no_grad():
            slack = 1e-6 * (high - low)
            inside = ((made >= low - slack) & (made <= high + slack)).all(dim=1)
            fine = inside & rules.holds(self.field.clean, made) & torch.isfinite(made).all(dim=1)
        kept = self.field.clean + (made - made.detach())
        return torch.where(fine.unsqueeze(1), made, kept), fine

    def price(self, rows: Tensor) -> Float[Tensor, " n"]:
        moved = (rows.double() - self.field.clean.double()) / self.scale
        if self.norm == "linf":
            return moved.abs().amax(dim=1)
        if self.norm == "l2":
            lengths: Tensor = torch.linalg.vector_norm(moved, dim=1)
            return lengths
        touched = moved != 0
        return torch.stack([touched[:, list(unit)].any(dim=1) for unit in self.units()]).double().sum(dim=0)

    def shortened(self, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        """Each case's parameters times the largest factor found at which the repaired row is valid and affordable."""

        def fits(factor: Tensor) -> Tensor:
            with torch.no_grad():
                rows, fine = self.made(params * factor.unsqueeze(1).to(params.dtype))
                return fine & (self.price(rows) <= limit.double() * (1 + _SLACK))

        good = torch.ones(len(self.field), dtype=torch.float64, device=params.device)
        missing = ~fits(good)
        if not bool(missing.any()):
            return params
        bad = good.clone()
        good = torch.where(missing, 0.0, good)
        for station in range(_STATIONS - 1, 0, -1):
            factor = torch.full_like(good, station / _STATIONS)
            found = missing & fits(factor)
            good = torch.where(found, factor, good)
            bad = torch.where(missing & ~found, factor, bad)
            missing = missing & ~found
        for _ in range(_HALVINGS):
            middle = (good + bad) / 2
            held = fits(middle)
            good, bad = torch.where(held, middle, good), torch.where(held, bad, middle)
        return params * good.unsqueeze(1).to(params.dtype)

    def chosen(self, params: Tensor, limit: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Room for the features that move furthest, as many as the limit allows, and for what follows from them."""
        units = self.units()
        moved = (torch.clamp(params, low, high) / self.scale).abs()
        reach = torch.stack([moved[:, list(unit)].amax(dim=1) for unit in units], dim=1)
        order = reach.argsort(dim=1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(
            1, order, torch.arange(len(units), device=order.device).expand_as(order)
        )
        kept = (rank < limit.floor().unsqueeze(1)) & (reach > 0)
        free = torch.zeros_like(low, dtype=torch.bool)
        for number, unit in enumerate(units):
            free[:, list(unit)] = kept[:, number : number + 1]
        for at, _ in self.rules.derived:
            free[:, at] = True
        return torch.where(free, low, 0.0), torch.where(free, high, 0.0)

    def units(self) -> list[tuple[int, ...]]:
        """What counts as one feature: each on its own, a category as a whole; nothing for what follows."""
        rules = self.rules
        grouped = {member for group in rules.groups for member in group} | {at for at, _ in rules.derived}
        return [*rules.groups, *((at,) for at in range(self.field.clean.shape[1]) if at not in grouped)]

    def room(self, bound: Float[Tensor, " n"]) -> tuple[Tensor, Tensor]:
        """The furthest that each feature may move down (0 or less) and up, rounded inward to whole steps."""
        clean = self.field.clean.double()
        low, high = self.ends()
        low, high = (low - clean).clamp(max=0), (high - clean).clamp(min=0)
        if self.norm != "l0":
            reach = (bound.unsqueeze(1) * self.scale - self.grain()).clamp_min(0)
            low, high = torch.maximum(low, -reach), torch.minimum(high, reach)
        lows, highs = list(low.unbind(dim=1)), list(high.unbind(dim=1))
        for at, step in self.rules.steps.items():
            here = clean[:, at]
            lows[at] = (((here + lows[at]) / step - 1e-6).ceil() * step - here).clamp(max=0)
            highs[at] = (((here + highs[at]) / step + 1e-6).floor() * step - here).clamp(min=0)
        return torch.stack(lows, dim=1), torch.stack(highs, dim=1)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest value of each feature: space, mask and constraints; never beyond the clean one."""
        clean = self.field.clean.double()
        far = torch.full_like(clean, float("inf"))
        low = -far if self.field.low is None else self.field.low.double().expand_as(clean)
        high = far if self.field.high is None else self.field.high.double().expand_as(clean)
        if self.field.mask is not None:
            closed = (self.field.mask == 0).expand_as(clean)
            low, high = torch.where(closed, clean, low), torch.where(closed, clean, high)
        low, high = self.rules.ends(clean, low, high)
        return torch.minimum(low, clean), torch.maximum(high, clean)

    def grain(self) -> Tensor:
        """What rounding to the precision of the cases can add to a change of each value."""
        clean = self.field.clean.double()
        return clean.abs() * (
            0.0 if self.field.clean.dtype == torch.float64 else torch.finfo(self.field.clean.dtype).eps
        )


def names_of(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Names of the features; x0, x1, ... where the data give none."""
    return names or tuple(f"x{number}" for number in range(count))


def _array(values: Tensor) -> Array:
    return np.asarray(values.detach().cpu().numpy())

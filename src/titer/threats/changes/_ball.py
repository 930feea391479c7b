"""Balls around the clean values: projection, steepest steps and samples, in four norms, within a valid range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.cases.space import Space
from titer.errors import ThreatError
from titer.threats.change import BallChange, Field, Norm
from titer.threats.changes import _l1
from titer.threats.random import CaseRandom

_NORMS = ("linf", "l2", "l1", "l0")
# Rounds of the search for the length factor of a ball cut by a box; each can only shrink the part that is free.
_ROUNDS = 8
# Separates two draws that one call needs.
_OTHER = 0x5BD1E995


@dataclass(frozen=True)
class Ball(BallChange):
    """d on the surface of the change, with the size of d / scale limited in a norm, within the valid range.

    What `additive` and `embedding` share; see `titer.threats.changes.additive.Additive` for norms and sources.

    Arguments
        norm: "linf", "l2", "l1" or "l0". most: with "l0", the furthest that one value may move.
    """

    norm: Norm = "linf"
    most: float | None = None

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise ThreatError(f"a norm among {', '.join(_NORMS)}", repr(self.norm), "correct 'norm' in the threat")
        if self.most is not None and (self.norm != "l0" or not (math.isfinite(self.most) and self.most > 0)):
            raise ThreatError(
                "'most' above 0, with norm 'l0'", f"{self.most} with {self.norm!r}", "correct 'most' or leave it out"
            )

    @property
    def counts(self) -> bool:
        return self.norm == "l0"

    def unit(self, space: Space) -> str:
        return "values" if self.counts else super().unit(space)

    def check(self, field: Field) -> None:
        if self.counts and not all(bool(torch.isfinite(end).all()) for end in self.ends(field)):
            raise ThreatError(
                "a finite range for a change of few values by any amount",
                "values without an end",
                "give the space a range, or the change a 'most'",
            )

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros_like(field.clean)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        moved = field.clean + params
        with torch.no_grad():
            # A sum can round away from the clean value, further than the parameters say; then its neighbor is taken.
            past = (moved - field.clean).abs() > params.abs()
            # On a graphics card waiting for the answer takes longer than the work that it would save.
            if moved.device.type == "cpu" and not bool(past.any()):
                return moved
            back = torch.where(past, torch.nextafter(moved, field.clean) - moved, torch.zeros_like(moved))
        return moved + back

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return _size(params / field.scale, self.norm)

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        if self.most is None:
            return super().valid(field, params)
        return _size(params / field.scale, "linf") <= self.most * (1 + 1e-6)

    def ends(self, field: Field) -> tuple[Tensor, Tensor]:
        """The lowest and highest parameters of each value, whatever happens to the others."""
        low, high = field.room()
        if self.most is not None:
            low, high = torch.maximum(low, -self.most * field.scale), torch.minimum(high, self.most * field.scale)
        return field.allow(low), field.allow(high)

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        moved = field.allow(params)
        low, high = field.room()
        bound = _column(limit, params)
        if self.norm == "linf":
            return torch.clamp(torch.clamp(moved, -bound * field.scale, bound * field.scale), low, high)
        if self.norm == "l2":
            return _into_ball(moved / field.scale, low / field.scale, high / field.scale, bound) * field.scale
        if self.norm == "l1":
            scaled, low, high = _rows(moved / field.scale, low / field.scale, high / field.scale)
            kept = _l1.nearest(scaled, low, high, limit)
            # The same bits as before for what kept the limit already.
            return torch.where((kept == scaled).reshape(moved.shape), moved, kept.reshape(moved.shape) * field.scale)
        return torch.clamp(_keep_largest(moved, moved / field.scale, limit), *self.ends(field))

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        slope = field.allow(gradient) * field.scale
        if self.norm == "linf":
            return slope.sign() * field.scale
        if self.norm == "l2":
            # Divided by its largest part first, so that squares of tiny slopes do not vanish.
            even = slope / _column(_size(slope, "linf"), slope).clamp_min(1e-37)
            return even / _column(_size(even, "l2"), even).clamp_min(1e-30) * field.scale
        if self.norm == "l1":
            return _l1.steepest(slope.flatten(1)).reshape(slope.shape) * field.scale
        raise ThreatError("a limit that is a length, for a gradient step", "norm 'l0'", "use 'jsma' for few values")

    def sparse(self, field: Field, params: Tensor, gradient: Tensor, count: Int[Tensor, " n"]) -> Tensor:
        """A step of L1 length 1 from `params`: equal parts to the `count` steepest values that can still move.

        The single best value (`steepest`) is the best step to first order only; several at once pay off further away.

        Source: Croce and Hein 2021 (arXiv 2103.01208). Different from it: values at the end of their range take no
        places of `count`.
        """
        slope = field.allow(gradient) * field.scale
        low, high = self.ends(field)
        rows, low, high = _rows(params / field.scale, low / field.scale, high / field.scale)
        return _l1.sparse(slope.flatten(1), rows, low, high, count).reshape(slope.shape) * field.scale

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        shape = tuple(field.clean.shape[1:])
        bound = _column(limit, field.clean)
        if self.norm == "linf":
            params = (2 * rng.uniform(shape, draw, field.clean.dtype) - 1) * bound * field.scale
        elif self.norm == "l2":
            # Uniform in a ball of d dimensions: a normal direction, and a radius whose d-th power is uniform.
            direction = rng.normal(shape, draw, field.clean.dtype)
            direction = direction / _column(_size(direction, "l2"), direction)
            radius = rng.uniform((1,), draw ^ _OTHER, field.clean.dtype) ** (1.0 / max(1, direction[0].numel()))
            params = direction * _column(radius[:, 0], direction) * bound * field.scale
        elif self.norm == "l1":
            luck = rng.uniform((math.prod(shape) + 1,), draw, field.clean.dtype)
            signs = rng.signs(shape, draw ^ _OTHER, field.clean.dtype)
            inside = _l1.uniform(luck, signs.flatten(1), field.allow(torch.ones_like(field.clean)).flatten(1))
            params = inside.reshape(signs.shape) * bound * field.scale
        else:
            params = self._sample_sparse(field, limit, rng, draw)
        return self.project(field, params, limit)

    def sentence(self, limit: str) -> str:
        each = "by any valid amount" if self.most is None else f"by at most {self.most:g}"
        words = {
            "linf": f"change every value by at most {limit}",
            "l2": f"change values by at most {limit} in total (root of summed squares)",
            "l1": f"change values by at most {limit} in total (sum of absolute changes)",
            "l0": f"change at most {limit} values, each {each}",
        }
        return words[self.norm]

    def _sample_sparse(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        shape = tuple(field.clean.shape[1:])
        low, high = self.ends(field)
        moved = torch.where(rng.signs(shape, draw, field.clean.dtype) > 0, high, low)
        order = field.allow(rng.uniform(shape, draw ^ _OTHER, field.clean.dtype))
        chosen = _keep_largest(order, order, limit) != 0
        return torch.where(chosen, moved, torch.zeros_like(moved))


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *([1] * (like.dim() - 1)))


def _rows(values: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values and their ends as [n, d]."""
    return values.flatten(1), low.expand_as(values).flatten(1), high.expand_as(values).flatten(1)


def _size(values: Tensor, norm: Norm) -> Float[Tensor, " n"]:
    flat = values.flatten(1)
    if norm == "linf":
        return flat.abs().amax(dim=1) if flat.shape[1] else flat.sum(dim=1)
    if norm == "l2":
        lengths: Tensor = torch.linalg.vector_norm(flat, dim=1)
        return lengths
    if norm == "l1":
        return _l1.total(flat).to(values.dtype)
    return (flat.abs() > 1e-9).sum(dim=1).to(values.dtype)


def _into_ball(moved: Tensor, low: Tensor, high: Tensor, bound: Tensor) -> Tensor:
    """The nearest point of {|d| <= bound, low <= d <= high} to `moved`, where low <= 0 <= high.

    It is clamp(s * moved, low, high) with the largest s of at most 1 that keeps the length. For a set of values at
    their ends, s follows in closed form; a larger s only puts more values there, so s rises round by round, never
    too far.
    """
    factor = (bound / _column(_size(moved, "l2"), moved).clamp_min(1e-30)).clamp(max=1.0)
    for _ in range(_ROUNDS):
        scaled = factor * moved
        free = (scaled > low) & (scaled < high)
        inside = _column((moved * free).flatten(1).square().sum(dim=1), moved)
        at_end = _column((torch.clamp(scaled, low, high) * ~free).flatten(1).square().sum(dim=1), moved)
        rest = (bound.square() - at_end).clamp_min(0).sqrt()
        larger = torch.maximum(factor, rest / inside.sqrt().clamp_min(1e-30)).clamp(max=1.0)
        if torch.equal(larger, factor):
            break
        factor = larger
    kept = torch.clamp(factor * moved, low, high)
    # Rounding may leave the length a hair above the limit.
    return kept * (bound / _column(_size(kept, "l2"), kept).clamp_min(1e-30)).clamp(max=1.0)


def _keep_largest(values: Tensor, rank: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
    """Values outside each case's `limit` largest in |rank| set to zero."""
    flat = rank.flatten(1).abs()
    order = flat.argsort(dim=1, descending=True, stable=True)
    place = torch.empty_like(order).scatter_(1, order, torch.arange(flat.shape[1], device=flat.device).expand_as(order))
    keep = place < limit.floor().to(place.dtype).unsqueeze(1)
    return torch.where(keep.reshape(values.shape), values, torch.zeros_like(values))

"""Additive change: something is added to every value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from titer.errors import ThreatError
from titer.threats.change import Field, SmoothChange
from titer.threats.random import CaseRandom

Norm = Literal["linf", "l2", "l0"]
_NORMS = ("linf", "l2", "l0")


@dataclass(frozen=True)
class Additive(SmoothChange):
    """x' = x + d, with the size of d / scale limited in a norm.

    The norm is L-infinity (largest change of any value), L2 (root of the summed squares) or L0 (number of values
    changed). The scale of the space makes the limit clinical: mV, grey levels, or standard deviations of a feature.

    Source: Szegedy et al. 2014 (arXiv 1312.6199) for the problem; L0 as in Papernot et al. 2016 (arXiv 1511.07528).

    Arguments
        norm: "linf", "l2" or "l0".

    >>> field = Field(torch.tensor([[0.2, 0.9]]), torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0))
    >>> Additive("linf").project(field, torch.tensor([[-0.5, 0.3]]), torch.tensor([0.25]))
    tensor([[-0.2000,  0.1000]])
    """

    norm: Norm = "linf"
    name: ClassVar[str] = "additive"

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise ThreatError(f"a norm among {', '.join(_NORMS)}", repr(self.norm), "correct 'norm' in the threat")

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros_like(field.clean)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        return field.clean + params

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return _size(params / field.scale, self.norm)

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        moved = field.allow(params)
        bound = _column(limit, params)
        if self.norm == "linf":
            moved = torch.minimum(torch.maximum(moved, -bound * field.scale), bound * field.scale)
        elif self.norm == "l2":
            # Clipping to the valid range afterwards only shortens d, so both limits hold at once.
            length = _column(_size(moved / field.scale, "l2"), params)
            moved = moved * torch.clamp(bound / length.clamp_min(1e-30), max=1.0)
        else:
            moved = _keep_largest(moved, moved / field.scale, limit)
        return field.clip(field.clean + moved) - field.clean

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        slope = field.allow(gradient) * field.scale
        if self.norm == "linf":
            return slope.sign() * field.scale
        if self.norm == "l2":
            return slope / _column(_size(slope, "l2"), slope).clamp_min(1e-30) * field.scale
        one = torch.ones(len(slope), dtype=slope.dtype, device=slope.device)
        return _keep_largest(slope, slope, one).sign() * field.scale

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        shape = tuple(field.clean.shape[1:])
        bound = _column(limit, field.clean)
        if self.norm == "linf":
            params = (2 * rng.uniform(shape, draw, field.clean.dtype) - 1) * bound * field.scale
        elif self.norm == "l2":
            # Uniform in a ball of d dimensions: a normal direction, and a radius whose d-th power is uniform.
            direction = rng.normal(shape, draw, field.clean.dtype)
            direction = direction / _column(_size(direction, "l2"), direction)
            radius = rng.uniform((1,), draw ^ 0x5BD1E995, field.clean.dtype) ** (1.0 / max(1, direction[0].numel()))
            params = direction * _column(radius[:, 0], direction) * bound * field.scale
        else:
            params = self._sample_sparse(field, limit, rng, draw)
        return self.project(field, params, limit)

    def sentence(self, limit: str) -> str:
        words = {
            "linf": f"change every value by at most {limit}",
            "l2": f"change values by at most {limit} in total (root of summed squares)",
            "l0": f"change at most {limit} values, each by any valid amount",
        }
        return words[self.norm]

    def _sample_sparse(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        shape = tuple(field.clean.shape[1:])
        up = rng.signs(shape, draw, field.clean.dtype)
        if field.low is None or field.high is None:
            target = field.clean + up * field.scale
        else:
            target = torch.where(up > 0, field.high, field.low).to(field.clean.dtype).expand_as(field.clean)
        order = field.allow(rng.uniform(shape, draw ^ 0x5BD1E995, field.clean.dtype))
        chosen = _keep_largest(order, order, limit) != 0
        return torch.where(chosen, target - field.clean, torch.zeros_like(field.clean))


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *([1] * (like.dim() - 1)))


def _size(values: Tensor, norm: Norm) -> Float[Tensor, " n"]:
    flat = values.flatten(1)
    if norm == "linf":
        return flat.abs().amax(dim=1) if flat.shape[1] else flat.sum(dim=1)
    if norm == "l2":
        return torch.linalg.vector_norm(flat, dim=1)
    return (flat.abs() > 1e-9).sum(dim=1).to(values.dtype)


def _keep_largest(values: Tensor, rank: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
    """Values outside each case's `limit` largest in |rank| set to zero."""
    flat = rank.flatten(1).abs()
    order = flat.argsort(dim=1, descending=True, stable=True)
    place = torch.empty_like(order).scatter_(1, order, torch.arange(flat.shape[1], device=flat.device).expand_as(order))
    keep = place < limit.floor().to(place.dtype).unsqueeze(1)
    return torch.where(keep.reshape(values.shape), values, torch.zeros_like(values))

"""Channels change: a few channels move, all others stay as recorded; which ones is up to the attacker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Field, SmoothChange
from titer.threats.changes._ball import _column, _size
from titer.threats.changes.additive import Additive
from titer.threats.random import CaseRandom

# Separates two draws that one call needs.
_OTHER = 0x5BD1E995


@dataclass(frozen=True)
class Channels(SmoothChange):
    """x' = x + d, where d is 0 in all but `most` channels, and limited in L-infinity or L2.

    One loose electrode, one lead, one sequence of an MRI. The first step goes to the channels that promise most to
    first order; random starts take the channels in turn, in an order of the case's own, so that C / most restarts try
    each of C channels once, and a walk stays in the channels that it began with. Projection keeps the channels whose
    loss would move d most, each brought into the limit and the range (exact, but for L2 where the range binds).

    Source: the one-pixel threat of Su, Vargas, Sakurai 2019 (doi 10.1109/TEVC.2019.2890858), with channels for pixels;
    choosing by groups as in Xu et al. 2019 (arXiv 1808.01664).

    Arguments
        most: how many channels may change.
        norm: "linf", or "l2" over all values.

    Refuses more channels than a case has.

    >>> Channels(2).sentence("0.1 mV")
    'change every value of at most 2 channels by at most 0.1 mV'
    """

    most: int = 1
    norm: Literal["linf", "l2"] = "linf"
    name: ClassVar[str] = "channels"
    kinds: ClassVar[tuple[Kind, ...]] = ("signal", "image", "volume")

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise ThreatError("a number of channels of 1 or more", repr(self.most), "correct 'most' of 'channels'")
        if self.norm not in ("linf", "l2"):
            raise ThreatError("a norm among linf, l2 for 'channels'", repr(self.norm), "correct 'norm' in the threat")

    def suits(self, space: Space) -> None:
        if self.most > space.shape[0]:
            raise ThreatError(
                f"at most {space.shape[0]} channels, as many as a case has",
                str(self.most),
                "lower 'most' of 'channels'",
            )

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros_like(field.clean)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        # Once all channels are taken the others have no slope, so that a walk stays where it is.
        moved = (params != 0).flatten(2).any(dim=2)
        free = moved | (moved.sum(dim=1, keepdim=True) < self.most)
        return field.clean + torch.where(_over(free, params), params, torch.zeros_like(params))

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return _size(params / field.scale, self.norm)

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        return (params != 0).flatten(2).any(dim=2).sum(dim=1) <= self.most

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        ball = Additive(self.norm)
        if self.norm == "linf":
            kept = ball.project(field, params, limit)
            # What a channel saves of the distance by being kept.
            worth = (params.square() - (params - kept).square()) / field.scale.square()
            return self._chosen(kept, worth.flatten(2).sum(dim=2))
        inside = torch.clamp(field.allow(params), *field.room())
        worth = (params.square() - (params - inside).square()) / field.scale.square()
        return ball.project(field, self._chosen(params, worth.flatten(2).sum(dim=2)), limit)

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        slope = field.allow(gradient) * field.scale
        gain = slope.abs() if self.norm == "linf" else slope.square()
        return Additive(self.norm).steepest(field, self._chosen(gradient, gain.flatten(2).sum(dim=2)))

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        """A random change of the next channels in the case's own order; another `draw` goes on in it."""
        count = field.clean.shape[1]
        order = rng.uniform((count,), _OTHER).argsort(dim=1, stable=True)
        taken = (torch.arange(self.most, device=order.device) + draw * self.most) % count
        chosen = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
        chosen = chosen.scatter(1, order[:, taken], torch.ones_like(chosen))
        mask = _over(chosen, field.clean).to(field.clean.dtype)
        mask = mask if field.mask is None else mask * field.mask
        only = Field(field.clean, field.low, field.high, field.scale, mask)
        if self.norm == "l2":
            direction = Additive("l2").steepest(only, rng.normal(tuple(field.clean.shape[1:]), draw, field.clean.dtype))
            return Additive("l2").project(only, direction * _column(limit, direction), limit)
        signs = rng.signs(tuple(field.clean.shape[1:]), draw, field.clean.dtype)
        return Additive("linf").project(only, signs * _column(limit, signs) * field.scale, limit)

    def sentence(self, limit: str) -> str:
        where = f"at most {self.most} channel{'s' if self.most > 1 else ''}"
        if self.norm == "linf":
            return f"change every value of {where} by at most {limit}"
        return f"change values of {where} by at most {limit} in total (root of summed squares)"

    def _chosen(self, values: Tensor, worth: Float[Tensor, "n C"]) -> Tensor:
        """Values of the channels worth most; the first of equals, zero elsewhere."""
        order = worth.argsort(dim=1, descending=True, stable=True)[:, : self.most]
        keep = torch.zeros(worth.shape, dtype=torch.bool, device=worth.device)
        keep = keep.scatter(1, order, torch.ones_like(keep))
        return torch.where(_over(keep, values), values, torch.zeros_like(values))


def _over(channels: Tensor, like: Tensor) -> Tensor:
    """[n, C] brought to the dimensions of [n, C, ...]."""
    return channels.reshape(*channels.shape, *([1] * (like.dim() - 2)))

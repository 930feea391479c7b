"""Bias field: brightness drifts smoothly across the picture, as the receiver coils of a scanner make it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from titer.cases.space import Kind
from titer.errors import ThreatError
from titer.threats.change import Field
from titer.threats.changes._dials import PICTURES, Dial, DialChange, ends, factor


@dataclass(frozen=True)
class BiasField(DialChange):
    """x' = clip(low + (x - low) g(f)): f is a sum of low-order cosines in every direction, g is 1 + f or 1 / (1 - f).

    A limit of 20% keeps the gain everywhere between 1 / 1.2 and 1.2. Parameters are the field's heights at order + 1
    nodes per direction; the field between them is their cosine series with Fejér's weights,
    f(q) = sum_j (1 - j / (order + 1)) c_j cos(pi j q), which is a mean of the heights with weights of 0 or more: so it
    passes none of them, and the limit is exact. The field is the same in all channels.

    Source: low-order smooth multiplicative fields as in Sled et al. 1998 (doi 10.1109/42.668698); Fejér's weights
    instead of free coefficients are ours.

    Arguments
        order: highest cosine in each direction, 1 or more.

    >>> BiasField().sentence("20 %")
    'let brightness drift smoothly across the picture by at most 20 %'
    """

    order: int = 2
    name: ClassVar[str] = "bias_field"
    kinds: ClassVar[tuple[Kind, ...]] = PICTURES

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 8:
            raise ThreatError("an order of 1 to 8", str(self.order), "correct 'order'")

    def dials(self) -> tuple[Dial, ...]:
        return (Dial("let brightness drift smoothly across the picture by at most {}", "%", 100.0),)

    def parameters(self, field: Field) -> int:
        return int((self.order + 1) ** (field.clean.dim() - 2))

    def turned(self, field: Field, params: Tensor) -> Tensor:
        low, _ = ends(field)
        gain = factor(self.drift(field, params)).unsqueeze(1)
        return low + (field.clean - low) * gain

    def drift(self, field: Field, params: Tensor) -> Tensor:
        """[n, height, width] or [n, depth, height, width] the field f between the nodes."""
        nodes, sizes = self.order + 1, field.clean.shape[2:]
        drift = params.reshape(-1, *([nodes] * len(sizes)))
        for place, size in enumerate(sizes, start=1):
            weights = _weights(nodes, size, drift.device).to(drift)
            parts = drift.unbind(dim=place)
            spread = [1] * (drift.dim() - place - 1)
            # Added up one by one: a matrix product may round a case otherwise in another batch.
            total = torch.zeros((), dtype=drift.dtype, device=drift.device)
            for part, line in zip(parts, weights, strict=True):
                total = total + part.unsqueeze(place) * line.reshape(-1, *spread)
            drift = total
        return drift


@lru_cache(maxsize=64)
def _weights(nodes: int, size: int, device: torch.device) -> Tensor:
    """[nodes, size] what each node adds to each place: 0 or more, and 1 together."""
    at = (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes
    here = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    weights = torch.ones(nodes, size, dtype=torch.float64)
    for j in range(1, nodes):
        along = torch.cos(math.pi * j * at)[:, None] * torch.cos(math.pi * j * here)
        weights += 2 * (1 - j / nodes) * along
    return (weights.clamp_min(0) / nodes).to(device)

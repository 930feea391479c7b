"""Low-pass change: something smooth is added, as a slow drift of the electrodes or of the lighting would."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from titer.cases.space import Kind
from titer.errors import ThreatError
from titer.threats.change import Field, Norm
from titer.threats.changes._ball import Ball


@dataclass(frozen=True)
class LowPass(Ball):
    """x' = clip(x + mean over i of K_i * p): additive noise p seen through Gaussian kernels K_i that sum to 1.

    The limit is on p. As each kernel sums to 1, x' - x keeps it too, in L-infinity and in L2. Every size is paired
    with every standard deviation. What the mask closes is neither moved nor leaks into its neighbors. At the ends,
    what lies outside counts as 0.

    Source: Han et al. 2020 (doi 10.1038/s41591-020-0791-x, arXiv 1905.05163), whose sizes and standard deviations, in
    samples at 300 Hz, are the defaults; they start from a finished PGD noise, here any attack searches p directly.

    Arguments
        norm: "linf" or "l2", of p.
        sizes: lengths of the kernels in samples (images: pixels), odd.
        sigmas: their standard deviations in samples (pixels), 0 or more.
        rate: samples per second at which the two are meant; kernels are stretched to the rate of the signal where
            that is known. Images are taken pixel by pixel.

    >>> kernel = LowPass().kernel(rate=300.0)
    >>> len(kernel), round(float(kernel.sum()), 6)
    (19, 1.0)
    """

    norm: Norm = "linf"
    sizes: tuple[int, ...] = (5, 7, 11, 15, 19)
    sigmas: tuple[float, ...] = (1.0, 3.0, 5.0, 7.0, 10.0)
    rate: float = 300.0
    name: ClassVar[str] = "lowpass"
    direct: ClassVar[bool] = False
    kinds: ClassVar[tuple[Kind, ...]] = ("signal", "image")

    def __post_init__(self) -> None:
        super().__post_init__()
        for label in ("sizes", "sigmas"):
            object.__setattr__(self, label, tuple(getattr(self, label)))
        if self.norm not in ("linf", "l2"):
            raise ThreatError(
                "a norm among linf, l2 for 'lowpass'",
                repr(self.norm),
                "smooth changes touch every value; use one of them",
            )
        if not self.sizes or any(size < 1 or size % 2 == 0 for size in self.sizes):
            raise ThreatError("odd kernel sizes of 1 or more", str(self.sizes), "correct 'sizes'")
        if not self.sigmas or not all(math.isfinite(sigma) and sigma >= 0 for sigma in self.sigmas):
            raise ThreatError("standard deviations of 0 or more", str(self.sigmas), "correct 'sigmas'")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ThreatError("a sampling rate above 0", str(self.rate), "correct 'rate'")

    def kernel(self, rate: float | None = None, device: torch.device | None = None) -> Float[Tensor, " k"]:
        """The mean of all kernels, in samples at this rate (None: as given)."""
        return _line(self.sizes, self.sigmas, 1.0 if rate is None else rate / self.rate, device)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        return field.clip(super().apply(field, field.allow(self.smooth(field, field.allow(params)))))

    def smooth(self, field: Field, params: Tensor) -> Tensor:
        """What is added for parameters [n, C, T] or [n, C, H, W], before clipping."""
        flat = params.reshape(-1, 1, *params.shape[2:])
        if params.dim() == 3:
            line = self.kernel(field.rate, params.device).to(params)
            return F.conv1d(flat, line[None, None], padding=len(line) // 2).reshape(params.shape)
        plane = _plane(self.sizes, self.sigmas, params.device).to(params)
        return F.conv2d(flat, plane[None, None], padding=len(plane) // 2).reshape(params.shape)

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        return super().project(_free(field), params, limit)

    def ends(self, field: Field) -> tuple[Tensor, Tensor]:
        return super().ends(_free(field))

    def sentence(self, limit: str) -> str:
        size = (
            "every value by at most" if self.norm == "linf" else "values by a total (root of summed squares) of at most"
        )
        return f"change {size} {limit}, smoothly"


def _free(field: Field) -> Field:
    """The range binds what is recorded, not p; `apply` clips."""
    return Field(field.clean, None, None, field.scale, field.mask)


def _gauss(size: int, sigma: float) -> Tensor:
    steps = torch.arange(size, dtype=torch.float64) - size // 2
    if sigma == 0:
        return (steps == 0).double()
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    return weights / weights.sum()


@lru_cache(maxsize=32)
def _line(sizes: tuple[int, ...], sigmas: tuple[float, ...], factor: float, device: torch.device | None) -> Tensor:
    # The nearest odd length, so that a kernel has a middle.
    lengths = [2 * round((size * factor - 1) / 2) + 1 for size in sizes]
    longest = max(lengths)
    total = torch.zeros(longest, dtype=torch.float64)
    for length in lengths:
        for sigma in sigmas:
            margin = (longest - length) // 2
            total[margin : longest - margin] += _gauss(length, sigma * factor)
    return (total / total.sum()).to(device=device)


@lru_cache(maxsize=32)
def _plane(sizes: tuple[int, ...], sigmas: tuple[float, ...], device: torch.device) -> Tensor:
    longest = max(sizes)
    total = torch.zeros(longest, longest, dtype=torch.float64)
    for size in sizes:
        for sigma in sigmas:
            margin = (longest - size) // 2
            line = _gauss(size, sigma)
            total[margin : longest - margin, margin : longest - margin] += line[:, None] * line
    return (total / total.sum()).to(device)

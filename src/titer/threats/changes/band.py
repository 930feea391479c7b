"""Band change: something is added that lies in a band of frequencies, as an amplifier or a filter would leave it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Field, SmoothChange
from titer.threats.changes._ball import _column, _size
from titer.threats.random import CaseRandom

# Rounds of the search for the nearest point of several sets; what they leave over is scaled away.
_ROUNDS = 16
# What rounding to single precision may add to a size.
_SLACK = 1e-6


@dataclass(frozen=True)
class Band(SmoothChange):
    """x' = clip(x + B p), where B keeps the frequencies from `low` to `high` and takes all others away.

    B is the orthogonal projection onto those sines and cosines of a case's discrete Fourier transform whose frequency
    lies in the band, so that nothing is added outside (a case of T samples counts as one period). The limit is on B p
    itself, in the unit of the space, as are `most`, `share` and `slew`; where x + B p leaves what can be recorded, the
    recorder clips it. Projection goes round band, amplitudes and slopes (Boyle and Dykstra 1986), then scales what is
    left of the excess away, so that every limit holds exactly. A channel may be closed by a mask, a part of it may not.

    Source: the physical limits of Yu et al. 2023 (doi 10.1186/s12911-023-02212-5) as an attack on raw signals; the
    projection: Boyle and Dykstra 1986, Lecture Notes in Statistics 37:28.

    Arguments
        low, high: the band in Hz, both included; above half of the sampling rate there is nothing to add.
        norm: "linf", or "l2" over all channels.
        most: the furthest that any channel, or each of them (a tuple), may be moved, in the unit of the space.
        share: the same as a share of the channel's own root mean square about its mean: 0.1 for 10 %.
        slew: the steepest slope of what is added, in units per second.

    Refuses signals without a sampling rate, and bands between two frequencies that a case can hold.

    >>> space = Space("signal", (8, 256), "uV", -500.0, 500.0, rate=128.0)
    >>> Band(0.5, 40.0, share=0.1).sentence("2 uV")
    'change every value by at most 2 uV, within 0.5 to 40 Hz and 10 % of the RMS of its channel'
    >>> Band(60.1, 60.3).suits(space)
    Traceback (most recent call last):
    titer.errors.ThreatError: expected a band that holds a multiple of 0.5 Hz (128 Hz / 256 samples), got ...
    """

    low: float = 0.5
    high: float = 70.0
    norm: Literal["linf", "l2"] = "linf"
    most: float | tuple[float, ...] | None = None
    share: float | None = None
    slew: float | None = None
    name: ClassVar[str] = "band"
    kinds: ClassVar[tuple[Kind, ...]] = ("signal",)

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ThreatError("a norm among linf, l2 for 'band'", repr(self.norm), "correct 'norm' in the threat")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and 0 <= self.low <= self.high):
            raise ThreatError("0 <= low <= high in Hz", f"{self.low} and {self.high}", "correct 'low' and 'high'")
        for label in ("most", "share", "slew"):
            value = getattr(self, label)
            each = value if isinstance(value, tuple) else () if value is None else (value,)
            if value == () or not all(math.isfinite(number) and number > 0 for number in each):
                raise ThreatError(f"{label!r} above 0, or none", str(value), f"correct {label!r} of 'band'")

    def suits(self, space: Space) -> None:
        if space.rate is None:
            raise ThreatError(
                f"a sampling rate, for a change of {self.low:g} to {self.high:g} Hz",
                "a signal whose rate is not known",
                "give the data their 'rate', or use 'additive'",
            )
        length = space.shape[1]
        if not bool(_inside(length, space.rate, self.low, self.high).any()):
            raise ThreatError(
                f"a band that holds a multiple of {space.rate / length:g} Hz ({space.rate:g} Hz / {length} samples)",
                f"{self.low:g} to {self.high:g} Hz",
                "widen it, or use longer cases",
            )
        if isinstance(self.most, tuple) and len(self.most) != space.shape[0]:
            raise ThreatError(
                f"one 'most' for each of {space.shape[0]} channels", f"{len(self.most)}", "give one per channel"
            )

    def check(self, field: Field) -> None:
        mask = field.mask
        if mask is not None and bool(((mask != 0) != (mask[..., :1] != 0)).any()):
            raise ThreatError(
                "masks that close whole channels, for a change within a band",
                "a mask that opens and closes in time",
                "use 'additive' or 'lowpass', or set 'where' to 'all'",
            )

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros_like(field.clean)

    def passed(self, field: Field, params: Tensor) -> Tensor:
        """B p: the part of [n, C, T] within the band, in the channels that are open."""
        # In double precision, so that the band is as sharp as single precision can tell.
        return self._passed(field, field.allow(params).double()).to(params.dtype)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        return field.clip(field.clean + self.passed(field, params))

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return _size(self.passed(field, params) / field.scale, self.norm)

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        added = self.passed(field, params)
        inside = added.abs() <= self._caps(field, params) * (1 + _SLACK)
        if self.slew is not None and field.rate is not None:
            steep = self.slew / field.rate
            # Values are rounded, differences are not: the slack is that of the values.
            rounding = _SLACK * (steep + added.abs().amax(dim=-1, keepdim=True))
            inside = inside & (torch.diff(added, dim=-1).abs() <= steep + rounding).all(dim=-1, keepdim=True)
        return inside.flatten(1).all(dim=1)

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        sets = self._sets(field, params, limit)
        kept = self.passed(field, params)
        excess = [torch.zeros_like(kept) for _ in sets]
        for _ in range(_ROUNDS if len(sets) > 1 or self.norm == "linf" else 0):
            for number, nearest in enumerate(sets):
                before = kept + excess[number]
                kept = nearest(before)
                excess[number] = before - kept
            kept = self._passed(field, kept)
        kept = self.passed(field, kept)
        return kept * self._factor(field, kept, limit)

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        slope = self.passed(field, gradient)
        if self.norm == "l2":
            scaled = slope * field.scale.square()
            even = scaled / _column(_size(scaled / field.scale, "linf"), scaled).clamp_min(1e-37)
            return even / _column(_size(even / field.scale, "l2"), even).clamp_min(1e-30)
        # The best direction has no closed form; of two good ones each channel takes the better.
        ways = [self._peaked(slope), self._peaked(self.passed(field, slope.sign()))]
        gains = [(way * slope).sum(dim=-1, keepdim=True) for way in ways]
        return torch.where(gains[1] >= gains[0], ways[1], ways[0]) * field.scale

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        """Random noise of the band whose root mean square would be the limit, brought within it."""
        noise = self.passed(field, rng.normal(tuple(field.clean.shape[1:]), draw, field.clean.dtype))
        if self.norm == "linf":
            even = noise / noise.square().mean(dim=-1, keepdim=True).sqrt().clamp_min(1e-30) * field.scale
        else:
            even = noise / _column(_size(noise / field.scale, "l2"), noise).clamp_min(1e-30)
        return self.project(field, even * _column(limit, noise), limit)

    def sentence(self, limit: str) -> str:
        size = (
            f"every value by at most {limit}"
            if self.norm == "linf"
            else f"values by a total (root of summed squares) of at most {limit}"
        )
        more = [f"{self.low:g} to {self.high:g} Hz"]
        if self.most is not None:
            each = self.most if isinstance(self.most, tuple) else (self.most,)
            more.append("/".join(f"{number:g}" for number in each) + " in its channel")
        if self.share is not None:
            more.append(f"{100 * self.share:g} % of the RMS of its channel")
        if self.slew is not None:
            more.append(f"a slope of {self.slew:g} per second")
        listed = more[0] if len(more) == 1 else f"{', '.join(more[:-1])} and {more[-1]}"
        return f"change {size}, within {listed}"

    def _passed(self, field: Field, values: Tensor) -> Tensor:
        """The part of [n, C, T] within the band, in the precision given."""
        length = values.shape[-1]
        lines = torch.fft.rfft(values)
        keep = _inside(length, field.rate or 1.0, self.low, self.high, values.device).to(lines)
        passed: Tensor = torch.fft.irfft(lines * keep, n=length)
        return passed

    def _peaked(self, values: Tensor) -> Tensor:
        """Each channel scaled to a largest size of 1; a channel of zeros stays."""
        return values / values.abs().amax(dim=-1, keepdim=True).clamp_min(1e-37)

    def _caps(self, field: Field, like: Tensor) -> Tensor:
        """[n, C, 1] the furthest that each channel may move, whatever the limit; infinite where nothing says so."""
        caps = torch.full((*like.shape[:2], 1), torch.inf, dtype=like.dtype, device=like.device)
        if self.most is not None:
            caps = torch.minimum(caps, torch.as_tensor(self.most, device=like.device).to(like).reshape(1, -1, 1))
        if self.share is not None:
            centered = field.clean - field.clean.mean(dim=-1, keepdim=True)
            caps = torch.minimum(caps, self.share * centered.square().mean(dim=-1, keepdim=True).sqrt())
        return caps

    def _sets(self, field: Field, like: Tensor, limit: Float[Tensor, " n"]) -> list[Callable[[Tensor], Tensor]]:
        """The nearest point of each set that, beside the band, what is added must keep to."""
        caps, sets = self._caps(field, like), list[Callable[[Tensor], Tensor]]()
        bound = _column(limit, like)
        if self.norm == "linf":
            caps = torch.minimum(caps, bound * field.scale)
        else:
            sets.append(lambda d: d * (bound / _column(_size(d / field.scale, "l2"), d).clamp_min(1e-30)).clamp(max=1))
        if bool(torch.isfinite(caps).all()):
            sets.append(lambda d: torch.clamp(d, -caps, caps))
        if self.slew is not None and field.rate is not None:
            steep = self.slew / field.rate
            sets.extend([lambda d: _flatter(d, 0, steep), lambda d: _flatter(d, 1, steep)])
        return sets

    def _factor(self, field: Field, kept: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        """What each channel (L2: each case) must be multiplied with, at most 1, to keep every limit."""
        bound = _column(limit, kept)
        caps = self._caps(field, kept)
        if self.norm == "linf":
            caps = torch.minimum(caps, bound * field.scale)
        factor = (caps / kept.abs().amax(dim=-1, keepdim=True).clamp_min(1e-30)).clamp(max=1.0)
        if self.slew is not None and field.rate is not None:
            steepest = torch.diff(kept, dim=-1).abs().amax(dim=-1, keepdim=True)
            factor = torch.minimum(factor, self.slew / field.rate / steepest.clamp_min(1e-30))
        if self.norm == "l2":
            length = _column(_size(kept / field.scale, "l2"), kept)
            factor = torch.minimum(factor.amin(dim=1, keepdim=True), bound / length.clamp_min(1e-30))
        return factor


def _inside(
    length: int, rate: float, low: float, high: float, device: torch.device | None = None
) -> Bool[Tensor, " lines"]:
    """Which lines of the spectrum of `length` samples lie in the band."""
    lines = torch.arange(length // 2 + 1, dtype=torch.float64, device=device) * (rate / length)
    # A border that is itself a line counts, whatever its last bit.
    return (lines >= low - 1e-9 * rate) & (lines <= high + 1e-9 * rate)


def _flatter(values: Tensor, first: int, steep: float) -> Tensor:
    """The nearest values whose pairs (first, first + 1), (first + 2, first + 3), ... differ by at most `steep`."""
    pairs = (values.shape[-1] - first) // 2
    left, right = values[..., first : first + 2 * pairs : 2], values[..., first + 1 : first + 2 * pairs : 2]
    gap = right - left
    half = (gap - gap.clamp(-steep, steep)) / 2
    moved = values.clone()
    moved[..., first : first + 2 * pairs : 2] += half
    moved[..., first + 1 : first + 2 * pairs : 2] -= half
    return moved

"""What happens to signals without any attacker; at severity 1 the disturbance is as large as the signal."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from titer.errors import ThreatError
from titer.threats.change import Field
from titer.threats.changes._dials import column
from titer.threats.random import CaseRandom

# Separates two draws that one corruption needs.
_OTHER = 0x5BD1E995


def wander(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom) -> Tensor:
    """Baseline wander: three sines of 0.05 to 0.5 Hz, as breathing and drying electrodes make them; needs a rate."""
    chance = rng.uniform((2, 3), 0, torch.float64)
    hertz, phase = 0.05 + 0.45 * chance[:, 0], 2 * math.pi * chance[:, 1]
    waves = torch.sin(2 * math.pi * hertz.unsqueeze(2) * _seconds(field) + phase.unsqueeze(2)).unbind(dim=1)
    return _added(field, severity, (waves[0] + waves[1] + waves[2]).unsqueeze(1) * math.sqrt(2 / 3))


def hum(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom, mains: float = 50.0) -> Tensor:
    """Mains hum: one sine at the frequency of the power lines, alike in all channels; needs a rate above twice that."""
    phase = 2 * math.pi * rng.uniform((1, 1), 0, torch.float64)
    wave = torch.sin(2 * math.pi * mains * _seconds(field) + phase)
    return _added(field, severity, wave * math.sqrt(2))


def noise(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom) -> Tensor:
    """Muscle noise: independent normal numbers in every channel."""
    return _added(field, severity, rng.normal(tuple(field.clean.shape[1:]), 0, torch.float64))


def electrode(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom) -> Tensor:
    """A moved electrode: one channel jumps by up to 4 of its standard deviations and comes back within the record."""
    channels, length = field.clean.shape[1:]
    chance = rng.uniform((2,), 0, torch.float64)
    sign = rng.signs((1, 1), _OTHER, torch.float64)
    since = torch.arange(length, device=chance.device) - (length * chance[:, :1]).floor()
    jump = torch.where(since >= 0, torch.exp(-since.clamp_min(0) * (8 / length)), torch.zeros_like(since))
    chosen = torch.arange(channels, device=chance.device) == (channels * chance[:, 1:]).floor()
    return _added(field, severity, 4 * sign * jump.unsqueeze(1) * chosen.unsqueeze(2))


def dead(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom) -> Tensor:
    """A dying channel: for half of the record one channel sinks to its mean, at severity 1 entirely."""
    clean = field.clean
    channels, length = clean.shape[1:]
    chance = rng.uniform((2,), 0, torch.float64)
    start = (length / 2 * chance[:, :1]).floor()
    time = torch.arange(length, device=clean.device)
    during = (time >= start) & (time < start + length / 2)
    chosen = torch.arange(channels, device=clean.device) == (channels * chance[:, 1:]).floor()
    lost = (during.unsqueeze(1) & chosen.unsqueeze(2)).to(clean.dtype) * column(severity.clamp(max=1), clean)
    return clean + lost * (_middle(clean) - clean)


CORRUPTIONS: dict[str, Callable[..., Tensor]] = {made.__name__: made for made in (wander, hum, noise, electrode, dead)}
TIMED = ("wander", "hum")


def _seconds(field: Field) -> Tensor:
    if field.rate is None:
        raise ThreatError("a sampling rate for waves of known frequency", "none", "give the space its 'rate'")
    return torch.arange(field.clean.shape[2], dtype=torch.float64, device=field.clean.device) / field.rate


def _middle(clean: Tensor) -> Tensor:
    return clean.double().mean(dim=2, keepdim=True).to(clean.dtype)


def _added(field: Field, severity: Float[Tensor, " n"], wave: Tensor) -> Tensor:
    """A disturbance in units of each channel's standard deviation, added at the severity."""
    clean = field.clean
    size = (clean - _middle(clean)).double().square().mean(dim=2, keepdim=True).sqrt()
    return clean + (column(severity, clean).double() * size * wave).to(clean.dtype)

"""What happens to pictures and volumes without any attacker; severity 1 is plain to see."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from titer.threats.change import Field
from titer.threats.changes._dials import column, ends
from titer.threats.changes.blur import gaussian
from titer.threats.random import CaseRandom

_BLOCK = 8


def noise(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom) -> Tensor:
    """Sensor noise: independent normal numbers with a standard deviation of up to 0.2 of the range."""
    low, high = ends(field)
    clean = field.clean
    drawn = rng.normal(tuple(clean.shape[1:]), 0, clean.dtype)
    return clean + 0.2 * column(severity, clean) * (high - low) * drawn


def blur(field: Field, severity: Float[Tensor, " n"], _rng: CaseRandom) -> Tensor:
    """Focus lost: a Gaussian of up to 3 pixels."""
    return gaussian(field.clean, (3 * severity).square())


def blocks(field: Field, severity: Float[Tensor, " n"], _rng: CaseRandom) -> Tensor:
    """Lossy compression: cosine coefficients of 8 x 8 blocks rounded to multiples of 4 times JPEG's luminance table."""
    low, high = ends(field)
    clean, span = field.clean, high - low
    height, width = clean.shape[-2:]
    grey = ((clean - low) / span * 255).flatten(1, -3)
    padded = F.pad(grey, (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate")
    down, right = (size // _BLOCK for size in padded.shape[-2:])
    tiles = padded.reshape(*padded.shape[:2], down, _BLOCK, right, _BLOCK).transpose(-3, -2)
    waves, table = (part.to(clean) for part in _jpeg(clean.device))
    steps = column(4 * severity, tiles).clamp_min(1e-6) * table
    rounded = torch.round((waves @ tiles @ waves.T) / steps) * steps
    back = (waves.T @ rounded @ waves).transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)
    return low + back[..., :height, :width].reshape(clean.shape) / 255 * span


def ghosting(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom) -> Tensor:
    """Ghosts of a scan: every second to fourth line of k-space is weakened by up to 0.7, as breathing does."""
    low, _ = ends(field)
    lifted = field.clean - low
    size = lifted.shape[-2]
    line = torch.arange(size, device=lifted.device)
    period = 2 + (3 * rng.uniform((1,), 0)).long()
    weak = (line % period == period - 1) & (line > 0)
    weight = 1 - 0.7 * severity.unsqueeze(1) * weak.to(lifted.dtype)
    seen = torch.fft.fft(lifted, dim=-2) * _planes(weight.unsqueeze(-1), lifted)
    found: Tensor = torch.fft.ifft(seen, dim=-2).abs()
    return low + found


def motion(field: Field, severity: Float[Tensor, " n"], rng: CaseRandom) -> Tensor:
    """The patient moves by 3 pixels while k-space is read from the middle outward: at severity 1 soon, at 0.1 late."""
    low, _ = ends(field)
    lifted = field.clean - low
    angle = 2 * math.pi * rng.uniform((1,), 0, torch.float64)
    down, right = (torch.fft.fftfreq(size, dtype=torch.float64, device=lifted.device) for size in lifted.shape[-2:])
    path = (3 * torch.sin(angle) * down).unsqueeze(2) + (3 * torch.cos(angle) * right).unsqueeze(1)
    late = down.abs() > 0.5 * (1 - 0.9 * severity.double().unsqueeze(1))
    turn = torch.where(late.unsqueeze(2), -2 * math.pi * path, torch.zeros_like(path))
    phase = torch.polar(torch.ones_like(turn), turn)
    seen = torch.fft.fft2(lifted.double()) * _planes(phase, lifted)
    found: Tensor = torch.fft.ifft2(seen).abs()
    return low + found.to(lifted.dtype)


CORRUPTIONS = {made.__name__: made for made in (noise, blur, blocks, ghosting, motion)}


def _planes(values: Tensor, like: Tensor) -> Tensor:
    """Values [n, height, width] shaped to broadcast against the planes of pictures or volumes."""
    return values.reshape(len(values), *([1] * (like.dim() - 3)), *values.shape[1:])


@lru_cache(maxsize=8)
def _jpeg(device: torch.device) -> tuple[Tensor, Tensor]:
    """The orthonormal cosines [wave, place] of a block, and the table of steps of its coefficients (ITU T.81, K.1)."""
    at = (torch.arange(_BLOCK, dtype=torch.float64) + 0.5) * math.pi / _BLOCK
    waves = torch.cos(torch.arange(_BLOCK, dtype=torch.float64)[:, None] * at) * math.sqrt(2 / _BLOCK)
    waves[0] = math.sqrt(1 / _BLOCK)
    steps = (
        "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
        "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
    )
    table = torch.tensor([float(step) for step in steps.split()], dtype=torch.float64).reshape(_BLOCK, _BLOCK)
    return waves.to(device), table.to(device)

"""Random numbers of a simulated case or patient: one counter-based stream each, whatever stands beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from titer.cases.case import Array


def streams(seed: int, purpose: str, numbers: Iterable[int]) -> Iterator[np.random.Generator]:
    """One generator per number; equal seed, purpose and number give equal bits.

    Source: Salmon et al. 2011 (Philox), doi 10.1145/2063384.2063405; the key is the head of a SHA-256.

    >>> next(streams(0, "docs", [7])).random() == list(streams(0, "docs", range(9)))[7].random()
    True
    """
    for number in numbers:
        key = hashlib.sha256(f"{seed}\0{purpose}\0{number}".encode()).digest()
        yield np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))


def uniforms(seed: int, purpose: str, numbers: range, count: int) -> Array:
    """[n, count] numbers in [0, 1), one row per number."""
    table = np.empty((len(numbers), count))
    for row, generator in enumerate(streams(seed, purpose, numbers)):
        generator.random(out=table[row])
    return table


def normals(seed: int, purpose: str, numbers: range, shape: tuple[int, ...]) -> Array:
    """[n, *shape] standard normal numbers in single precision, one row per number."""
    table = np.empty((len(numbers), *shape), dtype=np.float32)
    for row, generator in enumerate(streams(seed, purpose, numbers)):
        generator.standard_normal(out=table[row], dtype=np.float32)
    return table


def between(share: Array, low: float, high: float) -> Array:
    """Numbers of [0, 1) moved to [low, high), in single precision.

    >>> between(np.array([0.0, 0.5]), -1.0, 1.0).tolist()
    [-1.0, 0.0]
    """
    return (low + (high - low) * share).astype(np.float32)

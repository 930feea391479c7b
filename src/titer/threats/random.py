"""Randomness that belongs to a case, not to a batch.

Every random number is a function of (key of the case, number of the draw, position in the case), computed by the
counter-based generator Philox4x32-10 for a whole batch at once. A case alone therefore draws the bits that it
draws in a batch, in any order, on any worker; an auditor can re-run one case.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, doi
10.1145/2063384.2063405. The known answers of its authors are in the tests.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

# Arrays, which are quicker than tensors for few cases, or tensors; both held in int64.
Words = TypeVar("Words", Tensor, np.ndarray[Any, Any])
_LOW = 0xFFFFFFFF
_MULTIPLY = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]) -> tuple[Words, ...]:
    """Four random 32-bit words (as int64) per counter and key; arrays or tensors, broadcast against each other."""
    a, b, c, d = counter
    first, second = key
    for _ in range(10):
        left, right = a * _MULTIPLY[0], c * _MULTIPLY[1]
        a, b, c, d = (
            ((right >> 32) & _LOW) ^ b ^ first,
            right & _LOW,
            ((left >> 32) & _LOW) ^ d ^ second,
            left & _LOW,
        )
        first, second = (first + _WEYL[0]) & _LOW, (second + _WEYL[1]) & _LOW
    return a, b, c, d


@dataclass(frozen=True, eq=False)
class CaseRandom:
    """One stream of random numbers per case.

    Arguments
        keys: [n, 2] 32-bit words held in int64.

    >>> both = CaseRandom.of("plan/trial", ["a", "b"])
    >>> alone = CaseRandom.of("plan/trial", ["b"])
    >>> bool((both.uniform((3,), draw=0)[1] == alone.uniform((3,), draw=0)[0]).all())
    True
    """

    keys: Tensor

    @classmethod
    def of(cls, seed: str, ids: Iterable[str]) -> CaseRandom:
        """Keys from a seed text (plan and trial digest) and the names of the cases."""
        raw = b"".join(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:8] for name in ids)
        words = np.frombuffer(raw, dtype="<u4").astype(np.int64).reshape(-1, 2)
        return cls(torch.from_numpy(words))

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, index: Tensor) -> CaseRandom:
        """The streams of the cases at these row numbers."""
        return CaseRandom(self.keys[index.to(self.keys.device)])

    def to(self, device: torch.device) -> CaseRandom:
        """The same streams on another device."""
        return CaseRandom(self.keys.to(device))

    def words(self, count: int, draw: int) -> Tensor:
        """[n, count] random 32-bit words; `draw` is any number of at most 32 bits."""
        if self.keys.device.type != "cpu":
            return self._words_there(count, draw)
        keys = self.keys.numpy()
        blocks = np.arange((count + 3) // 4)[None]
        zero = np.zeros_like(blocks)
        four = philox((blocks, zero + (draw & _LOW), zero, zero), (keys[:, :1], keys[:, 1:]))
        return torch.from_numpy(np.stack(four, axis=-1).reshape(len(keys), -1)[:, :count])

    def _words_there(self, count: int, draw: int) -> Tensor:
        """The same words, counted where they are needed."""
        blocks = torch.arange((count + 3) // 4, device=self.keys.device)[None]
        zero = torch.zeros_like(blocks)
        four = philox((blocks, zero + (draw & _LOW), zero, zero), (self.keys[:, :1], self.keys[:, 1:]))
        return torch.stack(four, dim=-1).reshape(len(self.keys), -1)[:, :count]

    def uniform(self, shape: tuple[int, ...], draw: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[n, *shape] numbers in (0, 1): the middle of one of 2^24 equal steps, exact in float32."""
        words = self.words(math.prod(shape), draw)
        return ((words >> 8).to(dtype) + 0.5).mul_(2.0**-24).reshape(-1, *shape)

    def signs(self, shape: tuple[int, ...], draw: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[n, *shape] of -1 or +1."""
        words = self.words(math.prod(shape), draw)
        return ((words >> 31).to(dtype) * 2 - 1).reshape(-1, *shape)

    def normal(self, shape: tuple[int, ...], draw: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[n, *shape] standard normal numbers, by Box and Muller's formula."""
        count = math.prod(shape)
        pairs = self.uniform((2 * ((count + 1) // 2),), draw, torch.float64)
        radius = torch.sqrt(-2 * torch.log(pairs[:, 0::2]))
        angle = 2 * math.pi * pairs[:, 1::2]
        both = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1).flatten(1)
        return both[:, :count].to(dtype).reshape(-1, *shape)

"""How WFDB packs samples into bytes (signal(5)): blocks of whole bytes that hold whole samples.

Format 8 stores differences, which `decode` gives as they are; the others store the samples themselves. Formats 508,
516 and 524 are FLAC streams and have no block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from titer.provenance.fingerprint._channels import integers

# Format: bytes of a block, samples in it.
BLOCKS = {
    8: (1, 1), 16: (2, 1), 24: (3, 1), 32: (4, 1), 61: (2, 1), 80: (1, 1), 160: (2, 1), 212: (3, 2), 310: (4, 3),
    311: (4, 3),
}  # fmt: skip
# Bytes that hold the first one or two samples of a block.
_PART = {212: (2,), 310: (2, 4), 311: (2, 3)}


def least(form: int, samples: int) -> int:
    """The fewest bytes that hold so many samples.

    >>> least(212, 3), least(16, 3)
    (5, 6)
    """
    size, held = BLOCKS[form]
    whole, part = divmod(samples, held)
    return whole * size + (_PART[form][part - 1] if part else 0)


def decode(data: bytes, form: int) -> NDArray[np.integer]:
    """The samples in whole blocks.

    >>> decode(bytes([0xE3, 0x33, 0xF3]), 212).tolist()
    [995, 1011]
    """
    if form == 212:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
        low = parts[:, 0] | (parts[:, 1] & 0x0F) << 8
        high = parts[:, 2] | (parts[:, 1] >> 4) << 8
        return _signed(np.stack([low, high], axis=1), 12)
    if form in (310, 311):
        words = np.frombuffer(data, "<u4").astype(np.int64)
        if form == 311:
            found = [words, words >> 10, words >> 20]
        else:
            found = [words >> 1, words >> 17, (words >> 11 & 0x1F) | (words >> 27 & 0x1F) << 5]
        return _signed(np.stack(found, axis=1) & 0x3FF, 10).astype(np.int32)
    if form in (80, 160):
        width = BLOCKS[form][0]
        return np.frombuffer(data, f"<u{width}").astype(np.int32) - (1 << (8 * width - 1))
    return integers(data, BLOCKS[form][0], big=form == 61)


def _signed(values: NDArray[np.integer], bits: int) -> NDArray[np.integer]:
    half = 1 << (bits - 1)
    return ((values ^ half) - half).reshape(-1)

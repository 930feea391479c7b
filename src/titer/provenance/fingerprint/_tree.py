"""The tree of RFC 6962 over digests that were already made: leaves carry 0x00, nodes 0x01 before they are hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of a leaf (RFC 6962, section 2.1).

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of an inner node (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, split at the largest power of two below their number.

    Pairs are joined level by level and an odd last one is carried up, which gives the same tree without recursion.

    >>> root([leaf_hash(bytes([each])) for each in range(3)]).hex()[:16]
    '3b6cccd7e3e023ff'
    >>> root([]).hex()[:16]
    'e3b0c44298fc1c14'
    """
    level = list(leaf_hashes)
    if not level:
        return hashlib.sha256().digest()
    while len(level) > 1:
        joined = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = joined + level[len(joined) * 2 :]
    return level[0]

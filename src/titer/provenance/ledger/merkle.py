"""The tree of RFC 6962: hashes, compact ranges, inclusion and consistency proofs.

Leaves carry the byte 0x00 and nodes 0x01 before they are hashed with SHA-256; a tree of n leaves is split at the
largest power of two below n. Proofs are made from the hashes of complete subtrees, wherever these are kept, and checked
by another way of reckoning (RFC 9162, sections 2.1.3.2 and 2.1.4.2), so that one mistake cannot hide in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from titer.errors import RecordError

HASH = 32
"""Bytes of a hash."""

EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

Node = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree over leaves `position * 2**height` to `(position + 1) * 2**height - 1`."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf.

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The complete subtrees that a tree is made of, largest first: all one needs to let it grow.

    >>> tree = Frontier()
    >>> for data in (b"\\0", b"\\1", b"\\2"): tree.append(leaf_hash(data))
    >>> tree.size, len(tree.hashes), tree.root().hex()[:16]
    (3, 2, '3b6cccd7e3e023ff')
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size, self.hashes = size, list(hashes)
        if size < 0 or len(self.hashes) != size.bit_count():
            raise _refused(f"one hash for each bit set in the size {size}", f"{len(self.hashes)}", "frontier.invalid")

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            size >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        return _folded(self.hashes)


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = Frontier()
    for each in leaf_hashes:
        tree.append(each)
    return tree.root()


def inclusion(source: Sequence[bytes] | Node, index: int, size: int) -> list[bytes]:
    """The proof that the leaf at `index` is in the tree of `size` leaves, from the leaf upwards.

    Arguments
        source: the leaf hashes, or what gives the hashes of complete subtrees.

    >>> leaves = [leaf_hash(bytes([each])) for each in range(7)]
    >>> proof = inclusion(leaves, 5, 7)
    >>> len(proof), verify_inclusion(leaves[5], 5, 7, proof, root(leaves))
    (3, None)
    """
    if not 0 <= index < size:
        raise _refused(f"an index below the size {size}", str(index), "proof.range")
    return [_hash_of(_node(source), low, high) for low, high in _beside(index, size)]


def consistency(source: Sequence[bytes] | Node, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `new` leaves begins with that of `old` leaves.

    >>> leaves = [leaf_hash(bytes([each])) for each in range(7)]
    >>> proof = consistency(leaves, 3, 7)
    >>> len(proof), verify_consistency(3, 7, root(leaves[:3]), root(leaves), proof)
    (4, None)
    """
    if not 0 <= old <= new:
        raise _refused(f"an old size up to the new one, {new}", str(old), "proof.range")
    if old == 0:
        return []
    return [_hash_of(_node(source), low, high) for low, high in _between(old, new)]


def frontier(node: Node, size: int) -> Frontier:
    """The compact range of a tree that is kept elsewhere, read by its complete subtrees."""
    return Frontier(size, [node(height, low >> height) for height, low in _complete(0, size)])


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with this hash is at `index` in the tree with this size and root; RecordError if not."""
    _require_hashes([leaf, root, *proof])
    if not 0 <= index < size:
        raise _refused(f"an index below the size {size}", str(index), "proof.range")
    at, last, here = index, size - 1, leaf
    for each in proof:
        if last == 0:
            raise _refused("a proof as high as the tree", "a longer one", "proof.length")
        if at & 1 or at == last:
            here = node_hash(each, here)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            here = node_hash(here, each)
        at, last = at >> 1, last >> 1
    if last:
        raise _refused("a proof as high as the tree", "a shorter one", "proof.length")
    if here != root:
        raise _refused(f"the root {root.hex()}", here.hex(), "proof.root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `new` leaves begins with that of `old` leaves; RecordError if it does not.

    Every tree begins with the empty one, which needs no proof.
    """
    _require_hashes([old_root, new_root, *proof])
    if not 0 <= old <= new:
        raise _refused(f"an old size up to the new one, {new}", str(old), "proof.range")
    if old in (0, new):
        if proof:
            raise _refused("no proof where none is needed", f"{len(proof)} hashes", "proof.length")
        if old_root != (new_root if old == new else EMPTY):
            raise _refused("the same root for the same tree", old_root.hex(), "proof.root")
        return
    # A complete old tree is its own first subtree; the proof then leaves its root out.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise _refused("a proof", "no hashes", "proof.length")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for each in path[1:]:
        if last == 0:
            raise _refused("a proof as high as the tree", "a longer one", "proof.length")
        if at & 1 or at == last:
            was, now = node_hash(each, was), node_hash(each, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, each)
        at, last = at >> 1, last >> 1
    if last:
        raise _refused("a proof as high as the tree", "a shorter one", "proof.length")
    if was != old_root or now != new_root:
        raise _refused(f"the roots {old_root.hex()} and {new_root.hex()}", f"{was.hex()} and {now.hex()}", "proof.root")


def _beside(index: int, size: int) -> list[tuple[int, int]]:
    """What lies beside the way from a leaf to the root, lowest first."""
    low, high, found = 0, size, []
    while high - low > 1:
        cut = low + _split(high - low)
        if index < cut:
            found.append((cut, high))
            high = cut
        else:
            found.append((low, cut))
            low = cut
    return found[::-1]


def _between(old: int, new: int) -> list[tuple[int, int]]:
    """What, with the old tree's root where that is a subtree of the new one, makes up both trees, lowest first."""
    low, high, found = 0, new, []
    while high != old:
        cut = low + _split(high - low)
        if old <= cut:
            found.append((cut, high))
            high = cut
        else:
            found.append((low, cut))
            low = cut
    return found[::-1] if low == 0 else [(low, high), *found[::-1]]


def _split(count: int) -> int:
    """The largest power of two below a count of at least two."""
    return 1 << ((count - 1).bit_length() - 1)


def _complete(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Height and first leaf of the complete subtrees that leaves `low` to `high - 1` are made of."""
    for height in reversed(range((high - low).bit_length())):
        if (high - low) >> height & 1:
            yield height, low
            low += 1 << height


def _hash_of(node: Node, low: int, high: int) -> bytes:
    return _folded([node(height, first >> height) for height, first in _complete(low, high)])


def _folded(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest first."""
    if not hashes:
        return EMPTY
    here = hashes[-1]
    for each in reversed(hashes[:-1]):
        here = node_hash(each, here)
    return here


def _node(source: Sequence[bytes] | Node) -> Node:
    if callable(source):
        return source
    return lambda height, position: root(source[position << height : (position + 1) << height])


def _require_hashes(hashes: Iterable[bytes]) -> None:
    for each in hashes:
        if len(each) != HASH:
            raise _refused(f"hashes of {HASH} bytes", f"one of {len(each)}", "proof.hash")


def _refused(expected: str, got: str, code: str) -> RecordError:
    return RecordError(expected, got, "do not trust it; ask another source for the proof", code=code)

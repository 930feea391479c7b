"""The tree as files: paths, bundles of entries, and proofs from tiles (C2SP tlog-tiles).

Tile `n` of level `l` holds up to 256 hashes, each of a complete subtree of 256**l leaves; a bundle holds up to 256
leaves, each after its length in two bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import merkle
from titer.provenance.ledger.merkle import HASH, Frontier, node_hash

WIDTH = 256
"""The hashes of a full tile."""

ENTRIES = "entries"
"""The level under which bundles of entries are kept."""

_HEIGHT = 8

Read = Callable[[str], bytes | None]
"""Gives the bytes of a file of the log by its path; None where it is not there."""


def path(level: int | str, number: int, width: int = WIDTH) -> str:
    """The path of a tile, or of a bundle where `level` is `ENTRIES`.

    >>> path(0, 1234067), path(ENTRIES, 5, 17)
    ('tile/0/x001/x234/067', 'tile/entries/005.p/17')
    """
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(parts))}" + ("" if width == WIDTH else f".p/{width}")


def bundle(leaves: Sequence[bytes]) -> bytes:
    """A bundle of leaves.

    >>> bundle([b"ab", b""])
    b'\\x00\\x02ab\\x00\\x00'
    """
    for each in leaves:
        if len(each) > 0xFFFF:
            raise RecordError("leaves of at most 65535 bytes", f"{len(each)}", "split it", code="leaf.too_large")
    return b"".join(len(each).to_bytes(2, "big") + each for each in leaves)


def unbundle(raw: bytes, width: int = WIDTH) -> list[bytes]:
    """The first `width` leaves of a bundle; RecordError where it ends earlier, inside a leaf, or holds too many.

    >>> unbundle(bundle([b"ab", b""]), 2)
    [b'ab', b'']
    """
    at, leaves = 0, list[bytes]()
    while at < len(raw):
        stop = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if at + 2 > len(raw) or stop > len(raw):
            raise _damaged("a bundle that ends with a leaf", f"one that ends inside leaf {len(leaves)}")
        leaves.append(raw[at + 2 : stop])
        at = stop
    if not width <= len(leaves) <= WIDTH:
        raise _damaged(f"a bundle of {width} to {WIDTH} leaves", f"{len(leaves)}")
    return leaves[:width]


class Tiles:
    """The hashes of complete subtrees of a log of a size, out of its tiles; each is read once.

    What a tile holds is taken as it is: only a proof that leads to a signed root shows that it is right.
    """

    def __init__(self, read: Read, size: int) -> None:
        self.size = size
        self._read = read
        self._known: dict[tuple[int, int], bytes] = {}

    def __call__(self, height: int, position: int) -> bytes:
        level, above = divmod(height, _HEIGHT)
        number, first = divmod(position << above, WIDTH)
        raw = self._tile(level, number)
        hashes = [raw[at * HASH : (at + 1) * HASH] for at in range(first, first + (1 << above))]
        while len(hashes) > 1:
            hashes = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def _tile(self, level: int, number: int) -> bytes:
        if (level, number) not in self._known:
            width = min(WIDTH, (self.size >> level * _HEIGHT) - number * WIDTH)
            raw = self._read(path(level, number, width))
            if raw is None:
                # A partial tile may go once the full one is there.
                raw = self._read(path(level, number))
            if raw is None:
                at = path(level, number, width)
                raise LedgerError(f"the tile {at}", "none", "run `titer ledger fsck --repair`", code="tile.missing")
            if len(raw) not in (width * HASH, WIDTH * HASH):
                raise _damaged(f"{width} hashes in {path(level, number, width)}", f"{len(raw)} bytes")
            self._known[level, number] = raw
        return self._known[level, number]


def inclusion(read: Read, index: int, size: int) -> list[bytes]:
    """The inclusion proof of a leaf, out of tiles."""
    return merkle.inclusion(Tiles(read, size), index, size)


def consistency(read: Read, old: int, new: int) -> list[bytes]:
    """The consistency proof between two sizes, out of tiles."""
    return merkle.consistency(Tiles(read, new), old, new)


def frontier(read: Read, size: int) -> Frontier:
    """The compact range of a log, out of tiles."""
    return merkle.frontier(Tiles(read, size), size)


def _damaged(expected: str, got: str) -> RecordError:
    return RecordError(expected, got, "fetch it again, or run `titer ledger fsck --repair`", code="tile.damaged")

"""The second routine: the tree built again from what storage gives back, in its tile layout.

It shares no code with `merkle.py` and works another way: no compact range, but whole tiles from the bottom to the top,
each folded layer by layer, which gives what the recursive definition of RFC 6962, section 2.1, does. The sequencer
signs only where both agree; `fsck`, `export` and repair use it to make every file of the site again, byte for byte.

Layout: C2SP tlog-tiles. Tile `n` of level `l` holds up to 256 hashes, each of a whole subtree of 256**l leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

WIDTH = 256

Read = Callable[[str], bytes | None]
"""Gives the bytes of a file of the site by its path; None where it is not there."""


def place(level: int | str, number: int, width: int = WIDTH) -> str:
    """The path of a tile, or of a bundle of entries (`level` is then "entries").

    >>> place(0, 1234067), place("entries", 5, 17)
    ('tile/0/x001/x234/067', 'tile/entries/005.p/17')
    """
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(parts))}" + (f".p/{width}" if width < WIDTH else "")


def edge(size: int) -> Iterator[tuple[int | str, int, int]]:
    """Level, number and width of the partial tiles and of the partial bundle of a tree.

    >>> list(edge(70_000))
    [('entries', 273, 112), (0, 273, 112), (1, 1, 17), (2, 0, 1)]
    """
    if size % WIDTH:
        yield "entries", size // WIDTH, size % WIDTH
    level, count = 0, size
    while count:
        if count % WIDTH:
            yield level, count // WIDTH, count % WIDTH
        level, count = level + 1, count // WIDTH


class Rebuild:
    """A tree as its right edge: the hashes of the last, partial tile of each level, and the last bundle's leaves.

    >>> tree = Rebuild()
    >>> [tree.feed(leaf) for leaf in (b"a", b"b")]
    [[], []]
    >>> sorted(path for path, _ in tree.partial())
    ['tile/0/000.p/2', 'tile/entries/000.p/2']
    """

    __slots__ = ("bundle", "levels", "size")

    def __init__(
        self, size: int = 0, levels: list[list[bytes]] | None = None, bundle: list[bytes] | None = None
    ) -> None:
        self.size = size
        self.levels = [[]] if levels is None else levels
        self.bundle = [] if bundle is None else bundle

    def copy(self) -> Rebuild:
        """A tree that grows apart from this one."""
        return Rebuild(self.size, [list(hashes) for hashes in self.levels], list(self.bundle))

    def feed(self, leaf: bytes) -> list[tuple[str, bytes]]:
        """Add a leaf; gives path and bytes of each file that became full, a bundle before its tile."""
        self.bundle.append(len(leaf).to_bytes(2, "big") + leaf)
        self.levels[0].append(hashlib.sha256(b"\x00" + leaf).digest())
        self.size += 1
        return self._full() if len(self.bundle) == WIDTH else []

    def _full(self) -> list[tuple[str, bytes]]:
        number = self.size // WIDTH - 1
        done = [(place("entries", number), b"".join(self.bundle))]
        self.bundle = []
        level = 0
        while len(self.levels[level]) == WIDTH:
            done.append((place(level, number), b"".join(self.levels[level])))
            if level + 1 == len(self.levels):
                self.levels.append([])
            self.levels[level + 1].append(_fold(self.levels[level]))
            self.levels[level] = []
            level, number = level + 1, number // WIDTH
        return done

    def partial(self) -> list[tuple[str, bytes]]:
        """Path and bytes of the files at the right edge."""
        return [
            (place(level, number, width), b"".join(self.bundle if isinstance(level, str) else self.levels[level]))
            for level, number, width in edge(self.size)
        ]

    def root(self) -> bytes:
        """The root of the tree; of an empty one, the hash of nothing."""
        below: list[bytes] = []
        for hashes in self.levels:
            whole = hashes + below
            below = [_fold(whole)] if whole else []
        return below[0] if below else hashlib.sha256(b"").digest()


def read_edge(read: Read, size: int) -> Rebuild | str:
    """The tree of a size from its files; or the path of the first file that is missing or has another length."""
    tree = Rebuild(size, [[] for _ in range(max(1, _height(size)))])
    for level, number, width in edge(size):
        path = place(level, number, width)
        # Whoever removed partial files of a tile did so because the full one is there.
        raw = read(path)
        if raw is None:
            raw = read(place(level, number))
        if raw is None:
            return path
        if isinstance(level, str):
            leaves = split_bundle(raw)
            if leaves is None or len(leaves) < width:
                return path
            tree.bundle = [len(leaf).to_bytes(2, "big") + leaf for leaf in leaves[:width]]
        else:
            if len(raw) < width * 32:
                return path
            tree.levels[level] = [raw[k * 32 : k * 32 + 32] for k in range(width)]
    return tree


def split_bundle(raw: bytes) -> list[bytes] | None:
    """The leaves of a bundle; None for bytes that end inside a leaf."""
    leaves, at = [], 0
    while at < len(raw):
        stop = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if at + 2 > len(raw) or stop > len(raw):
            return None
        leaves.append(raw[at + 2 : stop])
        at = stop
    return leaves


def _height(size: int) -> int:
    levels = 0
    while size:
        levels, size = levels + 1, size // WIDTH
    return levels


def _fold(hashes: list[bytes]) -> bytes:
    """The root over subtrees: neighbors are hashed in pairs, layer upon layer, and one without a neighbor moves up."""
    while len(hashes) > 1:
        odd = hashes[-1:] if len(hashes) % 2 else []
        hashes = [
            hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(hashes[::2], hashes[1::2], strict=False)
        ] + odd
    return hashes[0]

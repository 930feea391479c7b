"""`scrub`: the same comparison as `fsck`, slice by slice, while the ledger works.

One slice is a bundle of 256 entries: rows, bundle, tile, and the tile's hash in the tile above. A round ends at the
right edge, whose root must be the checkpoint's. The first fault halts the log: nothing is signed until a person has
looked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256

from titer.errors import LedgerError, ProvenanceError
from titer.provenance.ledger._examine import Examiner, Fault, departure
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.recompute import WIDTH, Rebuild, place, read_edge
from titer.provenance.ledger.store import Store


class Scrub:
    """Goes over a published tree again and again.

    Arguments
        store, site: what is compared.
        check: a note to its checkpoint, or RecordError.
    """

    def __init__(self, store: Store, site: Site, check: Callable[[bytes], Checkpoint]) -> None:
        self.store, self.site, self.check = store, site, check
        self.look = Examiner(store, site)
        self.rounds = 0

    def slices(self) -> Iterator[list[Fault]]:
        """One round: the faults of each slice, the last slice being checkpoint and right edge."""
        raw = self.site.checkpoint()
        if raw is None:
            return
        try:
            told = self.check(raw)
        except ProvenanceError as error:
            yield [Fault("public/checkpoint", None, f"is no checkpoint of this log: {error}")]
            return
        for number in range(told.size // WIDTH):
            yield list(self._slice(number, told.size))
        yield list(self._edge(told))
        self.rounds += 1

    def round(self) -> list[Fault]:
        """One round without a pause; halts the log at the first fault."""
        for faults in self.slices():
            if faults:
                self._halt(faults)
                return faults
        return []

    def run(self, stop: threading.Event, *, entries_per_second: float = 5000.0) -> None:
        """Rounds without end, slowly, until told to stop or until a fault halted the log."""
        while not stop.is_set():
            empty = True
            for faults in self.slices():
                empty = False
                if faults:
                    self._halt(faults)
                    return
                if stop.wait(WIDTH / entries_per_second):
                    return
            if empty and stop.wait(1.0):
                return

    def _halt(self, faults: list[Fault]) -> None:
        with self.store.writing() as tx:
            tx.say("halted", "; ".join(map(str, faults[:5])))

    def _slice(self, number: int, size: int) -> Iterator[Fault]:
        tree = Rebuild()
        made: dict[str, bytes] = {}
        start = number * WIDTH
        bundle = self.look.bundle(number, size)
        try:
            for entry in self.store.entries(start, start + WIDTH):
                if entry.index != start + tree.size:
                    break
                faults, leaf = self.look.entry(entry, bundle)
                yield from faults
                made.update(tree.feed(leaf))
        except LedgerError as error:
            yield Fault(self.look.database, self.look.page(error.got), error.got)
            return
        if not made:
            yield Fault(self.look.database, None, f"entry {start + tree.size} is missing")
            return
        tile = made[place(0, 0)]
        yield from self.look.file(place("entries", number), made[place("entries", 0)])
        yield from self.look.file(place(0, number), tile)
        yield from self._above(number, tile, size)

    def _above(self, number: int, tile: bytes, size: int) -> Iterator[Fault]:
        """The hash of a full tile stands in the tile above; that of a tile which this one fills, in the next."""
        level = 1
        while True:
            number, at = number // WIDTH, number % WIDTH * 32
            width = min(WIDTH, size // WIDTH**level - number * WIDTH)
            path = place(level, number, width)
            above = self.site.read(path) or self.site.read(place(level, number)) or b""
            right = _tile_root(tile)
            if (there := above[at : at + 32]) != right:
                yield Fault(f"public/{path}", at + departure(there, right), "is not the hash of the tile below")
                return
            if at != (WIDTH - 1) * 32:
                return
            tile, level = above, level + 1

    def _edge(self, told: Checkpoint) -> Iterator[Fault]:
        tree = read_edge(self.site.read, told.size)
        if isinstance(tree, str):
            yield Fault(f"public/{tree}", None, "is missing or too short")
            return
        number = told.size // WIDTH
        last = Rebuild()
        bundle = self.look.bundle(number, told.size)
        try:
            for entry in self.store.entries(number * WIDTH, told.size):
                faults, leaf = self.look.entry(entry, bundle)
                yield from faults
                last.feed(leaf)
        except LedgerError as error:
            yield Fault(self.look.database, self.look.page(error.got), error.got)
            return
        kinds: tuple[int | str, ...] = ("entries", 0)
        for (_, raw), kind in zip(last.partial(), kinds, strict=False):
            yield from self.look.file(place(kind, number, last.size), raw)
        if tree.root() != told.root:
            yield Fault("public/checkpoint", None, "has another root than the tiles at the right edge")


def _tile_root(tile: bytes) -> bytes:
    hashes = [tile[at : at + 32] for at in range(0, len(tile), 32)]
    while len(hashes) > 1:
        hashes = [sha256(b"\x01" + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes), 2)]
    return hashes[0]

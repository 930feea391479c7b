"""What `fsck` and `scrub` share: one entry, or one file, against its copies; each fault with file and offset."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from titer.errors import RecordError
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.recompute import WIDTH, place, split_bundle
from titer.provenance.ledger.store import Entry, Store


@dataclass(frozen=True)
class Fault:
    """One damaged place: a file (or a table), the offset in it where one can be told, and what is wrong."""

    file: str
    offset: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.file}{'' if self.offset is None else f', offset {self.offset}'}: {self.what}"


class Examiner:
    """Looks at single places.

    Arguments
        store, site: what is looked at.
    """

    def __init__(self, store: Store, site: Site) -> None:
        self.store, self.site = store, site
        self.database = store.file.name if store.file else "database"

    def bundle(self, number: int, size: int) -> list[bytes]:
        """The leaves that a bundle of the published tree holds, as far as it can be read."""
        width = min(WIDTH, size - number * WIDTH)
        raw = self.site.read(place("entries", number, width)) if width > 0 else None
        return split_bundle(raw or b"") or []

    def entry(self, entry: Entry, bundle: list[bytes]) -> tuple[list[Fault], bytes]:
        """The faults of a row, and the leaf that is right: where row and bundle differ, the one that has its hash."""
        faults = []
        leaf = entry.leaf
        if sha256(b"\x00" + leaf).digest() != entry.leaf_hash:
            at = entry.index % WIDTH
            copy = bundle[at] if at < len(bundle) else leaf
            if copy != leaf and sha256(b"\x00" + copy).digest() == entry.leaf_hash:
                byte = departure(leaf, copy)
                words = f"entry {entry.index} is changed at byte {byte} of its leaf"
                faults.append(Fault(self.database, self.offset(leaf, byte), words))
                leaf = copy
            else:
                words = f"entry {entry.index} has another hash than its leaf"
                faults.append(Fault(self.database, self.offset(entry.leaf_hash, 0), words))
        return faults, leaf

    def form(self, entry: Entry, admit: Callable[[bytes], tuple[str, int]]) -> list[Fault]:
        """The fault of a row whose leaf is no valid record, or stands under another key or counter than it says."""
        try:
            told = admit(entry.leaf)
        except RecordError as error:
            return [
                Fault(self.database, self.offset(entry.leaf, 0), f"entry {entry.index} is no valid record: {error}")
            ]
        if tuple(told) == (entry.capture_key, entry.counter):
            return []
        words = f"entry {entry.index} stands under another capture key or counter"
        return [Fault(self.database, self.offset(entry.leaf, 0), words)]

    def file(self, path: str, right: bytes) -> Iterator[Fault]:
        """The fault of a file that is not what it should be."""
        there = self.site.read(path)
        if there is None and ".p/" in path and (full := self.site.read(path.rpartition(".p/")[0])) is not None:
            # The tile has been filled since; partial files may go then.
            there = full[: len(right)]
        if there is None:
            yield Fault(f"public/{path}", None, "is missing")
        elif there != right:
            words = f"is not what the entries give ({len(there)} bytes, {len(right)} expected)"
            yield Fault(f"public/{path}", departure(there, right), words)

    def page(self, line: str) -> int | None:
        """The offset of the page that SQLite complains about."""
        named = re.search(r"[Pp]age (\d+)", line)
        if self.store.file is None or named is None:
            return None
        with self.store.file.open("rb") as stream:
            head = stream.read(18)
        size = int.from_bytes(head[16:18], "big")
        return (int(named[1]) - 1) * (65536 if size == 1 else size)

    def offset(self, value: bytes, at: int) -> int | None:
        """Where byte `at` of a stored value is in the database's file, found by the bytes around it."""
        file = self.store.file
        if file is None or file.stat().st_size == 0:
            return None
        low = max(0, at - 12)
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            start = view.find(value[low : at + 12])
        return None if start < 0 else start + at - low


def departure(there: bytes, right: bytes) -> int:
    """The first offset at which bytes are not what they should be."""
    for at, (one, other) in enumerate(zip(there, right, strict=False)):
        if one != other:
            return at
    return min(len(there), len(right))

"""`fsck`: rebuild everything from the entries, and compare it with everything that is stored.

Each fault names the file and the offset in it. Where copies disagree, the one whose hash stands in a second place is
taken for right, so that one flipped bit is one fault and not a hundred.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from titer.errors import LedgerError, ProvenanceError
from titer.provenance.ledger import merkle
from titer.provenance.ledger._examine import Examiner, Fault, departure
from titer.provenance.ledger._layout import expected
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.mark import HighWaterMark, Mark
from titer.provenance.ledger.publish import Site, put
from titer.provenance.ledger.recompute import WIDTH, Rebuild
from titer.provenance.ledger.store import Published, Store

_MOST = 1000
_MANY, _SLICE = 50_000, 8192


@dataclass
class Findings:
    """What a check went over and what it found; the first thousand faults are kept."""

    origin: str
    size: int = 0
    root: bytes = merkle.EMPTY
    published: int = 0
    files: int = 0
    checkpoints: int = 0
    faults: list[Fault] = field(default_factory=list)
    mended: list[Fault] = field(default_factory=list)

    def add(self, file: str, offset: int | None, what: str) -> None:
        """Note a fault."""
        self.extend([Fault(file, offset, what)])

    def extend(self, faults: list[Fault]) -> None:
        """Note faults."""
        self.faults += faults[: _MOST - len(self.faults)]


class Fsck:
    """A check of a ledger, at rest or at work: what is appended meanwhile is left for the next one.

    Arguments
        store, site, mark: what is checked.
        check: a note to its checkpoint, or RecordError.
        admit: a leaf's capture key and counter, or RecordError; None to leave formats out. Processes get it, so it must
            be one that can be pickled.
    """

    def __init__(
        self,
        store: Store,
        site: Site,
        mark: HighWaterMark,
        check: Callable[[bytes], Checkpoint],
        admit: Callable[[bytes], tuple[str, int]] | None,
    ) -> None:
        self.store, self.site, self.mark, self.check = store, site, mark, check
        self.admit = admit
        self.look = Examiner(store, site)
        self.found = Findings("")
        self._wrong: dict[str, bytes] = {}

    def run(self, *, repair: bool = False) -> Findings:
        """Go over all.

        `repair` makes wrong and missing files of the site again, provided that entries, mark and history of
        checkpoints agree; the database itself is never touched.
        """
        found = self.found = Findings(self.store.said("origin") or "")
        self._wrong = {}
        for line in self.store.integrity():
            found.add(self.look.database, self.look.page(line), line)
        try:
            published = self._published()
            with self._forms() as forms:
                tree = self._entries(published)
                for faults in forms:
                    found.extend(faults)
        except LedgerError as error:
            found.add(self.look.database, self.look.page(error.got), error.got)
            return found
        found.size, found.root = tree.size, tree.root()
        self._strangers(published.size if published else 0)
        if repair and all(fault.file.startswith("public/") for fault in found.faults):
            self._mend()
        return found

    @contextmanager
    def _forms(self) -> Iterator[Iterator[list[Fault]]]:
        """The faults of records' forms, looked for in other processes while the tree is built in this one."""
        size = self.store.size()
        if self.admit is None:
            yield iter(())
        elif size < _MANY:
            yield iter([[f for entry in self.store.entries(0, size) for f in self.look.form(entry, self.admit)]])
        else:
            url = self.store.url.render_as_string(hide_password=False)
            starts = range(0, size, _SLICE)
            context = multiprocessing.get_context("spawn")
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            with ProcessPoolExecutor(cores, mp_context=context) as pool:
                work = partial(_forms_of, url, self.site.public.parent, self.admit)
                yield pool.map(work, starts, [min(size, start + _SLICE) for start in starts])

    def _entries(self, published: Published | None) -> Rebuild:
        found = self.found
        # Read first: what is published or signed meanwhile is larger than what is looked at.
        limit = published.size if published else 0
        mark = self.mark.read()
        if mark is None:
            found.add("high-water mark", None, "there is none")
        history = self._history()
        size = self.store.size()
        tree, frontier = Rebuild(), merkle.Frontier()
        due = next(history, None)
        bundle = self.look.bundle(0, limit)
        for entry in self.store.entries(0, size):
            due = self._pass(due, history, mark, frontier)
            if tree.size == limit:
                self._partial(tree)
            if entry.index != tree.size:
                found.add(self.look.database, None, f"entry {entry.index} stands where entry {tree.size} should")
                return tree
            faults, leaf = self.look.entry(entry, bundle)
            found.extend(faults)
            frontier.append(merkle.leaf_hash(leaf))
            for path, raw in tree.feed(leaf):
                if tree.size <= limit:
                    self._file(path, raw)
            if tree.size % WIDTH == 0:
                bundle = self.look.bundle(tree.size // WIDTH, limit)
        due = self._pass(due, history, mark, frontier)
        if tree.size == limit:
            self._partial(tree)
        self._short(tree.size, limit, mark, due)
        if published is not None and tree.size == limit and published.root != tree.root():
            found.add("public/checkpoint", None, f"has another root than the {limit} entries")
        if tree.root() != frontier.root():
            found.add("the two routines", None, f"give two roots, {tree.root().hex()} and {frontier.root().hex()}")
        return tree

    def _short(self, size: int, limit: int, mark: Mark | None, due: Published | None) -> None:
        if limit > size:
            self.found.add(self.look.database, None, f"has {size} entries; the published checkpoint covers {limit}")
        if mark is not None and mark.size > size:
            self.found.add(self.look.database, None, f"has {size} entries; {mark.size} were signed")
        if due is not None and due.size > size:
            self.found.add(self.look.database, None, f"has {size} entries; its checkpoints cover {due.size}")

    def _pass(
        self, due: Published | None, history: Iterator[Published], mark: Mark | None, frontier: merkle.Frontier
    ) -> Published | None:
        """Compare all that was ever said of the tree of the size that has been reached."""
        if mark is not None and mark.size == frontier.size and mark.root != frontier.root():
            words = f"has another root for size {mark.size} than the entries: another copy of this log has signed"
            self.found.add("high-water mark", None, words)
        while due is not None and due.size <= frontier.size:
            if due.size == frontier.size and due.root != frontier.root():
                words = f"the checkpoint of size {due.size} in the table has another root than the entries"
                self.found.add(self.look.database, None, words)
            due = next(history, None)
        return due

    def _published(self) -> Published | None:
        raw, kept = self.site.checkpoint(), self.store.published()
        if raw is None:
            if kept is not None:
                self.found.add("public/checkpoint", None, "is missing")
            return kept
        try:
            told = self.check(raw)
        except ProvenanceError as error:
            offset = departure(raw, kept.note) if kept is not None else None
            self.found.add("public/checkpoint", offset, f"is no checkpoint that this log has signed: {error}")
            return kept
        if kept is not None and kept.size == told.size and kept.note != raw:
            words = "differs from the same checkpoint in the database"
            self.found.add("public/checkpoint", departure(raw, kept.note), words)
        self.found.published = told.size
        return Published(told.size, told.root, raw)

    def _history(self) -> Iterator[Published]:
        last = self.store.published()
        for row in self.store.checkpoints():
            if last is None or row.size > last.size:
                return
            self.found.checkpoints += 1
            words = ""
            try:
                told = self.check(row.note)
                if (told.size, told.root) != (row.size, row.root):
                    words = f"the row of size {row.size} holds a checkpoint of size {told.size}"
            except ProvenanceError as error:
                words = f"the checkpoint of size {row.size} in the table: {error}"
            if words:
                self.found.add(self.look.database, self.look.offset(row.note, 0), words)
            else:
                yield row

    def _file(self, path: str, right: bytes) -> None:
        self._compare(path, right)
        self._older(path, right)

    def _partial(self, tree: Rebuild) -> None:
        for path, right in tree.partial():
            self._compare(path, right)
            self._older(path.rpartition(".p/")[0], right)

    def _compare(self, path: str, right: bytes) -> None:
        self.found.files += 1
        for fault in self.look.file(path, right):
            self._wrong[path] = right
            self.found.extend([fault])

    def _older(self, path: str, right: bytes) -> None:
        """Partial files of earlier checkpoints: each is how the tile began."""
        folder = self.site.public / f"{path}.p"
        ends = _ends(right) if path.startswith("tile/entries/") else range(32, len(right) + 1, 32)
        for file in sorted(_inside(folder)):
            width = int(file.name) if file.name.isdigit() else 0
            if 0 < width < len(ends):
                self._compare(f"{path}.p/{file.name}", right[: ends[width - 1]])

    def _strangers(self, size: int) -> None:
        if not self.site.public.is_dir():
            return
        for file in sorted(self.site.public.rglob("*")):
            path = file.relative_to(self.site.public).as_posix()
            if not file.is_dir() and path != "checkpoint" and not expected(path, size):
                self.found.add(f"public/{path}", None, "belongs to no tree of this log")

    def _mend(self) -> None:
        found, kept = self.found, self.store.published()
        for path, right in self._wrong.items():
            (self.site.public / path).parent.mkdir(parents=True, exist_ok=True)
            put(self.site.public / path, right)
        mended = {f"public/{path}" for path in self._wrong}
        if kept is not None and any(fault.file == "public/checkpoint" for fault in found.faults):
            put(self.site.public / "checkpoint", kept.note)
            mended.add("public/checkpoint")
        found.mended = [fault for fault in found.faults if fault.file in mended]
        found.faults = [fault for fault in found.faults if fault.file not in mended]


def _forms_of(url: str, folder: Path, admit: Callable[[bytes], tuple[str, int]], start: int, stop: int) -> list[Fault]:
    store = Store.open(url)
    try:
        look = Examiner(store, Site(folder, threads=1))
        return [fault for entry in store.entries(start, stop) for fault in look.form(entry, admit)]
    finally:
        store.close()


def _inside(folder: Path) -> list[Path]:
    """What is in a folder, which the sequencer may remove meanwhile."""
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _ends(bundle: bytes) -> list[int]:
    ends, at = [], 0
    while at < len(bundle):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
        ends.append(at)
    return ends

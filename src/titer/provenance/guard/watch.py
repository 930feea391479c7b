"""A folder of which each finished file is captured, once."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from titer.errors import FingerprintError, GuardError, ProvenanceError
from titer.provenance.fingerprint import Fingerprint, fingerprint_of
from titer.provenance.guard.capture import Capture, Captured
from titer.provenance.guard.decide import PLACES
from titer.provenance.guard.finished import Stamp, Unfinished, read_finished, stamp_of
from titer.provenance.guard.limits import Limits
from titer.provenance.ledger.record import Record, parse

_LOG = logging.getLogger(__name__)

_UNFINISHED = (".part", ".tmp", ".partial", ".filepart", ".crdownload", "~")
_HEADER_BYTES = 1 << 16
_TABLE = """
CREATE TABLE IF NOT EXISTS files (name BLOB PRIMARY KEY, state TEXT, stamp TEXT, since INTEGER, record BLOB)
"""
_FILE = re.compile(rb"[\w~][-\w.~]*", re.ASCII)


class Watch:
    """Captures the files of a folder and of those inside it.

    Arguments
        folder: to look into. Links, names that begin with a dot and endings of unfinished downloads are left out.
        point: the capture point. state: SQLite file that remembers, across restarts, which files were captured.
        kind: of data, where the first bytes do not tell it. settle: seconds for which a file must not have changed.
        renamed: see `read_finished`. limits: bytes of one object. told: gets each record.

    A file is captured once and never again: one that changes afterwards is told and left alone, since to capture it
    anew would vouch for whoever changed it. The files that a WFDB header names are captured with it as one object.
    """

    def __init__(
        self,
        folder: Path,
        point: Capture,
        state: Path,
        *,
        kind: str | None = None,
        settle: float = 2.0,
        renamed: bool = False,
        limits: Limits | None = None,
        told: Callable[[Captured], Any] = lambda _: None,
    ) -> None:
        if not folder.is_dir():
            raise GuardError("a folder to watch", "none", "correct the path", code="watch.folder")
        self._folder, self._point, self._kind = folder, point, kind
        self._settle, self._renamed, self._limits, self._told = settle, renamed, limits or Limits(), told
        self._since: dict[Path, tuple[Stamp, float]] = {}
        self._state = _State(state)

    def run(self, stop: threading.Event, every: float = 1.0) -> None:
        """Look again and again, until told to stop."""
        while not stop.is_set():
            try:
                self.turn()
            except GuardError:
                raise
            except ProvenanceError as error:
                # What could not be captured is tried again.
                _LOG.critical("a file could not be captured: %s", error.code)
            stop.wait(every)

    def turn(self) -> int:
        """Look once; returns how many files are not yet finished."""
        waiting = 0
        files = dict(self._files())
        self._since = {path: each for path, each in self._since.items() if path in files}
        objects, members = self._objects(files)
        for path, parts in objects.items():
            if parts is None:
                waiting += 1
            elif path not in members:
                waiting += not self._object(path, {each: files[each] for each in parts})
        return waiting

    def close(self) -> None:
        """Give back the state."""
        self._state.close()

    # -- looking --------------------------------------------------------------------------------------------------

    def _files(self) -> Iterator[tuple[Path, Stamp]]:
        for place, folders, names in os.walk(self._folder):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for name in sorted(names):
                path = Path(place, name)
                stamp = stamp_of(path)
                if not name.startswith(".") and not name.endswith(_UNFINISHED) and stamp is not None:
                    yield path, stamp

    def _objects(self, files: dict[Path, Stamp]) -> tuple[dict[Path, list[Path] | None], set[Path]]:
        """The files of each object by its first; None where some are missing; and the files that belong to others."""
        objects: dict[Path, list[Path] | None] = {path: [path] for path in files}
        members: set[Path] = set()
        for path in files:
            if path.suffix == ".hea" and self._kind in (None, "signal"):
                beside = [path.with_name(each) for each in _named(path)]
                members.update(beside)
                objects[path] = [path, *beside] if all(each in files for each in beside) else None
        return objects, members

    def _object(self, path: Path, stamps: dict[Path, Stamp]) -> bool:
        """Capture one object if it is finished; whether there is nothing more to do for it."""
        name = self._point.index.blinded("watch", os.fsencode(path.relative_to(self._folder)).hex())
        stamp = repr(sorted(stamps.values()))
        known = self._state.get(name)
        if known is not None and known[0] in ("begun", "captured") and known[1] != stamp:
            # A begun one may be captured already, of which only its old content could tell.
            _LOG.warning("a file changed after it was captured: watch.changed")
            self._state.put(name, "changed", stamp)
            return True
        if known is not None and (known[0] in ("captured", "changed") or known[:2] == ("refused", stamp)):
            return True
        if not self._settled(stamps):
            return False
        try:
            content = read_finished(stamps, self._limits.object_bytes, renamed=self._renamed)
        except Unfinished:
            self._since.pop(path, None)
            return False
        except GuardError as error:
            if error.code != "limit.object_bytes":
                raise
            self._refuse(name, stamp, error)
            return True
        source = content[path] if len(content) == 1 else {each.name: raw for each, raw in content.items()}
        self._capture(name, stamp, source, since=known[2] if known is not None and known[0] == "begun" else None)
        return True

    def _settled(self, stamps: dict[Path, Stamp]) -> bool:
        now = time.monotonic()
        for path, stamp in stamps.items():
            before = self._since.get(path)
            if before is None or before[0] != stamp:
                self._since[path] = (stamp, now)
        return all(now - self._since[path][1] >= self._settle for path in stamps)

    # -- capturing ------------------------------------------------------------------------------------------------

    def _capture(self, name: bytes, stamp: str, source: bytes | dict[str, bytes], *, since: int | None) -> None:
        """Capture one object; `since` is how many records there were when that was begun before."""
        kind = self._kind if isinstance(source, bytes) else "signal"
        try:
            if since is not None:
                made = fingerprint_of(source, kind, self._point.limits)
                if (record := self._recorded(made, since)) is not None:
                    # The program ended between the record and the note of it.
                    self._state.put(name, "captured", stamp, record=record)
                    return
            else:
                self._state.put(name, "begun", stamp, since=self._records())
            done = self._point.capture(source, kind)
        except FingerprintError as error:
            self._refuse(name, stamp, error)
            return
        self._state.put(name, "captured", stamp, record=done.leaf_hash)
        self._told(done)

    def _refuse(self, name: bytes, stamp: str, error: ProvenanceError) -> None:
        _LOG.warning("a file was refused: %s", error.code)
        self._state.put(name, "refused", stamp)

    def _recorded(self, made: Fingerprint, since: int) -> bytes | None:
        """The record of exactly this content under our own key, not older, that no other file has."""
        mine = {each.label: each.value for each in made.digests}
        places = [each for each in made.digests if each.name in PLACES]
        for known in (known for each in places for known in self._point.index.find(each.label, each.value)):
            record = parse(known.leaf)
            same = known.opening is not None and dict(known.opening.digests) == mine
            ours = record.capture_key == self._point.chain.public and record.counter >= since
            if same and ours and not self._state.has(known.leaf_hash) and self._entered(record, known.leaf_hash):
                return known.leaf_hash
        return None

    def _records(self) -> int:
        """How many records our key has."""
        key = self._point.chain.public
        with self._point.chain.ledger.store.writing(lazily=True) as tx:
            count = tx.highest(key) + 1
            while tx.queued(key, count) is not None:
                count += 1
        return count

    def _entered(self, record: Record, name: bytes) -> bool:
        store = self._point.chain.ledger.store
        found = store.find(record.capture_key, record.counter)
        if found is not None:
            return found.leaf_hash == name
        with store.writing(lazily=True) as tx:
            return tx.queued(record.capture_key, record.counter) == name


class _State:
    """Which files were captured: by a blinded name, with the state that they were in."""

    def __init__(self, path: Path) -> None:
        with _failing():
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            path.chmod(0o600)
            for statement in (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                _TABLE,
                "CREATE INDEX IF NOT EXISTS records ON files (record)",
            ):
                self._connection.execute(statement)

    def get(self, name: bytes) -> tuple[str, str, int | None] | None:
        with (
            _failing(),
            closing(self._connection.execute("SELECT state, stamp, since FROM files WHERE name = ?", (name,))) as found,
        ):
            row = found.fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def has(self, record: bytes) -> bool:
        with _failing(), closing(self._connection.execute("SELECT 1 FROM files WHERE record = ?", (record,))) as found:
            return found.fetchone() is not None

    def put(
        self, name: bytes, state: str, stamp: str, *, since: int | None = None, record: bytes | None = None
    ) -> None:
        row = (name, state, stamp, since, record)
        with _failing():
            self._connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise GuardError(
            "a state of the watched folder that can be written", str(error), "make room", code="watch.state"
        ) from error


def _named(header: Path) -> list[str]:
    """The files of samples that a WFDB header names; none where it is no header, which the fingerprint then refuses."""
    try:
        # A name may have become a link or a pipe since it was looked at; neither is followed nor waited for.
        handle = os.open(header, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as stream:
            lines = stream.read(_HEADER_BYTES).splitlines()
    except OSError:
        return []
    told = [line.split() for line in lines if line.strip() and not line.startswith(b"#")]
    if not told or len(told[0]) < 2 or not told[0][1].isdigit():
        return []
    names = (line[0] for line in told[1 : 1 + min(int(told[0][1]), len(told))])
    return sorted({name.decode("ascii") for name in names if _FILE.fullmatch(name)})

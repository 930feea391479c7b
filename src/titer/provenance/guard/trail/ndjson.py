"""FHIR resources as files: one resource a line, one type a file, flushed before the next, rotated by size.

Source: FHIR Bulk Data (NDJSON): each file holds resources of one type, each on a line of its own.
"""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

from titer.errors import GuardError
from titer.provenance.guard.trail.outbox import held
from titer.provenance.ledger.publish import failing, sync

_TYPE = re.compile(r"[A-Z][A-Za-z]{1,40}")


class NdjsonFolder:
    """A folder of `AuditEvent-000001.ndjson`, `Provenance-000001.ndjson` and so on; of one process at a time.

    Arguments
        folder: made if it is not there, readable by its owner only. largest: bytes after which a new file begins.

    Files are never deleted here: how long an audit trail is kept is the site's rule. A line that a killed process left
    half written is cut off when the folder is opened again.
    """

    def __init__(self, folder: Path, *, largest: int = 16 << 20) -> None:
        self._folder, self._largest = folder, largest
        self._lock = threading.Lock()
        self._open: dict[str, tuple[int, int]] = {}
        with failing(f"a folder for {folder.name}"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._hold = held(folder / ".lock")

    def put(self, raw: bytes) -> None:
        """Append a resource, on the disk when this returns; LedgerError where it cannot be."""
        kind = str(json.loads(raw).get("resourceType", ""))
        if not _TYPE.fullmatch(kind) or b"\n" in raw:
            raise GuardError("a FHIR resource on one line", "another text", "write it compactly", code="trail.event")
        with self._lock, failing(f"room for a line of {kind}"):
            number, handle = self._handle(kind)
            size = os.fstat(handle).st_size
            try:
                view = memoryview(raw + b"\n")
                while view:
                    view = view[os.write(handle, view) :]
                os.fsync(handle)
            except OSError:
                # No reader meets half a line.
                os.ftruncate(handle, size)
                raise
            if size + len(raw) + 1 >= self._largest:
                os.close(handle)
                self._open[kind] = (number + 1, self._begin(kind, number + 1))

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for _, handle in self._open.values():
                os.close(handle)
            self._open.clear()
            os.close(self._hold)

    def _handle(self, kind: str) -> tuple[int, int]:
        if kind not in self._open:
            there = sorted(self._folder.glob(f"{kind}-[0-9]*.ndjson"))
            number = int(there[-1].stem.rpartition("-")[2]) if there else 1
            self._open[kind] = (number, self._begin(kind, number))
        return self._open[kind]

    def _begin(self, kind: str, number: int) -> int:
        path = self._folder / f"{kind}-{number:06d}.ndjson"
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _cut(handle)
        sync(self._folder)
        return handle


def _cut(handle: int) -> None:
    """Cut off what follows the last whole line."""
    size = end = os.fstat(handle).st_size
    while end:
        start = max(0, end - 65536)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
        os.fsync(handle)

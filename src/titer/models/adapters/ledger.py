"""A count of queries on the disk: shared by all processes that ask one endpoint, and kept when they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titer.errors import EndpointError, StoreError

# A number of this many digits overwrites any other in one piece.
_DIGITS = 20


class Ledger:
    """How many cases were sent to an endpoint, as a file that only one process at a time may read and raise.

    A case is entered before it is sent, so that a process which is killed in between has counted too much and never too
    little.

    Arguments
        path: the file; its folder must be there, because a folder made on another machine would begin another count.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, other = Ledger(Path(folder) / "count"), Ledger(Path(folder) / "count")
    ...     one.enter(3, most=5), other.sent(), other.enter(2, most=5), one.enter(1, most=5)
    (None, 3, None, 5)
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def enter(self, cases: int, *, most: int) -> int | None:
        """Count cases about to be sent; where they would be too many, count none and return how many were sent."""
        with self._held() as handle:
            sent = self._read(handle)
            if sent + cases > most:
                return sent
            os.pwrite(handle, f"{sent + cases:0{_DIGITS}}\n".encode(), 0)
            os.fsync(handle)
            return None

    def sent(self) -> int:
        """Cases counted so far."""
        with self._held() as handle:
            return self._read(handle)

    def _read(self, handle: int) -> int:
        text = os.pread(handle, _DIGITS + 1, 0).decode("ascii", "replace").strip()
        if text and not text.isdecimal():
            raise EndpointError(
                f"a count of queries in {self.path}", repr(text[:20]), "write the number of cases sent so far into it"
            )
        return int(text or 0)

    @contextmanager
    def _held(self) -> Iterator[int]:
        if sys.platform == "win32":
            raise StoreError("Linux or macOS to count queries", "Windows", "run audits inside the Linux subsystem")
        import fcntl

        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"the audit's folder, to count queries in {self.path}",
                str(error.strerror),
                "let all workers see the same folder, or run with --scheduler inline",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

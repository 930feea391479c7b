"""A durable queue in front of a receiver that may be away: what was put in is sent, in order, at least once.

Whoever puts a message in waits for one flush to the disk and never for the network. A receiver that does not answer is
asked again, less and less often; a message that it will never take is set aside, so that the others go on.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from titer.errors import GuardError, ProvenanceError
from titer.provenance.guard.trail.codes import known

_LOG = logging.getLogger(__name__)

REFUSED = "trail.refused"
"""Code of the error by which a sender says that sending a message again is of no use."""

Send = Callable[[Sequence[bytes]], None]
"""Delivers messages, or raises: `REFUSED` sets them aside, anything else keeps them for another try."""

_TABLE = """CREATE TABLE IF NOT EXISTS messages
    (number INTEGER PRIMARY KEY AUTOINCREMENT, refused INTEGER NOT NULL DEFAULT 0, message BLOB NOT NULL)"""


@dataclass(frozen=True)
class Counts:
    """How a queue is.

    Arguments
        waiting: messages that are still to be sent. refused: set aside, and kept. sent: since it was opened.
        failures: tries that failed since then.
    """

    waiting: int
    refused: int
    sent: int
    failures: int


class Outbox:
    """A queue in a file, and the thread that empties it; of one process at a time.

    Arguments
        path: an SQLite file, made if it is not there. send: how messages are delivered.
        batch: how many are given to `send` at once. most: how many are kept; beyond that `put` refuses.
        first, longest: seconds to wait after the first failure, and at most.
    """

    def __init__(
        self,
        path: Path,
        send: Send,
        *,
        batch: int = 1,
        most: int = 100_000,
        first: float = 1.0,
        longest: float = 60.0,
    ) -> None:
        self._send, self._batch, self._most = send, batch, most
        self._first, self._longest = first, longest
        self._ready = threading.Condition()
        self._closing = False
        self._sent = self._failures = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._hold = held(path.with_name(path.name + ".lock"))
        try:
            with _told():
                self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                for each in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _TABLE):
                    self._database.execute(each)
                self._waiting, self._refused = (self._count(refused) for refused in (0, 1))
            path.chmod(0o600)
        except BaseException:
            os.close(self._hold)
            raise
        self._worker = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._worker.start()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """How the queue is now."""
        with self._ready:
            return Counts(self._waiting, self._refused, self._sent, self._failures)

    def put(self, message: bytes) -> None:
        """Keep a message until it is delivered; GuardError where it cannot be kept."""
        with self._ready:
            if self._waiting + self._refused >= self._most or self._closing:
                raise GuardError(
                    f"an open queue of fewer than {self._most} messages",
                    f"{self._waiting} waiting and {self._refused} refused",
                    "bring its receiver back; the decisions themselves are in the ledger",
                    code="trail.full",
                )
            with _told():
                self._database.execute("INSERT INTO messages (message) VALUES (?)", (message,))
            self._waiting += 1
            self._ready.notify_all()

    def drain(self, timeout: float) -> bool:
        """Wait until nothing waits; False where it still does after `timeout` seconds."""
        until = time.monotonic() + timeout
        with self._ready:
            while self._waiting:
                if not self._ready.wait(until - time.monotonic()) and time.monotonic() >= until:
                    return False
        return True

    def retry(self) -> None:
        """Let what was set aside be tried again, once its cause is mended."""
        with self._ready:
            with _told():
                self._database.execute("UPDATE messages SET refused = 0")
            self._waiting, self._refused = self._waiting + self._refused, 0
            self._ready.notify_all()

    def close(self) -> None:
        """Stop sending; what waits stays in the file."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        self._worker.join()
        self._database.close()
        os.close(self._hold)

    def _count(self, refused: int) -> int:
        wanted = "SELECT COUNT(*) FROM messages WHERE refused = ?"
        return int(self._database.execute(wanted, (refused,)).fetchone()[0])

    def _work(self) -> None:
        pause = 0.0
        while True:
            with self._ready:
                # After a failure the time runs out by itself; new messages do not hurry a receiver that is away.
                until = time.monotonic() + pause
                while not self._closing and (pause > 0 or not self._waiting):
                    left = until - time.monotonic() if pause > 0 else None
                    if left is not None and left <= 0:
                        break
                    self._ready.wait(left)
                if self._closing:
                    return
            pause = self._turn(pause)

    def _turn(self, pause: float) -> float:
        """Send the oldest messages; returns how long to wait before the next try."""
        try:
            with self._ready, _told():
                wanted = "SELECT number, message FROM messages WHERE refused = 0 ORDER BY number LIMIT ?"
                rows = self._database.execute(wanted, (self._batch,)).fetchall()
            if rows:
                self._deliver([row[0] for row in rows], [bytes(row[1]) for row in rows])
        except Exception as error:
            code = known([error.code])[0] if isinstance(error, ProvenanceError) else "other"
            _LOG.error("messages could not be delivered: %s (%s)", code, type(error).__name__)
            with self._ready:
                self._failures += 1
            # Spread out, so that many guards do not come back at once.
            return min(self._longest, max(self._first, 2 * pause)) * random.uniform(0.8, 1.0)
        return 0.0

    def _deliver(self, numbers: list[int], messages: list[bytes]) -> None:
        refused = False
        try:
            self._send(messages)
        except GuardError as error:
            if error.code != REFUSED:
                raise
            refused = True
            _LOG.error("messages were refused for good: %d", len(messages))
        done = "UPDATE messages SET refused = 1" if refused else "DELETE FROM messages"
        with self._ready:
            with _told():
                self._database.execute(
                    f"{done} WHERE number BETWEEN ? AND ? AND refused = 0", (numbers[0], numbers[-1])
                )
            self._waiting -= len(numbers)
            self._refused += len(numbers) if refused else 0
            self._sent += 0 if refused else len(numbers)
            self._ready.notify_all()


def held(path: Path) -> int:
    """The lock of a queue or folder of one process: two would send everything twice, or cut each other's lines."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise GuardError(
            "a queue of this process alone",
            "one that another process holds",
            "give each process a queue of its own",
            code="trail.locked",
        ) from error
    return handle


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise GuardError(
            "a queue that can be read and written",
            str(error),
            "make room, or look at the disk; if the file is damaged, put it aside: decisions are in the ledger",
            code="trail.unavailable",
        ) from error

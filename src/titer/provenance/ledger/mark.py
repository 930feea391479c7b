"""The high-water mark: origin, size and root of the largest tree that was ever signed.

It is kept in another store and another failure domain than the entries, and is never restored from a backup with
them: an older copy of the ledger then meets a mark that is ahead of it, and is refused.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from titer.errors import LedgerError, LedgerRolledBack

_SLOT = 4096
_HEAD = b"titer/mark/1"


@dataclass(frozen=True)
class Mark:
    """What was signed last."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"size {self.size}, root {base64.b64encode(self.root).decode()}"


class HighWaterMark(Protocol):
    """Where a mark is kept. `advance` compares and swaps: of two sequencers with one mark, one loses."""

    def read(self) -> Mark | None:
        """The mark; None where there is none."""

    def create(self, mark: Mark) -> None:
        """Set the first mark; refuses where one is."""

    def advance(self, expected: Mark, new: Mark) -> None:
        """Replace the mark, durably, if it is still `expected`; else raise LedgerRolledBack."""

    def close(self) -> None:
        """Give back what is held open."""


def open_mark(place: str) -> HighWaterMark:
    """The mark at a path, or in a database by its address (`postgresql+psycopg://...`, `sqlite:///...`)."""
    return DatabaseMark(place) if "://" in place else FileMark(Path(place))


class FileMark:
    """A mark in a file with two slots, written in turn: a torn write leaves the mark before it.

    Arguments
        path: a file on another disk, or on another host's disk, than the ledger's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        """Nothing is held open between calls."""

    def read(self) -> Mark | None:
        if not self.path.exists():
            return None
        with self._locked() as handle:
            return self._newest(handle)[1]

    def create(self, mark: Mark) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise LedgerError(
                "no mark yet",
                f"one at {self.path}",
                "open the ledger that it belongs to; a mark is never started anew",
                code="mark.exists",
            ) from error
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._write(handle, 0, mark)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(handle)

    def advance(self, expected: Mark, new: Mark) -> None:
        with self._locked() as handle:
            number, found = self._newest(handle)
            if found != expected:
                raise moved(expected, found)
            self._write(handle, number + 1, new)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise self._failed(error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(handle)

    def _newest(self, handle: int) -> tuple[int, Mark]:
        slots = [found for place in (0, _SLOT) if (found := _parse(os.pread(handle, _SLOT, place))) is not None]
        if not slots:
            raise LedgerError(
                "a high-water mark",
                f"{self.path} with neither slot whole",
                "take size and root from a witness or a mirror before you trust this ledger again",
                code="mark.damaged",
            )
        return max(slots, key=lambda slot: slot[0])

    def _write(self, handle: int, number: int, mark: Mark) -> None:
        lines = (_HEAD, b"%d" % number, mark.origin.encode(), b"%d" % mark.size, base64.b64encode(mark.root))
        body = b"\n".join(lines) + b"\n"
        raw = (body + hashlib.sha256(body).hexdigest().encode() + b"\n").ljust(_SLOT, b"\0")
        place = (number % 2) * _SLOT
        done = 0
        while done < len(raw):
            done += os.pwrite(handle, raw[done:], place + done)
        os.fsync(handle)

    def _failed(self, error: OSError) -> LedgerError:
        return LedgerError(
            "a high-water mark that can be read and written",
            f"{self.path}: {error.strerror}",
            "make its disk or share available again; nothing is signed without it",
            code="mark.unavailable",
        )


def _parse(raw: bytes) -> tuple[int, Mark] | None:
    lines = raw.rstrip(b"\0").split(b"\n")
    if len(lines) != 7 or lines[0] != _HEAD:
        return None
    body = b"\n".join(lines[:5]) + b"\n"
    if hashlib.sha256(body).hexdigest().encode() != lines[5]:
        return None
    return int(lines[1]), Mark(lines[2].decode(), int(lines[3]), base64.b64decode(lines[4]))


class DatabaseMark:
    """A mark in a table of another database.

    Arguments
        url: the database's address, other than that of the entries.
    """

    def __init__(self, url: str) -> None:
        import sqlalchemy as sa

        self._engine = sa.create_engine(url)
        self._table = sa.Table(
            "titer_high_water", sa.MetaData(),
            sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
            sa.Column("origin", sa.Text, nullable=False),
            sa.Column("size", sa.BigInteger, nullable=False),
            sa.Column("root", sa.LargeBinary, nullable=False),
        )  # fmt: skip

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def read(self) -> Mark | None:
        import sqlalchemy as sa

        with _told(), self._engine.connect() as connection:
            if not sa.inspect(connection).has_table(self._table.name):
                return None
            row = connection.execute(sa.select(self._table)).first()
        return None if row is None else Mark(row[1], row[2], bytes(row[3]))

    def create(self, mark: Mark) -> None:
        if (found := self.read()) is not None:
            raise LedgerError(
                "no mark yet", f"one with {found}", "open the ledger that it belongs to", code="mark.exists"
            )
        with _told(), self._engine.begin() as connection:
            self._table.create(connection, checkfirst=True)
            connection.execute(self._table.insert().values(id=1, origin=mark.origin, size=mark.size, root=mark.root))

    def advance(self, expected: Mark, new: Mark) -> None:
        table = self._table
        with _told(), self._engine.begin() as connection:
            same = (
                (table.c.origin == expected.origin) & (table.c.size == expected.size) & (table.c.root == expected.root)
            )
            swapped = connection.execute(table.update().where(same).values(size=new.size, root=new.root)).rowcount
        if swapped != 1:
            raise moved(expected, self.read())


@contextmanager
def _told() -> Iterator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerError(
            "a high-water mark that can be read and written",
            str(getattr(error, "orig", None) or error).splitlines()[0],
            "make its database available again; nothing is signed without it",
            code="mark.unavailable",
        ) from error


def moved(expected: Mark, found: Mark | None) -> LedgerRolledBack:
    """The refusal of a sequencer whose mark was moved by another."""
    return LedgerRolledBack(
        f"the high-water mark of {expected.origin} at {expected}",
        "none" if found is None else f"that of {found.origin} at {found}",
        "another copy of this ledger has signed: stop both, and keep the one that the mark and the witnesses know",
        code="ledger.forked",
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The table of entries, which is the truth, and the queue before it: SQLite in one host, PostgreSQL in several.

Each write is one transaction that first locks the lease row, so that writers of all processes and hosts follow one
another. Triggers keep entries and checkpoints append-only, indices without a gap, and stale sequencers out; see
`schema/versions`. SQLite runs in WAL mode with `synchronous = FULL`: what is committed survives a power failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from titer.errors import LedgerError
from titer.provenance.ledger import schema
from titer.provenance.ledger._filesystem import require_local

_CHUNK = 4096


@dataclass(slots=True)
class Entry:
    """One row of the table of entries."""

    index: int
    leaf: bytes
    leaf_hash: bytes
    capture_key: str
    counter: int


class Item(NamedTuple):
    """A leaf on its way into the table; `number` is its place in the queue, None for one that never waited there."""

    leaf: bytes
    leaf_hash: bytes
    capture_key: str
    counter: int
    number: int | None = None


class Standing(NamedTuple):
    """How a log stands: the lease, whether it is frozen, why it is halted, and its size."""

    holder: str
    token: int
    frozen: bool
    halted: str | None
    size: int

    def require(self, token: int) -> None:
        """Refuse unless the lease is still held under this token."""
        if self.token != token:
            raise LedgerError(
                f"the lease under fencing token {token}",
                f"token {self.token}, held by {self.holder or 'nobody'}",
                "leave sequencing to the new holder; what was not acknowledged may be appended again",
                code="lease.lost",
            )

    def require_open(self) -> None:
        """Refuse to add to a log that is frozen or halted."""
        if self.frozen:
            raise LedgerError(
                "a log that takes entries", "one that is frozen", "append to its successor", code="log.frozen"
            )
        self.require_whole()

    def require_whole(self) -> None:
        """Refuse to go on with a log in which damage was found."""
        if self.halted is not None:
            raise LedgerError(
                "a log without damage",
                self.halted,
                "run `titer ledger fsck`, mend it, then `fsck --resume`",
                code="log.halted",
            )


@dataclass(frozen=True)
class Published:
    """The newest checkpoint that the database knows: size, root, and the signed note."""

    size: int
    root: bytes
    note: bytes


class Store:
    """A ledger's database.

    Arguments
        url: `sqlite:///path` or `postgresql+psycopg://...`.

    Refuses SQLite on a network file system, where its locks are not to be trusted, SQLite in memory, PostgreSQL that
    does not flush (`fsync = off`), and a schema of another version.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self.dialect = self.url.get_backend_name()
        if self.dialect not in ("sqlite", "postgresql"):
            raise LedgerError(
                "an address of SQLite or PostgreSQL", repr(self.dialect), "see docs/ledger.md", code="store.url"
            )
        if self.dialect == "sqlite":
            if not self.url.database or self.url.database == ":memory:" or "mode=memory" in self.url.database:
                raise LedgerError(
                    "SQLite in a file",
                    "SQLite in memory",
                    "give a path: sqlite:////srv/ledger.sqlite",
                    code="store.url",
                )
            require_local(Path(self.url.database))
        with _told():
            self._writer = self._engine(writes=True)
            self._lazy = self._engine(writes=True, flushes=False)
            self._reader = self._engine(writes=False)

    @classmethod
    def create(cls, url: str, *, origin: str, predecessor: str = "") -> Store:
        """Make the tables in an empty database, and write down which log it holds."""
        store = cls(url)
        with store.writing() as tx:
            if schema.version(tx.connection) is not None:
                raise LedgerError(
                    "a database without a ledger",
                    "one that holds one",
                    "open it, or choose another",
                    code="store.exists",
                )
            schema.upgrade(tx.connection)
            tx.say("origin", origin)
            tx.say("state", "open")
            if predecessor:
                tx.say("predecessor", predecessor)
        return store

    @classmethod
    def open(cls, url: str) -> Store:
        """Open a database that holds a ledger."""
        store = cls(url)
        if store.dialect == "sqlite" and not Path(str(store.url.database)).is_file():
            raise LedgerError(
                "the ledger's database",
                f"no file {store.url.database}",
                "check the path, or restore a backup and run fsck",
                code="store.missing",
            )
        with _told(), store._reader.connect() as connection:
            schema.require(connection)
        return store

    @property
    def file(self) -> Path | None:
        """The database's file, where it is SQLite."""
        return Path(str(self.url.database)) if self.dialect == "sqlite" else None

    def close(self) -> None:
        """Give back all connections."""
        self._writer.dispose()
        self._lazy.dispose()
        self._reader.dispose()

    # -- reading, on connections of their own ---------------------------------------------------------------------

    def size(self) -> int:
        """How many entries there are."""
        return int(self._scalar("SELECT coalesce(max(idx), -1) + 1 FROM entries"))

    def entries(self, start: int, stop: int) -> Iterator[Entry]:
        """The entries from `start` up to, not including, `stop`, as storage gives them."""
        for low in range(start, stop, _CHUNK):
            with _told(), self._reader.connect() as connection:
                rows = connection.execute(_ENTRIES, {"low": low, "high": min(stop, low + _CHUNK)}).all()
            for row in rows:
                yield Entry(row[0], bytes(row[1]), bytes(row[2]), row[3], row[4])

    def find(self, capture_key: str, counter: int) -> Entry | None:
        """The entry of a capture key's counter."""
        with _told(), self._reader.connect() as connection:
            return _found(connection, capture_key, counter)

    def waiting(self) -> int:
        """How many leaves wait in the queue."""
        return int(self._scalar("SELECT count(*) FROM queue"))

    def published(self) -> Published | None:
        """The newest checkpoint."""
        with _told(), self._reader.connect() as connection:
            row = connection.execute(_NEWEST).first()
        return None if row is None else Published(row[0], bytes(row[1]), bytes(row[2]))

    def checkpoints(self) -> Iterator[Published]:
        """All checkpoints, smallest first."""
        after = -1
        while True:
            with _told(), self._reader.connect() as connection:
                rows = connection.execute(_CHECKPOINTS, {"after": after}).all()
            if not rows:
                return
            yield from (Published(row[0], bytes(row[1]), bytes(row[2])) for row in rows)
            after = rows[-1][0]

    def said(self, name: str) -> str | None:
        """What the log says of itself: `origin`, `state` (open or frozen), `predecessor`, `successor`, `halted`."""
        with _told(), self._reader.connect() as connection:
            found = connection.execute(sa.text("SELECT value FROM log WHERE name = :name"), {"name": name}).scalar()
        return None if found is None else str(found)

    def lease(self) -> tuple[str, int, int]:
        """Holder, fencing token and beat of the lease."""
        with _told(), self._reader.connect() as connection:
            row = connection.execute(_LEASE).one()
        return str(row[0]), int(row[1]), int(row[2])

    def standing(self) -> Standing:
        """How the log stands, in one look."""
        with _told(), self._reader.connect() as connection:
            row = connection.execute(_STANDING).one()
        return Standing(row[0], row[1], row[2] == "frozen", row[3], row[4])

    def integrity(self) -> list[str]:
        """What the database itself finds broken in its pages and indices (SQLite; PostgreSQL checks its own pages)."""
        if self.dialect != "sqlite":
            return []
        with self._reader.connect() as connection:
            try:
                rows = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
            except DBAPIError as error:
                return [str(error.orig)]
        return [line for row in rows for line in str(row).splitlines() if line != "ok" and not line.startswith("***")]

    # -- writing --------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, *, lazily: bool = False) -> Iterator[Writing]:
        """A transaction that holds the lease row: committed at the end of the block, undone if it raises.

        `lazily` commits without waiting for the disk. It is for what can be had from elsewhere after a power failure.
        """
        with _told():
            connection = (self._lazy if lazily else self._writer).connect()
            try:
                with connection.begin():
                    # SQLite's IMMEDIATE has locked all; here the lease row is what writers queue for.
                    if self.dialect == "postgresql" and connection.execute(_MADE).scalar() is not None:
                        connection.execute(_LOCK)
                    yield Writing(connection, self.dialect)
            except SQLAlchemyError:
                # After a failed write nothing that the connection remembers is relied on.
                connection.invalidate()
                raise
            finally:
                connection.close()

    def _scalar(self, statement: str) -> Any:
        with _told(), self._reader.connect() as connection:
            return connection.exec_driver_sql(statement).scalar()

    def _engine(self, *, writes: bool, flushes: bool = True) -> sa.Engine:
        sqlite = self.dialect == "sqlite"
        wait = {"timeout": 30.0, "check_same_thread": False} if sqlite else {"connect_timeout": 10}
        engine = sa.create_engine(
            self.url,
            poolclass=sa.QueuePool,
            pool_size=1 if writes else 5,
            max_overflow=0 if writes else 20,
            connect_args=wait,
        )
        event.listen(engine, "connect", partial(_prepare_sqlite if sqlite else _prepare_postgresql, flushes))
        if sqlite:
            event.listen(engine, "begin", _begin_writing if writes else _begin_reading)
        return engine


class Writing:
    """What may be done inside a transaction that holds the lease row."""

    def __init__(self, connection: sa.Connection, dialect: str) -> None:
        self.connection = connection
        self._dialect = dialect

    def lease(self) -> tuple[str, int, int]:
        """Holder, fencing token and beat."""
        row = self.connection.execute(_LEASE).one()
        return str(row[0]), int(row[1]), int(row[2])

    def take(self, holder: str) -> int:
        """Become the holder; the fencing token grows, so that the last holder can write no more."""
        self.connection.execute(_TAKE, {"holder": holder})
        return self.lease()[1]

    def beat(self) -> None:
        """Show that the holder lives."""
        self.connection.execute(_BEAT)

    def release(self) -> None:
        """Leave the lease to whoever comes next."""
        self.connection.execute(_RELEASE)

    def require(self, token: int) -> None:
        """Refuse unless the lease is still held under this token."""
        self.standing().require(token)

    def standing(self) -> Standing:
        """How the log stands, in one look."""
        row = self.connection.execute(_STANDING).one()
        return Standing(row[0], row[1], row[2] == "frozen", row[3], row[4])

    def size(self) -> int:
        """How many entries there are."""
        return int(self.connection.execute(_SIZE).scalar_one())

    def find(self, capture_key: str, counter: int) -> Entry | None:
        """The entry of a capture key's counter."""
        return _found(self.connection, capture_key, counter)

    def highest(self, capture_key: str) -> int:
        """The highest counter that a capture key has in the table; -1 for a key that has none."""
        return int(self.connection.execute(_HIGHEST, {"key": capture_key}).scalar_one())

    def queued(self, capture_key: str, counter: int) -> bytes | None:
        """The leaf hash that waits under a capture key's counter."""
        found = self.connection.execute(_QUEUED, {"key": capture_key, "counter": counter}).scalar()
        return None if found is None else bytes(found)

    def queue(self, limit: int) -> list[Item]:
        """What has waited longest."""
        rows = self.connection.execute(_QUEUE, {"many": limit}).all()
        return [Item(bytes(row[1]), bytes(row[2]), row[3], row[4], row[0]) for row in rows]

    def enqueue(self, items: Sequence[Item]) -> None:
        """Put leaves at the end of the queue."""
        self.connection.execute(
            _ENQUEUE,
            [{"leaf": i.leaf, "hash": i.leaf_hash, "key": i.capture_key, "counter": i.counter} for i in items],
        )

    def unqueue(self, last: int) -> None:
        """Forget what waited, up to and including a number."""
        self.connection.execute(_UNQUEUE, {"last": last})

    def append(self, start: int, items: Sequence[Item], token: int) -> None:
        """Write leaves as the entries from `start`."""
        if self._dialect == "postgresql":
            columns = {
                "idx": list(range(start, start + len(items))), "leaf": [i.leaf for i in items],
                "hash": [i.leaf_hash for i in items], "key": [i.capture_key for i in items],
                "counter": [i.counter for i in items], "fence": token,
            }  # fmt: skip
            self.connection.execute(_APPEND_ARRAYS, columns)
            return
        self.connection.exec_driver_sql(
            "INSERT INTO entries (idx, leaf, leaf_hash, capture_key, counter, fence) VALUES (?, ?, ?, ?, ?, ?)",
            [(start + k, i.leaf, i.leaf_hash, i.capture_key, i.counter, token) for k, i in enumerate(items)],
        )

    def publish(self, size: int, root: bytes, note: bytes, token: int) -> None:
        """Write down a checkpoint."""
        self.connection.execute(_PUBLISH, {"size": size, "root": root, "note": note, "fence": token})

    def say(self, name: str, value: str) -> None:
        """Write down something that the log says of itself, over what it said before."""
        if self.connection.execute(_RESAY, {"name": name, "value": value}).rowcount == 0:
            self.connection.execute(_SAY, {"name": name, "value": value})

    def said(self, name: str) -> str | None:
        """What the log says of itself."""
        found = self.connection.execute(_SAID, {"name": name}).scalar()
        return None if found is None else str(found)

    def unsay(self, name: str) -> None:
        """Take back a halt."""
        self.connection.execute(sa.text("DELETE FROM log WHERE name = :name"), {"name": name})


def _found(connection: sa.Connection, capture_key: str, counter: int) -> Entry | None:
    row = connection.execute(_FIND, {"key": capture_key, "counter": counter}).first()
    return None if row is None else Entry(row[0], bytes(row[1]), bytes(row[2]), row[3], row[4])


_STANDING = sa.text(
    "SELECT holder, token, (SELECT value FROM log WHERE name = 'state'), "
    "(SELECT value FROM log WHERE name = 'halted'), (SELECT coalesce(max(idx), -1) + 1 FROM entries) "
    "FROM lease WHERE id = 1"
)
_SIZE = sa.text("SELECT coalesce(max(idx), -1) + 1 FROM entries")
_LEASE = sa.text("SELECT holder, token, beat FROM lease WHERE id = 1")
_MADE = sa.text("SELECT to_regclass('lease')")
_LOCK = sa.text("SELECT token FROM lease WHERE id = 1 FOR UPDATE")
_TAKE = sa.text("UPDATE lease SET holder = :holder, token = token + 1, beat = beat + 1 WHERE id = 1")
_BEAT = sa.text("UPDATE lease SET beat = beat + 1 WHERE id = 1")
_RELEASE = sa.text("UPDATE lease SET holder = '', beat = beat + 1 WHERE id = 1")
_ENTRIES = sa.text(
    "SELECT idx, leaf, leaf_hash, capture_key, counter FROM entries WHERE idx >= :low AND idx < :high ORDER BY idx"
)
_FIND = sa.text(
    "SELECT idx, leaf, leaf_hash, capture_key, counter FROM entries WHERE capture_key = :key AND counter = :counter"
)
_HIGHEST = sa.text("SELECT coalesce(max(counter), -1) FROM entries WHERE capture_key = :key")
_QUEUED = sa.text("SELECT leaf_hash FROM queue WHERE capture_key = :key AND counter = :counter")
_QUEUE = sa.text("SELECT id, leaf, leaf_hash, capture_key, counter FROM queue ORDER BY id LIMIT :many")
_ENQUEUE = sa.text("INSERT INTO queue (leaf, leaf_hash, capture_key, counter) VALUES (:leaf, :hash, :key, :counter)")
_UNQUEUE = sa.text("DELETE FROM queue WHERE id <= :last")
_APPEND_ARRAYS = sa.text(
    "INSERT INTO entries (idx, leaf, leaf_hash, capture_key, counter, fence) SELECT *, CAST(:fence AS bigint) FROM "
    "unnest(CAST(:idx AS bigint[]), CAST(:leaf AS bytea[]), CAST(:hash AS bytea[]), CAST(:key AS text[]), "
    "CAST(:counter AS bigint[]))"
)
_PUBLISH = sa.text("INSERT INTO checkpoints (size, root, note, fence) VALUES (:size, :root, :note, :fence)")
_NEWEST = sa.text("SELECT size, root, note FROM checkpoints ORDER BY size DESC LIMIT 1")
_CHECKPOINTS = sa.text("SELECT size, root, note FROM checkpoints WHERE size > :after ORDER BY size LIMIT 1000")
_SAID = sa.text("SELECT value FROM log WHERE name = :name")
_SAY = sa.text("INSERT INTO log (name, value) VALUES (:name, :value)")
_RESAY = sa.text("UPDATE log SET value = :value WHERE name = :name")


def _prepare_sqlite(flushes: bool, connection: Any, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    # SQLAlchemy, not the driver, begins and ends transactions.
    connection.isolation_level = None
    settings = (
        "journal_mode = WAL",
        f"synchronous = {'FULL' if flushes else 'NORMAL'}",
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
        "cell_size_check = ON",
        "trusted_schema = OFF",
        "mmap_size = 0",
        "recursive_triggers = ON",
    )
    for pragma in settings:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_writing(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock at once: two writers never deadlock half-way.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_reading(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _prepare_postgresql(flushes: bool, connection: Any, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('fsync'), current_setting('full_page_writes')")
        settings = cursor.fetchone()
        if settings != ("on", "on"):
            raise LedgerError(
                "PostgreSQL with fsync and full_page_writes on",
                f"{settings[0]} and {settings[1]}",
                "switch both on in postgresql.conf",
                code="store.unsafe",
            )
        cursor.execute(f"SET synchronous_commit = {'on' if flushes else 'off'}")
        cursor.execute("SET lock_timeout = '30s'")
        # A sequencer that stops in mid-transaction must not hold up all others for ever.
        cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
    connection.commit()


_CODES = (
    ("titer.append_only", "store.append_only", "entries and checkpoints only grow; undo the change that was tried"),
    ("titer.fenced", "lease.lost", "leave sequencing to the holder of the lease"),
    ("titer.not_next", "store.not_next", "run `titer ledger fsck`; the indices must be without a gap"),
    ("titer.once", "append.conflict", "give each record of a capture key a counter of its own"),
    ("titer.frozen", "log.frozen", "append to the log that follows this one"),
    ("disk is full", "storage.full", "free some space; what was acknowledged is kept, append the rest again"),
    ("No space left", "storage.full", "free some space; what was acknowledged is kept, append the rest again"),
    ("database is locked", "storage.busy", "find the process that holds the database, and append again"),
    ("lock timeout", "storage.busy", "find the process that holds the database, and append again"),
    ("malformed", "storage.damaged", "run `titer ledger fsck`, then restore from a backup or a mirror"),
    ("not a database", "storage.damaged", "run `titer ledger fsck`, then restore from a backup or a mirror"),
    ("readonly", "storage.readonly", "make the database writable for this user"),
    ("disk I/O", "storage.io", "look at the disk; what was acknowledged is kept, append the rest again"),
    ("Input/output error", "storage.io", "look at the disk; what was acknowledged is kept, append the rest again"),
)


@contextmanager
def _told() -> Iterator[None]:
    """Inside, what the database raises becomes a LedgerError with a reason code."""
    try:
        yield
    except SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        for part, code, remedy in _CODES:
            if part in words:
                raise LedgerError("a database that takes and gives entries", words, remedy, code=code) from error
        raise LedgerError(
            "a database that takes and gives entries",
            words,
            "check that it runs and may be reached",
            code="storage.failed",
        ) from error

"""The private index: openings beside lookup tags, so that a content finds its record.

A tag is the HMAC of a digest under the site's secret, and an opening holds the salts: whoever has this database and the
secret can link leaves to contents, so it stays with the data, never with the ledger. Nothing in it has to be believed:
the guard checks each opening against the leaf, and each leaf against a signed checkpoint.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from titer.errors import GuardError, RecordError
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.merkle import leaf_hash
from titer.provenance.ledger.record import Opening, lookup_tag

_SECRET_BYTES = 32
_MOST = 1000

_META = sa.MetaData()
_OPENINGS = sa.Table(
    "openings", _META,
    sa.Column("leaf_hash", sa.LargeBinary, primary_key=True),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("opening", sa.LargeBinary),
)  # fmt: skip
_TAGS = sa.Table(
    "tags", _META,
    sa.Column("tag", sa.LargeBinary, primary_key=True),
    sa.Column("leaf_hash", sa.LargeBinary, primary_key=True, index=True),
)  # fmt: skip
_USES = sa.Table(
    "uses", _META,
    sa.Column("leaf_hash", sa.LargeBinary, primary_key=True),
    sa.Column("encounter", sa.LargeBinary, nullable=False),
)  # fmt: skip
_SEEN = sa.Table(
    "seen", _META,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """A record that the index knows; its opening is None once it was erased."""

    leaf_hash: bytes
    leaf: bytes
    opening: Opening | None


class Index:
    """A private database of openings.

    Arguments
        url: `sqlite:///path` or `postgresql+psycopg://...`; made if it is not there.
        secret: 32 bytes or more, the site's own, under which tags are made.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        if len(secret) < _SECRET_BYTES:
            raise GuardError(
                f"a secret of at least {_SECRET_BYTES} bytes",
                f"{len(secret)}",
                "make it once with `secrets.token_bytes(32)` and keep it apart from the database",
                code="index.secret",
            )
        self._secret = secret
        # A server may have been started anew since a connection was last used.
        with _told():
            self._engine = sa.create_engine(url, pool_pre_ping=True)
        lite = self._engine.dialect.name == "sqlite"
        sa.event.listen(self._engine, "connect", _prepare if lite else _prepare_postgresql)
        with _told():
            self._make()
        file = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and file and Path(file).is_file():
            Path(file).chmod(0o600)

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def _make(self) -> None:
        # Of processes that make the tables at once, one comes first at each of them; the others look again.
        for left in range(2 * len(_META.tables), -1, -1):
            try:
                _META.create_all(self._engine)
            except sa.exc.DBAPIError as error:
                late = isinstance(error, sa.exc.IntegrityError) or "already exists" in str(error)
                if not left or not late:
                    raise
            else:
                return

    def put(self, leaf: bytes, opening: Opening) -> bytes:
        """Keep an opening and its tags; returns the leaf's hash. The same again changes nothing."""
        return self.put_many([(leaf, opening)])[0]

    def put_many(self, pairs: Iterable[tuple[bytes, Opening]]) -> list[bytes]:
        """Keep openings with their leaves, all or none; returns the leaves' hashes."""
        names = []
        with _told(), self._engine.begin() as connection:
            for leaf, opening in pairs:
                name = leaf_hash(leaf)
                names.append(name)
                if self._row(connection, name) is None:
                    row = {"leaf_hash": name, "leaf": leaf, "opening": opening.to_json()}
                    connection.execute(_OPENINGS.insert().values(**row))
                    tags = [
                        {"tag": self._tag(label, each), "leaf_hash": name} for label, each in opening.digests.items()
                    ]
                    connection.execute(_TAGS.insert(), tags)
        return names

    def find(self, label: str, digest: bytes) -> list[Known]:
        """The records that commit to a digest, at most 1,000; erased ones are no longer found."""
        wanted = (
            sa.select(_OPENINGS)
            .join(_TAGS, _TAGS.c.leaf_hash == _OPENINGS.c.leaf_hash)
            .where(_TAGS.c.tag == self._tag(label, digest))
            .order_by(_OPENINGS.c.leaf_hash)
            .limit(_MOST)
        )
        with _told(), self._engine.connect() as connection:
            return [_known(row) for row in connection.execute(wanted)]

    def get(self, name: bytes) -> Known | None:
        """The record of a leaf hash."""
        with _told(), self._engine.connect() as connection:
            row = self._row(connection, name)
        return None if row is None else _known(row)

    def erase(self, name: bytes) -> None:
        """Destroy an opening and its tags: the leaf can then be linked to nothing. The ledger stays verifiable."""
        with _told(), self._engine.begin() as connection:
            connection.execute(_TAGS.delete().where(_TAGS.c.leaf_hash == name))
            connection.execute(_OPENINGS.update().where(_OPENINGS.c.leaf_hash == name).values(opening=None))
        if self._engine.dialect.name == "sqlite":
            # Until then the opening stands in the write-ahead log.
            with _told(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def purge(self) -> None:
        """Write PostgreSQL's tables anew, so that its files hold no byte of erased openings; others wait meanwhile.

        Its write-ahead log and backups hold them until they are recycled: see docs/guard.md. SQLite needs no purge.
        """
        if self._engine.dialect.name == "sqlite":
            return
        with _told(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in (_OPENINGS, _TAGS):
                file = f"SELECT pg_relation_filepath('{table.name}')"
                before = connection.exec_driver_sql(file).scalar_one()
                connection.exec_driver_sql(f"VACUUM FULL {table.name}")
                # Of a table of somebody else the server only warns that it skips it.
                if connection.exec_driver_sql(file).scalar_one() == before:
                    raise GuardError(
                        f"to be the owner of the table {table.name}",
                        "another role",
                        "connect as the role that made the tables",
                        code="index.owner",
                    )

    def use(self, name: bytes, encounter: str) -> bool:
        """Note the encounter that a record is used for; False where it was used for another before."""
        mine = self.blinded("encounter", encounter)
        wanted = sa.select(_USES.c.encounter).where(_USES.c.leaf_hash == name)
        with _told(), self._engine.connect() as connection:
            try:
                connection.execute(_USES.insert().values(leaf_hash=name, encounter=mine))
                connection.commit()
            except sa.exc.IntegrityError:
                connection.rollback()
            return bytes(connection.execute(wanted).scalar_one()) == mine

    def seen(self, origin: str) -> Checkpoint | None:
        """The largest checkpoint of a log that was accepted here."""
        with _told(), self._engine.connect() as connection:
            row = connection.execute(sa.select(_SEEN).where(_SEEN.c.origin == origin)).first()
        return None if row is None else Checkpoint(row[0], row[1], bytes(row[2]))

    def see(self, checkpoint: Checkpoint) -> None:
        """Remember a checkpoint, unless a larger one is known."""
        mine = _SEEN.c.origin == checkpoint.origin
        told = {"size": checkpoint.size, "root": checkpoint.root}
        with _told(), self._engine.connect() as connection:
            try:
                connection.execute(_SEEN.insert().values(origin=checkpoint.origin, **told))
            except sa.exc.IntegrityError:
                connection.rollback()
                connection.execute(_SEEN.update().where(mine & (_SEEN.c.size < checkpoint.size)).values(**told))
            connection.commit()

    def blinded(self, purpose: str, text: str) -> bytes:
        """HMAC of a name under the site's secret: what a leaf may hold of it."""
        return hmac.new(self._secret, purpose.encode() + b"\0" + text.encode(), hashlib.sha256).digest()

    def _tag(self, label: str, digest: bytes) -> bytes:
        return lookup_tag(self._secret, label, digest)

    def _row(self, connection: sa.Connection, name: bytes) -> Any:
        return connection.execute(sa.select(_OPENINGS).where(_OPENINGS.c.leaf_hash == name)).first()


def _known(row: Any) -> Known:
    try:
        opening = None if row[2] is None else Opening.from_json(bytes(row[2]))
    except RecordError as error:
        raise GuardError(
            "an opening as it was stored",
            error.got,
            "restore the index from a backup: what it lacks is unknown to the guard",
            code="index.damaged",
        ) from error
    return Known(bytes(row[0]), bytes(row[1]), opening)


def _prepare(connection: sa.engine.interfaces.DBAPIConnection, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's
    cursor = connection.cursor()
    # Erased openings must not linger in free pages.
    for setting in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _prepare_postgresql(connection: Any, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's
    # An opening that is lost with the power makes its leaf worth nothing.
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
        cursor.execute("SET lock_timeout = '30s'")
        cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
    connection.commit()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise GuardError(
            "a private index that can be read and written",
            str(getattr(error, "orig", None) or error).splitlines()[0],
            "make its database available again",
            code="index.unavailable",
        ) from error

"""The ledger's tables: one history of migrations for SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titer.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0001"
"""The newest migration; what this version of Titer reads and writes."""


def version(connection: Connection) -> str | None:
    """The migration that a database stands at; None for one that holds no ledger."""
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def upgrade(connection: Connection) -> None:
    """Bring a database to the newest schema, in the transaction that is open on the connection."""
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", "titer.provenance.ledger:schema")
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def require(connection: Connection) -> None:
    """Refuse a database whose schema this version of Titer does not speak."""
    found = version(connection)
    if found != HEAD:
        raise LedgerError(
            f"a database with the ledger's schema {HEAD}",
            "one without a ledger" if found is None else f"schema {found}",
            "make a new ledger with `titer ledger init`, or open it with the version of Titer that made it",
            code="store.schema",
        )

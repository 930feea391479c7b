"""Runs migrations on the connection that the caller holds; Alembic reads this file."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Migrate in the caller's own transaction, so that a schema is there whole or not at all."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
    context.run_migrations()


# Alembic sets `config` while it migrates; whoever merely imports this file changes nothing.
if hasattr(context, "config"):
    run()

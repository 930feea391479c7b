"""Entries, their queue, checkpoints, the lease, and what the log says of itself.

What may never change is guarded by triggers in the database, so that no program, and no person at a database prompt,
changes it by mistake; whoever removes the triggers is found by the tree, the high-water mark and the witnesses.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables, then the triggers in the database's own dialect."""
    op.create_table(
        "log",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "entries",
        sa.Column("idx", _BIG, primary_key=True, autoincrement=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("capture_key", sa.Text, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("capture_key", "counter", name="entries_once"),
    )
    op.create_table(
        "queue",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("capture_key", sa.Text, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("capture_key", "counter", name="queue_once"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", _BIG, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO lease (id, holder, token, beat) VALUES (1, '', 0, 0)")
    {"sqlite": _sqlite, "postgresql": _postgresql}[op.get_bind().dialect.name]()


def _sqlite() -> None:
    for table in ("entries", "checkpoints"):
        for what in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'titer.append_only: {table} can only grow'); END"
            )
        op.execute(
            f"CREATE TRIGGER {table}_fenced BEFORE INSERT ON {table} "
            "WHEN NEW.fence <> (SELECT token FROM lease WHERE id = 1) "
            "BEGIN SELECT RAISE(ABORT, 'titer.fenced: another sequencer holds the lease'); END"
        )
    # REPLACE would delete without firing the trigger for deletion, so a taken index is refused before.
    op.execute(
        "CREATE TRIGGER entries_next BEFORE INSERT ON entries "
        "WHEN NEW.idx <> (SELECT coalesce(max(idx), -1) + 1 FROM entries) "
        "BEGIN SELECT RAISE(ABORT, 'titer.not_next: an entry must take the next index'); END"
    )
    op.execute(
        "CREATE TRIGGER entries_once_only BEFORE INSERT ON entries "
        "WHEN EXISTS (SELECT 1 FROM entries WHERE capture_key = NEW.capture_key AND counter = NEW.counter) "
        "BEGIN SELECT RAISE(ABORT, 'titer.once: this counter of the capture key is taken'); END"
    )
    op.execute(
        "CREATE TRIGGER checkpoints_grow BEFORE INSERT ON checkpoints "
        "WHEN NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoints) "
        "BEGIN SELECT RAISE(ABORT, 'titer.not_next: a checkpoint must be larger than the last'); END"
    )
    for table in ("entries", "queue"):
        op.execute(
            f"CREATE TRIGGER {table}_frozen BEFORE INSERT ON {table} "
            "WHEN EXISTS (SELECT 1 FROM log WHERE name = 'state' AND value = 'frozen') "
            "BEGIN SELECT RAISE(ABORT, 'titer.frozen: the log takes no more entries'); END"
        )
    op.execute(
        "CREATE TRIGGER log_fixed BEFORE UPDATE ON log "
        "WHEN OLD.name IN ('origin', 'predecessor') OR (OLD.name = 'state' AND OLD.value = 'frozen') "
        "BEGIN SELECT RAISE(ABORT, 'titer.append_only: this says for ever what the log is'); END"
    )
    op.execute(
        "CREATE TRIGGER log_kept BEFORE DELETE ON log WHEN OLD.name <> 'halted' "
        "BEGIN SELECT RAISE(ABORT, 'titer.append_only: this says for ever what the log is'); END"
    )
    op.execute(
        "CREATE TRIGGER lease_grows BEFORE UPDATE ON lease WHEN NEW.token < OLD.token "
        "BEGIN SELECT RAISE(ABORT, 'titer.append_only: fencing tokens only grow'); END"
    )


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION titer_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$"
    )
    for table in ("entries", "checkpoints"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT "
            f"EXECUTE FUNCTION titer_refuse('titer.append_only: {table} can only grow')"
        )
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM PUBLIC, CURRENT_USER")
    # Once per statement, over the rows that it adds: a group of entries is one statement.
    op.execute(
        "CREATE FUNCTION titer_entries_next() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE low bigint; high bigint; many bigint; before bigint; "
        "BEGIN "
        "IF EXISTS (SELECT 1 FROM log WHERE name = 'state' AND value = 'frozen') THEN "
        "RAISE EXCEPTION 'titer.frozen: the log takes no more entries'; END IF; "
        "IF EXISTS (SELECT 1 FROM added WHERE fence <> (SELECT token FROM lease WHERE id = 1)) THEN "
        "RAISE EXCEPTION 'titer.fenced: another sequencer holds the lease'; END IF; "
        "SELECT min(idx), max(idx), count(*) INTO low, high, many FROM added; "
        "IF many = 0 THEN RETURN NULL; END IF; "
        "SELECT coalesce(max(idx), -1) INTO before FROM entries WHERE idx < low; "
        "IF low <> before + 1 OR high <> low + many - 1 OR high <> (SELECT max(idx) FROM entries) THEN "
        "RAISE EXCEPTION 'titer.not_next: an entry must take the next index'; END IF; "
        "RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER entries_next AFTER INSERT ON entries REFERENCING NEW TABLE AS added FOR EACH STATEMENT "
        "EXECUTE FUNCTION titer_entries_next()"
    )
    op.execute(
        "CREATE FUNCTION titer_checkpoints_grow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.fence <> (SELECT token FROM lease WHERE id = 1) THEN "
        "RAISE EXCEPTION 'titer.fenced: another sequencer holds the lease'; END IF; "
        "IF NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoints) THEN "
        "RAISE EXCEPTION 'titer.not_next: a checkpoint must be larger than the last'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER checkpoints_grow BEFORE INSERT ON checkpoints FOR EACH ROW "
        "EXECUTE FUNCTION titer_checkpoints_grow()"
    )
    op.execute(
        "CREATE FUNCTION titer_queue_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT 1 FROM log WHERE name = 'state' AND value = 'frozen') THEN "
        "RAISE EXCEPTION 'titer.frozen: the log takes no more entries'; END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER queue_frozen BEFORE INSERT ON queue FOR EACH STATEMENT EXECUTE FUNCTION titer_queue_open()"
    )
    op.execute(
        "CREATE TRIGGER log_fixed BEFORE UPDATE ON log FOR EACH ROW "
        "WHEN (OLD.name IN ('origin', 'predecessor') OR (OLD.name = 'state' AND OLD.value = 'frozen')) "
        "EXECUTE FUNCTION titer_refuse('titer.append_only: this says for ever what the log is')"
    )
    op.execute(
        "CREATE TRIGGER log_kept BEFORE DELETE ON log FOR EACH ROW WHEN (OLD.name <> 'halted') "
        "EXECUTE FUNCTION titer_refuse('titer.append_only: this says for ever what the log is')"
    )
    op.execute(
        "CREATE TRIGGER lease_grows BEFORE UPDATE ON lease FOR EACH ROW WHEN (NEW.token < OLD.token) "
        "EXECUTE FUNCTION titer_refuse('titer.append_only: fencing tokens only grow')"
    )

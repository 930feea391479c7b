"""The database: entries only grow, indices have no gap, stale sequencers are kept out."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from titer.errors import LedgerError
from titer.provenance.ledger import _filesystem, schema
from titer.provenance.ledger.store import Item, Store


def item(counter: int, key: str = "k") -> Item:
    leaf = b"%s %d" % (key.encode(), counter)
    return Item(leaf, sha256(b"\x00" + leaf).digest(), key, counter)


@pytest.fixture
def store(url: str):
    made = Store.create(url, origin="hospital.example/log")
    yield made
    made.close()


def filled(store: Store, many: int) -> int:
    with store.writing() as tx:
        token = tx.take("me")
        tx.append(0, [item(k) for k in range(many)], token)
        tx.publish(many, b"r" * 32, b"note", token)
    return token


def code_of(store: Store, statement: str) -> str:
    with pytest.raises(LedgerError) as caught, store.writing() as tx:
        tx.connection.exec_driver_sql(statement)
    return caught.value.code


def test_what_is_written_is_read_back(store: Store) -> None:
    filled(store, 5000)
    rows = list(store.entries(0, 5000))
    assert [row.index for row in rows] == list(range(5000))
    assert (rows[4321].leaf, rows[4321].leaf_hash, rows[4321].capture_key, rows[4321].counter) == item(4321)[:4]
    assert store.find("k", 17) == rows[17]
    assert store.find("k", 5000) is None
    published = store.published()
    assert published is not None
    assert (published.size, published.note) == (5000, b"note")
    assert [each.size for each in store.checkpoints()] == [5000]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET counter = 9 WHERE idx = 1",
        "DELETE FROM entries WHERE idx = 1",
        "DELETE FROM entries",
        "UPDATE checkpoints SET size = 9",
        "DELETE FROM checkpoints",
        "UPDATE log SET value = 'other' WHERE name = 'origin'",
        "DELETE FROM log WHERE name = 'state'",
        "UPDATE lease SET token = 0",
    ],
)
def test_what_was_written_cannot_be_changed(store: Store, statement: str) -> None:
    filled(store, 3)
    before = list(store.entries(0, 3))
    assert code_of(store, statement) == "store.append_only"
    assert list(store.entries(0, 3)) == before


def test_permission_is_withdrawn_as_well_in_postgresql(store: Store) -> None:
    if store.dialect != "postgresql":
        pytest.skip("SQLite has no permissions")
    with store.writing() as tx:
        rows = tx.connection.exec_driver_sql(
            "SELECT unnest(relacl)::text FROM pg_class WHERE oid = 'entries'::regclass"
        ).scalars()
        rights = [str(row).split("=")[1].split("/")[0] for row in rows]
    # w, d and D are PostgreSQL's letters for UPDATE, DELETE and TRUNCATE.
    assert rights
    assert all(not set("wdD") & set(letters) for letters in rights)


def test_truncation_is_refused(store: Store) -> None:
    filled(store, 3)
    if store.dialect == "postgresql":
        assert code_of(store, "TRUNCATE entries") == "store.append_only"
    else:
        assert code_of(store, "INSERT OR REPLACE INTO entries VALUES (1, x'00', x'00', 'q', 1, 1)") == "store.not_next"
        assert code_of(store, "INSERT OR REPLACE INTO entries VALUES (3, x'00', x'00', 'k', 1, 1)") == "append.conflict"
    assert store.size() == 3


@pytest.mark.parametrize("start", [2, 4, 0])
def test_an_index_is_never_skipped_or_taken_twice(store: Store, start: int) -> None:
    token = filled(store, 3)
    with pytest.raises(LedgerError), store.writing() as tx:
        tx.append(start, [item(100), item(101)], token)
    assert store.size() == 3


def test_a_stale_token_writes_nothing(store: Store) -> None:
    token = filled(store, 3)
    with store.writing() as tx:
        tx.take("another")
    for write in (
        lambda tx: tx.append(3, [item(3)], token),
        lambda tx: tx.publish(4, b"r" * 32, b"n", token),
        lambda tx: tx.require(token),
    ):
        with pytest.raises(LedgerError) as caught, store.writing() as tx:
            write(tx)
        assert caught.value.code == "lease.lost"
    assert store.size() == 3


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    token = filled(store, 3)

    def interrupted() -> None:
        with store.writing() as tx:
            tx.append(3, [item(3)], token)
            tx.enqueue([item(4)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert (store.size(), store.waiting()) == (3, 0)


def test_one_counter_of_a_key_is_entered_once(store: Store) -> None:
    token = filled(store, 3)
    with pytest.raises(LedgerError), store.writing() as tx:
        tx.append(3, [item(2)], token)
    assert store.size() == 3


def test_the_queue_keeps_its_order(store: Store) -> None:
    with store.writing() as tx:
        tx.enqueue([item(k) for k in (3, 1, 2)])
    with store.writing() as tx:
        waiting = tx.queue(2)
        assert [each.counter for each in waiting] == [3, 1]
        assert tx.queued("k", 2) == item(2).leaf_hash
        tx.unqueue(waiting[-1].number or 0)
    assert store.waiting() == 1


def test_a_frozen_log_refuses_at_the_database(store: Store) -> None:
    token = filled(store, 1)
    with store.writing() as tx:
        tx.say("state", "frozen")
    for write in (lambda tx: tx.append(1, [item(9)], token), lambda tx: tx.enqueue([item(9)])):
        with pytest.raises(LedgerError) as caught, store.writing() as tx:
            write(tx)
        assert caught.value.code == "log.frozen"
    assert code_of(store, "UPDATE log SET value = 'open' WHERE name = 'state'") == "store.append_only"


def test_halts_come_and_go(store: Store) -> None:
    with store.writing() as tx:
        tx.say("halted", "a fault")
        tx.say("halted", "another")
    assert store.said("halted") == "another"
    with store.writing() as tx:
        tx.unsay("halted")
    assert store.said("halted") is None


def test_a_second_ledger_in_one_database_is_refused(store: Store, url: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Store.create(url, origin="other.example/log")
    assert caught.value.code == "store.exists"


def test_the_migrations_end_where_the_code_says() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    settings = Config()
    settings.set_main_option("script_location", "titer.provenance.ledger:schema")
    assert ScriptDirectory.from_config(settings).get_heads() == [schema.HEAD]


def test_a_database_of_another_schema_is_refused(store: Store, url: str) -> None:
    with store.writing() as tx:
        tx.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError) as caught:
        Store.open(url)
    assert caught.value.code == "store.schema"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("sqlite://", "store.url"),
        ("sqlite:///:memory:", "store.url"),
        ("mysql://host/db", "store.url"),
        ("sqlite:////nowhere/at/all.sqlite", "store.missing"),
    ],
)
def test_addresses_that_hold_no_ledger_are_refused(address: str, code: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Store.open(address)
    assert caught.value.code == code


def test_an_empty_database_is_no_ledger(url: str, tmp_path: Path) -> None:
    if url.startswith("sqlite"):
        (tmp_path / "entries.sqlite").write_bytes(b"")
    with pytest.raises(LedgerError) as caught:
        Store.open(url)
    assert caught.value.code == "store.schema"


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p", "lustre"])
def test_sqlite_on_a_network_file_system_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_filesystem, "kind_of", lambda path: kind)
    with pytest.raises(LedgerError) as caught:
        Store.create(f"sqlite:///{tmp_path}/a.sqlite", origin="o")
    assert caught.value.code == "store.network"


def test_the_last_mount_on_a_place_counts(tmp_path: Path) -> None:
    table = (
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        f"2 1 0:1 / {tmp_path} rw - tmpfs none rw\n"
        f"3 1 0:2 / {tmp_path} rw shared:1 - nfs host:/x rw\n"
        "4 1 0:3 / /with\\040space rw - cifs //h/s rw\n"
    )
    assert _filesystem.kind_of(tmp_path / "a" / "b", table) == "nfs"
    assert _filesystem.kind_of(Path("/with space/a"), table) == "cifs"
    assert _filesystem.kind_of(Path("/elsewhere"), table) == "ext4"


def test_sqlite_flushes_at_each_commit(tmp_path: Path) -> None:
    store = Store.create(f"sqlite:///{tmp_path}/a.sqlite", origin="o")
    with store.writing() as tx:
        assert tx.connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert tx.connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    with store.writing(lazily=True) as tx:
        assert tx.connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1


def test_postgresql_that_does_not_flush_is_refused(postgres: str) -> None:
    import sqlalchemy as sa

    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
        try:
            while connection.exec_driver_sql("SHOW fsync").scalar() != "off":
                pass
            with pytest.raises(LedgerError) as caught:
                Store.open(postgres)
            assert caught.value.code == "store.unsafe"
        finally:
            connection.exec_driver_sql("ALTER SYSTEM RESET fsync")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
            while connection.exec_driver_sql("SHOW fsync").scalar() != "on":
                pass
    engine.dispose()

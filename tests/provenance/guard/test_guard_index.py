"""The private index: what it finds, what it forgets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from databases import fresh_database
from guard_tools import Counting, Hospital

from titer.errors import GuardError
from titer.provenance.guard.capture import Capture
from titer.provenance.guard.index import Index
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.record import Opening


def _index(url: str, secret: bytes = bytes(32)) -> Index:
    return Index(url, secret)


def _files(url: str) -> list[Path]:
    """The files that an index's tables are in: SQLite's, or PostgreSQL's without its write-ahead log."""
    if url.startswith("sqlite"):
        return list(Path(url.removeprefix("sqlite:///")).parent.iterdir())
    folder = Path(url.partition("host=")[2].partition("&")[0]) / "data" / "base"
    return [path for path in folder.rglob("*") if path.is_file()]


def _flush(url: str) -> None:
    """Let PostgreSQL write its buffers, so that the search sees them."""
    if not url.startswith("sqlite"):
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("CHECKPOINT")
        engine.dispose()


def test_openings_are_found_by_content_under_the_secret_alone(index_url: str) -> None:
    opening = Opening.of([("tx.v1", b"\1" * 32)], {"blocks": [1]})
    index = _index(index_url)
    name = index.put(b"leaf", opening)
    assert index.put(b"leaf", opening) == name
    (found,) = index.find("tx.v1", b"\1" * 32)
    assert (found.leaf, found.leaf_hash, found.opening) == (b"leaf", name, opening)
    assert index.find("tx.v1", b"\2" * 32) == index.find("px.v1", b"\1" * 32) == []
    assert _index(index_url, b"\1" * 32).find("tx.v1", b"\1" * 32) == []


def test_erased_openings_leave_no_byte_behind(index_url: str) -> None:
    opening = Opening.of([("tx.v1", b"\1" * 32)], {})
    index = _index(index_url)
    name = index.put(b"leaf", opening)
    other = index.put(b"other", Opening.of([("tx.v1", b"\3" * 32)], {}))
    # PostgreSQL writes bytes as they are, and SQLite too.
    salt = opening.salts["tx.v1"].hex().encode()
    _flush(index_url)
    assert any(salt in path.read_bytes() for path in _files(index_url))
    index.erase(name)
    index.purge()
    _flush(index_url)
    assert not any(salt in path.read_bytes() for path in _files(index_url))
    assert index.find("tx.v1", b"\1" * 32) == []
    known = index.get(name)
    assert known is not None
    assert known.opening is None
    # It does not come back by itself, and the others stay.
    index.put(b"leaf", opening)
    assert index.find("tx.v1", b"\1" * 32) == []
    assert [each.leaf_hash for each in index.find("tx.v1", b"\3" * 32)] == [other]
    index.close()


def test_processes_and_threads_share_an_index(index_url: str) -> None:
    """Tables made at once, one use of a record by many, checkpoints out of order: one of each wins, for all."""
    with ThreadPoolExecutor(8) as pool:
        indices = list(pool.map(lambda _: _index(index_url), range(8)))
        used = list(pool.map(lambda n: indices[n % 8].use(b"leaf", f"visit {n % 4}"), range(32)))
        list(pool.map(lambda n: indices[n % 8].see(Checkpoint("log", n + 1, bytes([n]) * 32)), range(32)))
    assert sum(used) == 8
    assert all(each.seen("log") == Checkpoint("log", 32, bytes([31]) * 32) for each in indices)
    for each in indices:
        each.close()


def test_an_index_outlives_connections_that_its_server_ended(postgres: str) -> None:
    url = fresh_database(postgres)
    index = _index(url)
    assert index.use(b"leaf", "1")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
    engine.dispose()
    assert index.use(b"leaf", "1")
    index.close()


def test_a_record_serves_one_encounter(index_url: str) -> None:
    index = _index(index_url)
    assert [index.use(b"leaf", visit) for visit in ("1", "1", "2", "1")] == [True, True, False, True]


def test_the_largest_checkpoint_is_remembered(index_url: str) -> None:
    index = _index(index_url)
    assert index.seen("log") is None
    for size in (3, 5, 4):
        index.see(Checkpoint("log", size, bytes([size]) * 32))
    assert _index(index_url).seen("log") == Checkpoint("log", 5, b"\5" * 32)


def test_short_secrets_and_lost_databases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="32 bytes"):
        _index(f"sqlite:///{tmp_path}/index.sqlite", b"short")
    with pytest.raises(GuardError, match="private index"):
        Index(f"sqlite:///{tmp_path}/none/index.sqlite", bytes(32))


def test_damage_is_an_error_of_the_guard(index_url: str) -> None:
    index = _index(index_url)
    name = index.put(b"leaf", Opening.of([("tx.v1", b"\1" * 32)], {}))
    with index._engine.begin() as connection:
        connection.execute(sa.text("UPDATE openings SET opening = :raw"), {"raw": b"{}"})
    with pytest.raises(GuardError, match="as it was stored"):
        index.get(name)


def test_the_ledger_holds_no_identifier(hospital: Hospital) -> None:
    made = hospital.point.capture(b"Jane Roe, born 1970-01-01", "text", subject="MRN 12345")
    assert all(word not in made.leaf for word in (b"Jane", b"12345", b"1970"))
    other = hospital.point.capture(b"Jane Roe, born 1970-01-01", "text", subject="MRN 12345")
    from titer.provenance.ledger.record import parse

    # Two records of one person cannot be joined.
    assert not set(parse(made.leaf).fp.values()) & set(parse(other.leaf).fp.values())


def test_a_guard_works_over_either_database(hospital: Hospital, index_url: str) -> None:
    index = _index(index_url)
    point = Capture(Chain(hospital.ledger, Ed25519PrivateKey.generate()), index)
    policy = hospital.policy("block", captures={point.chain.public})
    guarded = hospital.guarded(Counting(), policy, index=index)
    made = point.capture(b"over either", "text", subject="p1")
    assert guarded(b"over either", "text", subject="p1", encounter="1").verdict == "verified"
    assert guarded(b"over either", "text", subject="p2").verdict == "mismatch_subject"
    assert guarded(b"over either", "text", subject="p1", encounter="2").verdict == "replayed"
    assert guarded(b"0ver either", "text", subject="p1", expected=made.leaf_hash).verdict == "altered"
    index.erase(made.leaf_hash)
    assert guarded(b"over either", "text", subject="p1").verdict == "unknown"
    index.close()


def test_the_rights_that_the_page_names_suffice(postgres: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "guard.md").read_text(encoding="utf-8")
    grants = [line.strip().rstrip(";") for line in page.splitlines() if line.strip().startswith("GRANT")]
    assert len(grants) == 2
    url = fresh_database(postgres)
    _index(url).close()
    schema = url.partition("search_path%3D")[2]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS guard")
        for each in ("CREATE ROLE guard LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO guard", *grants):
            connection.exec_driver_sql(each)
    index = _index(url.replace("//titer@", "//guard@"))
    opening = Opening.of([("tx.v1", b"\1" * 32)], {})
    name = index.put(b"leaf", opening)
    assert index.use(name, "1")
    for size in (1, 2):
        index.see(Checkpoint("log", size, bytes(32)))
    index.erase(name)
    assert index.find("tx.v1", b"\1" * 32) == []
    with pytest.raises(GuardError, match="owner"):
        index.purge()
    index.close()
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP OWNED BY guard")
        connection.exec_driver_sql("DROP ROLE guard")
    engine.dispose()

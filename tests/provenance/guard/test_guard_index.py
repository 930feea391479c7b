"""The private index: what it finds, what it forgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from guard_tools import Hospital

from titer.errors import GuardError
from titer.provenance.guard.index import Index
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.record import Opening


def _index(folder: Path, secret: bytes = bytes(32)) -> Index:
    return Index(f"sqlite:///{folder}/index.sqlite", secret)


def test_openings_are_found_by_content_under_the_secret_alone(tmp_path: Path) -> None:
    opening = Opening.of([("tx.v1", b"\1" * 32)], {"blocks": [1]})
    index = _index(tmp_path)
    name = index.put(b"leaf", opening)
    assert index.put(b"leaf", opening) == name
    (found,) = index.find("tx.v1", b"\1" * 32)
    assert (found.leaf, found.leaf_hash, found.opening) == (b"leaf", name, opening)
    assert index.find("tx.v1", b"\2" * 32) == index.find("px.v1", b"\1" * 32) == []
    assert _index(tmp_path, b"\1" * 32).find("tx.v1", b"\1" * 32) == []


def test_erased_openings_leave_no_byte_behind(tmp_path: Path) -> None:
    opening = Opening.of([("tx.v1", b"\1" * 32)], {})
    index = _index(tmp_path)
    name = index.put(b"leaf", opening)
    salt = opening.salts["tx.v1"].hex().encode()
    assert any(salt in path.read_bytes() for path in tmp_path.iterdir())
    index.erase(name)
    assert not any(salt in path.read_bytes() for path in tmp_path.iterdir())
    assert index.find("tx.v1", b"\1" * 32) == []
    known = index.get(name)
    assert known is not None
    assert known.opening is None
    # It does not come back by itself.
    index.put(b"leaf", opening)
    assert index.find("tx.v1", b"\1" * 32) == []


def test_a_record_serves_one_encounter(tmp_path: Path) -> None:
    index = _index(tmp_path)
    assert [index.use(b"leaf", visit) for visit in ("1", "1", "2", "1")] == [True, True, False, True]


def test_the_largest_checkpoint_is_remembered(tmp_path: Path) -> None:
    index = _index(tmp_path)
    assert index.seen("log") is None
    for size in (3, 5, 4):
        index.see(Checkpoint("log", size, bytes([size]) * 32))
    assert _index(tmp_path).seen("log") == Checkpoint("log", 5, b"\5" * 32)


def test_short_secrets_and_lost_databases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="32 bytes"):
        _index(tmp_path, b"short")
    with pytest.raises(GuardError, match="private index"):
        Index(f"sqlite:///{tmp_path}/none/index.sqlite", bytes(32))


def test_damage_is_an_error_of_the_guard(tmp_path: Path) -> None:
    import sqlalchemy as sa

    index = _index(tmp_path)
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

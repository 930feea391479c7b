"""Appending: indices without gap or double, idempotence, pending witnesses, taking over, rollback and fork."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from provenance_tools import ORIGIN, address, check, examined, leaf, make, mark_of, reopen
from tile_client import Client

from titer.errors import LedgerError, LedgerRolledBack, RecordError
from titer.provenance.ledger import merkle
from titer.provenance.ledger.serve import Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def place_of(folder: Path, url: str) -> str:
    """SQLite lies in the ledger's folder; PostgreSQL is elsewhere."""
    return address(folder) if url.startswith("sqlite") else url


def test_what_was_appended_is_published_at_its_index(folder: Path, url: str) -> None:
    url = place_of(folder, url)
    leaves = [leaf("k", n) for n in range(10)]
    with make(folder, url) as ledger:
        for n, each in enumerate(leaves):
            told = ledger.append(each)
            assert (told.index, told.state, told.leaf_hash) == (n, "published", merkle.leaf_hash(each))
            assert check(ledger.checkpoint()).size == n + 1
    found = examined(folder, url)
    assert (found.size, found.published, found.faults) == (10, 10, [])


def test_a_new_log_publishes_its_empty_tree(folder: Path, url: str) -> None:
    with make(folder, place_of(folder, url)) as ledger:
        ledger.start()
        until = time.monotonic() + 20
        while ledger.site.checkpoint() is None and time.monotonic() < until:
            time.sleep(0.01)
        told = check(ledger.checkpoint())
    assert (told.size, told.root) == (0, merkle.EMPTY)


def test_threads_get_indices_without_gap_or_double(folder: Path, url: str) -> None:
    url = place_of(folder, url)
    got: dict[int, bytes] = {}
    with make(folder, url) as ledger:

        def write(name: int) -> None:
            for n in range(20):
                raw = leaf(name, n)
                told = ledger.append(raw, timeout=60)
                assert told.state == "published"
                assert told.index is not None
                got[told.index] = raw

        threads = [threading.Thread(target=write, args=(name,)) for name in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(got) == list(range(320))
        stored = {entry.index: entry.leaf for entry in ledger.store.entries(0, 320)}
    assert stored == got
    assert examined(folder, url).faults == []


def test_an_independent_client_reads_the_served_log_to_its_end(folder: Path, url: str) -> None:
    with make(folder, place_of(folder, url)) as ledger:
        wanted: list[bytes] = []
        for size in (1, 255, 256, 257, 300, 513):
            more = [leaf("k", n) for n in range(len(wanted), size)]
            ledger.append_many(more)
            wanted += more
            server = Server(folder)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                origin, read, root, entries = Client(server.address).read()
            finally:
                server.shutdown()
                server.server_close()
            assert (origin, read, entries) == (ORIGIN, size, wanted)
            assert root == check(ledger.checkpoint()).root


def test_the_same_record_again_gets_the_index_that_it_has(folder: Path, url: str) -> None:
    with make(folder, place_of(folder, url)) as ledger:
        first = ledger.append(leaf("k", 5))
        other = ledger.append(leaf("k", 4))
        again = ledger.append_many([leaf("k", 5)] * 100)
        assert {told.index for told in again} == {first.index}
        assert ledger.append(leaf("k", 4)).index == other.index
        assert ledger.store.size() == 2


def test_another_record_under_one_counter_is_refused(folder: Path, url: str) -> None:
    with make(folder, place_of(folder, url)) as ledger:
        ledger.append(leaf("k", 1))
        with pytest.raises(LedgerError) as caught:
            ledger.append(leaf("k", 1, b"other"))
        assert caught.value.code == "append.conflict"
        with pytest.raises(LedgerError) as caught:
            ledger.append_many([leaf("k", 2), leaf("k", 2, b"other")])
        assert caught.value.code == "append.conflict"
        assert ledger.store.size() == 2
        assert ledger.append(leaf("k", 3)).index == 2


def test_one_capture_key_cannot_crowd_out_the_others(folder: Path) -> None:
    with make(folder) as ledger:
        with pytest.raises(LedgerError) as caught:
            ledger.append_many([leaf("flood", n) for n in range(10_001)])
        assert caught.value.code == "append.quota"
        assert ledger.append(leaf("k", 0)).index == 0
        assert len(ledger.append_many([leaf("flood", n) for n in range(10_000)], timeout=60)) == 10_000
        assert not ledger._waiting


def test_a_leaf_is_never_larger_than_the_format_allows(folder: Path) -> None:
    with make(folder) as ledger:
        assert ledger.append(leaf("k", 0, b"x" * (8192 - 4))).index == 0
        with pytest.raises(RecordError) as caught:
            ledger.append(leaf("k", 1, b"x" * 8192))
        assert caught.value.code == "leaf.too_large"


def test_a_lost_connection_is_told_and_then_made_again(folder: Path, postgres: str) -> None:
    import sqlalchemy as sa
    from databases import fresh_database

    url = fresh_database(postgres)
    with make(folder, url) as ledger:
        ledger.append(leaf("k", 0))
        engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'titer'"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {others}")
        engine.dispose()
        until = time.monotonic() + 20
        index, codes = None, set()
        while index is None and time.monotonic() < until:
            try:
                index = ledger.append(leaf("k", 1)).index
            except LedgerError as error:
                codes.add(error.code.partition(".")[0])
        assert index == 1
        assert codes <= {"storage"}
    assert examined(folder, url).faults == []


def test_what_is_no_record_never_enters(folder: Path) -> None:
    with make(folder) as ledger, pytest.raises(RecordError):
        ledger.append(b"nonsense")


def test_durable_is_told_before_publication(folder: Path, url: str) -> None:
    url = place_of(folder, url)
    with make(folder, url, cosign=lambda note, prove: note, satisfied=lambda note: False) as ledger:
        told = ledger.append(leaf("k", 1), wait="durable")
        assert (told.index, told.state) == (0, "durable")
    with reopen(folder, url) as ledger:
        assert ledger.append(leaf("k", 1)).state == "published"


def test_without_witnesses_all_is_durable_and_nothing_published_until_they_answer(folder: Path, url: str) -> None:
    url = place_of(folder, url)
    answering = threading.Event()
    asked: list[tuple[int, list[bytes]]] = []

    def cosign(note: bytes, prove: object) -> bytes:
        size = check(note).size
        asked.append((size, prove(1) if size > 1 else []))  # type: ignore[operator]
        return note

    with make(folder, url, cosign=cosign, satisfied=lambda note: answering.is_set()) as ledger:
        for start in range(0, 300, 30):
            told = ledger.append_many([leaf("k", start + n) for n in range(30)], wait="durable")
            assert [each.index for each in told] == list(range(start, start + 30))
        pending = ledger.append(leaf("k", 300), timeout=3.0)
        assert (pending.index, pending.state) == (300, "pending")
        assert not list((folder / "public").rglob("*"))
        answering.set()
        assert ledger.append(leaf("k", 301)).state == "published"
        roots = {}
        frontier = merkle.Frontier()
        for entry in ledger.store.entries(0, 302):
            frontier.append(merkle.leaf_hash(entry.leaf))
            roots[frontier.size] = frontier.root()
    for size, proof in asked[2:]:
        if size > 1:
            merkle.verify_consistency(1, size, roots[1], roots[size], proof)
    assert examined(folder, url).faults == []


def test_a_witness_that_fails_is_asked_again(folder: Path) -> None:
    times = []

    def cosign(note: bytes, prove: object) -> bytes:
        times.append(1)
        if len(times) < 3:
            raise LedgerError("a witness", "none", "wait", code="witness.unreachable")
        return note

    with make(folder, cosign=cosign) as ledger:
        with pytest.raises(LedgerError):
            ledger.append(leaf("k", 0))
        until = time.monotonic() + 20
        while ledger.site.checkpoint() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert ledger.append(leaf("k", 0)).index == 0
    assert examined(folder).faults == []


def test_a_second_process_queues_and_the_holder_publishes(folder: Path, url: str) -> None:
    url = place_of(folder, url)
    with make(folder, url) as first:
        first.append(leaf("a", 0))
        with reopen(folder, url) as second:
            told = second.append(leaf("b", 0))
            assert (told.index, told.state) == (1, "published")
            assert second.append(leaf("a", 0)).index == 0
            with pytest.raises(LedgerError) as caught:
                second.append(leaf("a", 0, b"other"))
            assert caught.value.code == "append.conflict"
            assert second.append(leaf("b", 1), wait="durable").state == "durable"
            assert not second.sequencer.leading
        first.append(leaf("a", 1))
        assert first.store.find("b", 1) is not None
    assert examined(folder, url).faults == []


def test_a_silent_holder_is_taken_over_from_and_can_write_no_more(folder: Path, url: str) -> None:
    url = place_of(folder, url)
    first = make(folder, url, patience=0.3)
    assert first.append(leaf("a", 0)).index == 0
    stale = first.sequencer
    # The holder stops, as a paused process does: its worker sees and does nothing.
    with first._ready, reopen(folder, url, patience=0.3) as second:
        assert second.append(leaf("b", 0)).index == 1
        assert second.sequencer.leading
        # What the stale holder tries now is refused by the database.
        with pytest.raises(LedgerError) as caught:
            stale.commit([])
        assert caught.value.code == "lease.lost"
        stale._token = 1
        with pytest.raises(LedgerError):
            stale.publish()
        assert second.append(leaf("b", 1)).index == 2
    first.close()
    assert examined(folder, url).faults == []
    with reopen(folder, url) as third:
        assert third.append(leaf("a", 1)).index == 3


def test_an_old_checkpoint_never_replaces_a_newer_one(folder: Path) -> None:
    with make(folder) as ledger:
        ledger.append(leaf("k", 0))
        old = ledger.checkpoint()
        ledger.append(leaf("k", 1))
        with pytest.raises(LedgerError) as caught:
            ledger.site.publish(old, ledger.sequencer._newer_than(1))
        assert caught.value.code == "lease.lost"
        assert check(ledger.checkpoint()).size == 2


def test_an_older_copy_of_the_data_signs_nothing(folder: Path, tmp_path: Path) -> None:
    with make(folder) as ledger:
        ledger.append_many([leaf("k", n) for n in range(5)])
    shutil.copytree(folder, tmp_path / "backup")
    with reopen(folder) as ledger:
        ledger.append_many([leaf("k", n) for n in range(5, 9)])
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    before = (folder / "public" / "checkpoint").read_bytes()
    with reopen(folder) as ledger:
        for _ in range(2):
            with pytest.raises(LedgerRolledBack) as caught:
                ledger.append(leaf("k", 5))
            assert caught.value.code == "ledger.rolled_back"
        assert ledger.store.size() == 5
    assert (folder / "public" / "checkpoint").read_bytes() == before
    assert any("were signed" in str(fault) for fault in examined(folder).faults)


def test_of_two_copies_only_one_can_go_on(folder: Path, tmp_path: Path) -> None:
    with make(folder) as ledger:
        ledger.append_many([leaf("k", n) for n in range(5)])
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    with reopen(folder) as ledger, reopen(copy, mark=mark_of(folder).path) as other:
        other.sequencer.lead()
        other.sequencer.load()
        ledger.append(leaf("k", 5))
        with pytest.raises(LedgerRolledBack) as caught:
            other.append(leaf("k", 5, b"a different one"))
        assert caught.value.code == "ledger.forked"
        assert "size 6" in str(caught.value)
        with pytest.raises(LedgerRolledBack):
            other.append(leaf("k", 6))
        assert ledger.append(leaf("k", 6)).index == 6
    with reopen(copy, mark=mark_of(folder).path) as other, pytest.raises(LedgerRolledBack):
        other.append(leaf("k", 7))


def test_a_lost_or_foreign_mark_stops_signing(folder: Path, tmp_path: Path) -> None:
    with make(folder) as ledger:
        ledger.append(leaf("k", 0))
    with reopen(folder, mark=tmp_path / "elsewhere") as ledger, pytest.raises(LedgerError) as caught:
        ledger.append(leaf("k", 1))
    assert caught.value.code == "mark.missing"


def test_a_halted_log_takes_nothing_until_it_is_let_go_on(folder: Path) -> None:
    with make(folder) as ledger:
        ledger.append(leaf("k", 0))
        with ledger.store.writing() as tx:
            tx.say("halted", "a fault at offset 7")
        with pytest.raises(LedgerError, match="offset 7") as caught:
            ledger.append(leaf("k", 1))
        assert caught.value.code == "log.halted"
        with ledger.store.writing() as tx:
            tx.unsay("halted")
        assert ledger.append(leaf("k", 1), timeout=60).index == 1


def test_a_closed_ledger_takes_nothing(folder: Path) -> None:
    ledger = make(folder)
    ledger.append(leaf("k", 0))
    ledger.close()
    with pytest.raises(LedgerError) as caught:
        ledger.append(leaf("k", 1))
    assert caught.value.code == "ledger.closed"


def test_what_a_dead_process_left_queued_is_published_by_the_next(folder: Path, url: str) -> None:
    from titer.provenance.ledger.store import Item

    url = place_of(folder, url)
    with make(folder, url) as ledger:
        with ledger.store.writing() as tx:
            tx.enqueue([Item(leaf("q", n), merkle.leaf_hash(leaf("q", n)), "q", n) for n in range(5000)])
        ledger.start()
        assert ledger.append(leaf("k", 0), timeout=60).index == 5000
    assert examined(folder, url).faults == []


def test_writes_that_take_fewer_bytes_are_gone_on_with(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, pwrite = os.write, os.pwrite
    monkeypatch.setattr(os, "write", lambda handle, raw: write(handle, bytes(raw)[:1000]))
    monkeypatch.setattr(os, "pwrite", lambda handle, raw, at: pwrite(handle, bytes(raw)[:1000], at))
    with make(folder) as ledger:
        ledger.append_many([leaf("k", n) for n in range(300)])
    monkeypatch.undo()
    found = examined(folder)
    assert (found.size, found.published, found.faults) == (300, 300, [])

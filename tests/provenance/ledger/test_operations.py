"""fsck, scrub, export, restore, drill, mirror, freeze: and every kind of bit rot, by file and offset."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from provenance_tools import ORIGIN, address, admit, check, examined, leaf, make, mark_of, reopen, sign

from titer.errors import LedgerError, LedgerRolledBack
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.export import export, restore
from titer.provenance.ledger.freeze import freeze
from titer.provenance.ledger.fsck import Fsck
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.mark import FileMark
from titer.provenance.ledger.mirror import mirror, source_at
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.scrub import Scrub
from titer.provenance.ledger.serve import Server
from titer.provenance.ledger.shard import predecessor_text, shard
from titer.provenance.ledger.store import Store

SIZE = 600


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with two full tiles and a partial one; tests break copies of it."""
    folder = tmp_path_factory.mktemp("kept") / "log"
    with make(folder) as ledger:
        for start in (0, 3, 256, 300, 520):
            stop = {0: 3, 3: 256, 256: 300, 300: 520, 520: SIZE}[start]
            ledger.append_many([leaf("k", n) for n in range(start, stop)])
    with sqlite3.connect(folder / "entries.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def log(kept: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    shutil.copytree(kept, folder)
    shutil.copytree(kept.with_name("log-mark"), tmp_path / "log-mark")
    return folder


def flip(path: Path, offset: int, bit: int = 0) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1 << bit
    path.write_bytes(raw)


def scrubbed(folder: Path) -> list[str]:
    store = Store.open(address(folder))
    try:
        return [str(fault) for fault in Scrub(store, Site(folder, threads=1), check).round()]
    finally:
        store.close()


def refuses(folder: Path) -> str:
    with reopen(folder) as ledger, pytest.raises(LedgerError) as caught:
        ledger.append(leaf("k", SIZE))
    return caught.value.code


def test_a_whole_ledger_has_no_faults(log: Path) -> None:
    found = examined(log)
    assert (found.origin, found.size, found.published, found.faults) == (ORIGIN, SIZE, SIZE, [])
    assert found.checkpoints >= 5
    assert scrubbed(log) == []


@pytest.mark.parametrize(
    "file",
    ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000", "tile/entries/002.p/88"],
)
def test_a_flipped_bit_in_a_file_is_named_by_file_and_offset(log: Path, file: str) -> None:
    path = log / "public" / file
    draw = random.Random(file)
    for _ in range(3):
        offset = draw.randrange(path.stat().st_size)
        whole = path.read_bytes()
        flip(path, offset, draw.randrange(8))
        found = examined(log)
        assert [(fault.file, fault.offset) for fault in found.faults] == [(f"public/{file}", offset)]
        assert any(f"public/{file}, offset {offset}:" in words for words in scrubbed(log))
        with reopen(log) as ledger:
            with pytest.raises(LedgerError) as caught:
                ledger.append(leaf("k", SIZE))
            assert caught.value.code == "log.halted"
            with ledger.store.writing() as tx:
                tx.unsay("halted")
        path.write_bytes(whole)
    assert examined(log).faults == []


@pytest.mark.parametrize("file", ["tile/0/002.p/88", "tile/1/000.p/2", "checkpoint"])
def test_signing_itself_refuses_damage_at_the_right_edge(log: Path, file: str) -> None:
    flip(log / "public" / file, 20)
    assert refuses(log) == "ledger.damaged"
    assert refuses(log) == "log.halted"


def test_damage_while_the_ledger_is_open_stops_it(log: Path) -> None:
    with reopen(log) as ledger:
        ledger.append(leaf("k", SIZE))
        size = SIZE + 1
        flip(log / "public" / f"tile/entries/002.p/{size % 256}", 5)
        with pytest.raises(LedgerError, match="offset 5") as caught:
            ledger.append(leaf("k", SIZE + 1))
        assert caught.value.code == "ledger.damaged"
        with pytest.raises(LedgerError) as caught:
            ledger.append(leaf("k", SIZE + 2))
        assert caught.value.code == "log.halted"


def test_each_byte_of_a_checkpoint_counts(log: Path) -> None:
    path = log / "public" / "checkpoint"
    whole = path.read_bytes()
    for offset in range(0, len(whole), 7):
        flip(path, offset, 1)
        faults = examined(log).faults
        assert [(fault.file, fault.offset) for fault in faults] == [("public/checkpoint", offset)]
        path.write_bytes(whole)


def test_a_flipped_bit_in_an_entry_is_named_by_its_offset_in_the_database(log: Path) -> None:
    path = log / "entries.sqlite"
    whole = path.read_bytes()
    for index in (0, 17, 255, 256, 599):
        start = whole.find(leaf("k", index))
        assert start > 0
        flip(path, start + 9, 4)
        found = examined(log)
        assert any(
            (fault.file, fault.offset) == ("entries.sqlite", start + 9) and f"entry {index} is changed" in fault.what
            for fault in found.faults
        )
        assert all(fault.file == "entries.sqlite" for fault in found.faults)
        assert any(f"entries.sqlite, offset {start + 9}:" in words for words in scrubbed(log))
        path.write_bytes(whole)


def test_random_bits_of_the_database_never_pass_unseen_where_they_matter(log: Path) -> None:
    path = log / "entries.sqlite"
    whole = path.read_bytes()
    draw = random.Random(7)
    seen = 0
    for _ in range(40):
        offset = draw.randrange(100, len(whole))
        flip(path, offset, draw.randrange(8))
        try:
            faults = examined(log).faults
            store = Store.open(address(log))
            same = [entry.leaf for entry in store.entries(0, SIZE)] == [leaf("k", n) for n in range(SIZE)]
            store.close()
        except LedgerError:
            faults, same = [], True
            seen += 1
        assert faults or same
        seen += bool(faults)
        path.write_bytes(whole)
    assert seen >= 20


@pytest.mark.parametrize("how", ["cut", "zeroed"])
@pytest.mark.parametrize("pages", [1, 3, 10])
def test_lost_pages_are_found_out(log: Path, how: str, pages: int) -> None:
    path = log / "entries.sqlite"
    raw = path.read_bytes()
    at = len(raw) - 4096 * pages
    path.write_bytes(raw[:at] + (b"" if how == "cut" else b"\0" * (4096 * pages)))
    try:
        found = [str(fault) for fault in examined(log).faults]
    except LedgerError as error:
        found = [error.code] if error.code.startswith("storage.") else []
    assert found


def test_missing_and_strange_files_are_named_and_mended(log: Path) -> None:
    (log / "public" / "tile" / "0" / "000").unlink()
    (log / "public" / "tile" / "entries" / "001").write_bytes(b"")
    (log / "public" / "tile" / "0" / "007").write_bytes(b"?" * 8192)
    found = examined(log, repair=True)
    assert {fault.file for fault in found.mended} == {"public/tile/0/000", "public/tile/entries/001"}
    assert [fault.file for fault in found.faults] == ["public/tile/0/007"]
    (log / "public" / "tile" / "0" / "007").unlink()
    assert examined(log).faults == []
    flip(log / "public" / "checkpoint", 3)
    assert [fault.file for fault in examined(log, repair=True).mended] == ["public/checkpoint"]
    with reopen(log) as ledger:
        assert ledger.append(leaf("k", SIZE)).index == SIZE


def test_repair_rebuilds_the_site_byte_for_byte(log: Path, kept: Path) -> None:
    for file in list((log / "public").rglob("*")):
        if file.is_file():
            file.unlink()
    found = examined(log, repair=True)
    assert found.faults == []
    for file in (log / "public").rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (kept / "public" / file.relative_to(log / "public")).read_bytes()
    assert examined(log).faults == []


def test_repair_never_writes_from_a_database_that_is_in_doubt(log: Path) -> None:
    whole = (log / "entries.sqlite").read_bytes()
    flip(log / "entries.sqlite", whole.find(leaf("k", 3)) + 5)
    (log / "public" / "tile" / "0" / "000").unlink()
    assert examined(log, repair=True).mended == []
    assert not (log / "public" / "tile" / "0" / "000").exists()


def test_a_changed_history_is_named(log: Path) -> None:
    other = sign(Checkpoint(ORIGIN, SIZE, b"\x07" * 32))
    (log / "public" / "checkpoint").write_bytes(other)
    assert any(fault.file == "public/checkpoint" for fault in examined(log).faults)


def test_an_export_is_the_site_byte_for_byte_and_comes_back(log: Path, tmp_path: Path, url: str) -> None:
    store, site = Store.open(address(log)), Site(log, threads=1)
    assert export(store, site, tmp_path / "out", check).size == SIZE
    with pytest.raises(LedgerError) as caught:
        export(store, site, tmp_path / "out", check)
    assert caught.value.code == "export.exists"
    store.close()
    for file in (tmp_path / "out" / "public").rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (log / "public" / file.relative_to(tmp_path / "out" / "public")).read_bytes()
    back = tmp_path / "back"
    back.mkdir()
    url = address(back) if url.startswith("sqlite") else url
    mark = mark_of(log)
    restore(source_at(str(tmp_path / "out" / "public")), url, back, check, admit, mark)
    assert examined(back, url, mark=mark.path).faults == []
    with reopen(back, url, mark=mark.path) as ledger:
        assert ledger.append(leaf("k", SIZE)).index == SIZE
        assert ledger.append(leaf("k", 5)).index == 5


def test_a_backup_older_than_the_mark_is_not_restored(log: Path, tmp_path: Path) -> None:
    store = Store.open(address(log))
    export(store, Site(log, threads=1), tmp_path / "out", check)
    store.close()
    with reopen(log) as ledger:
        ledger.append(leaf("k", SIZE))
    with pytest.raises(LedgerRolledBack):
        restore(
            source_at(str(tmp_path / "out" / "public")), address(tmp_path), tmp_path / "b", check, admit, mark_of(log)
        )


def test_a_mirror_follows_over_http(log: Path, tmp_path: Path) -> None:
    server = Server(log)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        source = source_at(server.address)
        assert mirror(source, tmp_path / "m", check).size == SIZE
        assert mirror(source, tmp_path / "m", check).size == SIZE
        with reopen(log) as ledger:
            ledger.append_many([leaf("k", SIZE + n) for n in range(500)])
        assert mirror(source, tmp_path / "m", check).size == SIZE + 500
    finally:
        server.shutdown()
        server.server_close()
    assert (tmp_path / "m" / "public" / "checkpoint").read_bytes() == (log / "public" / "checkpoint").read_bytes()
    for name in ("tile/0/003", "tile/entries/003", "tile/1/000.p/4"):
        assert (tmp_path / "m" / "public" / name).read_bytes() == (log / "public" / name).read_bytes()


def test_a_log_chooses_no_other_server_for_a_mirror_and_cannot_hold_it_for_ever(
    log: Path,
) -> None:
    """Redirections could make whoever runs a mirror ask servers that only he can reach."""
    inner = Server(log)

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/checkpoint":
                self.send_response(302)
                self.send_header("Location", f"{inner.address}/checkpoint")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.01)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as outer:
        outer.daemon_threads = True
        for each in (inner, outer):
            threading.Thread(target=each.serve_forever, daemon=True).start()
        try:
            source = source_at(f"http://127.0.0.1:{outer.server_address[1]}", timeout=0.05)
            for path in ("checkpoint", "tile/0/000"):
                with pytest.raises(LedgerError) as caught:
                    source(path)
                assert caught.value.code == "mirror.unreachable"
        finally:
            for each in (inner, outer):
                each.shutdown()
            inner.server_close()


def test_a_mirror_keeps_both_checkpoints_of_a_log_that_changed_its_past(log: Path, tmp_path: Path) -> None:
    source = source_at(str(log / "public"))
    mirror(source, tmp_path / "m", check)
    with make(tmp_path / "fork") as ledger:
        ledger.append_many([leaf("k", n) for n in range(SIZE - 1)])
    forked = source_at(str(tmp_path / "fork" / "public"))
    with pytest.raises(LedgerRolledBack) as caught:
        mirror(forked, tmp_path / "m", check)
    assert caught.value.code == "mirror.rolled_back"
    for more in (1, 50):
        with reopen(tmp_path / "fork") as ledger:
            ledger.append_many([leaf("other", n) for n in range(more)])
        with pytest.raises(LedgerRolledBack) as caught:
            mirror(forked, tmp_path / "m", check)
        assert caught.value.code == "mirror.forked"
        assert str(caught.value).count(ORIGIN) >= 2


def test_a_mirror_takes_no_entry_that_the_root_does_not_cover(log: Path, tmp_path: Path) -> None:
    flip(log / "public" / "tile" / "entries" / "001", 100)
    with pytest.raises(LedgerError) as caught:
        mirror(source_at(str(log / "public")), tmp_path / "m", check)
    assert caught.value.code in ("mirror.damaged", "mirror.unreachable")
    assert not (tmp_path / "m" / "public" / "checkpoint").exists()


def test_a_frozen_log_takes_nothing_more_for_ever(log: Path) -> None:
    with reopen(log) as ledger:
        note = freeze(ledger, leaf("end", 0))
        assert check(note).size == SIZE + 1
        with pytest.raises(LedgerError) as caught:
            ledger.append(leaf("k", SIZE))
        assert caught.value.code == "log.frozen"
    with reopen(log) as ledger, pytest.raises(LedgerError):
        ledger.append(leaf("k", SIZE))
    assert examined(log).faults == []


def test_a_shard_begins_where_the_last_one_ended(log: Path, tmp_path: Path) -> None:
    def begin(predecessor: str) -> Ledger:
        return make(tmp_path / "next", predecessor=predecessor)

    with reopen(log) as old, shard(old, begin, "next", first=lambda end: leaf("anchor", end.size)) as new:
        assert old.store.said("successor") == "next"
        assert old.store.said("state") == "frozen"
        assert new.store.said("predecessor") == predecessor_text(check(old.checkpoint()))
        assert next(new.store.entries(0, 1)).leaf == leaf("anchor", SIZE)
        assert new.append(leaf("k", 0)).index == 1
        with pytest.raises(LedgerError) as caught:
            shard(old, begin, "yet another")
        assert caught.value.code == "shard.exists"
    assert examined(log).faults == []
    assert examined(tmp_path / "next").faults == []


def test_a_scrub_goes_round_and_halts_at_the_first_fault(log: Path) -> None:
    store = Store.open(address(log))
    scrub = Scrub(store, Site(log, threads=1), check)
    stop = threading.Event()
    worker = threading.Thread(target=scrub.run, args=(stop,), kwargs={"entries_per_second": 1e6})
    worker.start()
    while scrub.rounds < 3:
        pass
    flip(log / "public" / "tile" / "0" / "000", 4000)
    worker.join(30)
    assert not worker.is_alive()
    assert "tile/0/000, offset 4000" in (store.said("halted") or "")
    store.close()


def test_only_the_layout_is_served(log: Path) -> None:
    (log / "public" / "secret").write_text("x")
    server = Server(log)
    try:
        assert server.content("checkpoint")
        assert server.content("tile/0/000")
        for path in (
            "secret",
            "../entries.sqlite",
            "tile/../secret",
            "tile/0/../../secret",
            "",
            "tile/0",
            "tile/0/0",
            "tile//0/000",
            "/etc/passwd",
        ):
            assert server.content(path) is None
    finally:
        server.server_close()


def test_the_mark_survives_a_torn_write(log: Path) -> None:
    mark = mark_of(log)
    now = mark.read()
    raw = bytearray(mark.path.read_bytes())
    for slot in (0, 4096):
        torn = bytearray(raw)
        torn[slot + 30 : slot + 60] = b"\0" * 30
        mark.path.write_bytes(torn)
        found = mark.read()
        assert found is not None
        assert now is not None
        assert found.size <= now.size
        with reopen(log) as ledger:
            ledger.start()
    mark.path.write_bytes(b"\0" * 8192)
    with pytest.raises(LedgerError) as caught:
        mark.read()
    assert caught.value.code == "mark.damaged"


def test_findings_of_a_mark_from_another_branch(log: Path, tmp_path: Path) -> None:
    with make(tmp_path / "other") as ledger:
        ledger.append_many([leaf("z", n) for n in range(SIZE)])
    store = Store.open(address(log))
    found = Fsck(store, Site(log, threads=1), FileMark(mark_of(tmp_path / "other").path), check, admit).run()
    store.close()
    assert [fault.file for fault in found.faults] == ["high-water mark"]
    with reopen(log, mark=mark_of(tmp_path / "other").path) as ledger, pytest.raises(LedgerRolledBack):
        ledger.append(leaf("k", SIZE))

"""Restore drills: of an export and of a mirror, with the log there or lost, whole or damaged, its own or another's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from provenance_tools import address, admit, check, leaf, make, mark_of, reopen, signed_leaf

from titer.errors import LedgerError, LedgerRolledBack, ProvenanceError
from titer.provenance.ledger.admission import Admitted
from titer.provenance.ledger.drill import drill
from titer.provenance.ledger.export import export
from titer.provenance.ledger.mirror import mirror, source_at
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.store import Store

SIZE = 300


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    with make(folder) as ledger:
        ledger.append_many([leaf("k", n) for n in range(SIZE)])
    return folder


def exported(log: Path, folder: Path) -> str:
    store = Store.open(address(log))
    export(store, Site(log, threads=1), folder, check)
    store.close()
    return str(folder / "public")


def grow(log: Path, start: int, stop: int) -> None:
    with reopen(log) as ledger:
        ledger.append_many([leaf("k", n) for n in range(start, stop)])


def test_a_drill_states_the_loss_window_and_touches_nothing(log: Path, tmp_path: Path) -> None:
    backup = exported(log, tmp_path / "out")
    grow(log, SIZE, SIZE + 400)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    done = drill(backup, source_at(str(log / "public")), check, admit)
    assert (done.found.faults, done.found.size, done.lost) == ([], SIZE, 400)
    assert (done.backup.size, done.published.size, done.since) == (SIZE, SIZE + 400, None)
    assert done.sentences()[-1] == f"Loss window: 400 entries, {SIZE} to {SIZE + 399}."
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_the_window_is_told_in_the_time_that_lost_records_claim(log: Path, tmp_path: Path) -> None:
    backup = exported(log, tmp_path / "out")
    with reopen(log) as ledger:
        ledger.append_admitted([signed_leaf("a", n) for n in (5, 2, 9)], [Admitted("a", n) for n in (5, 2, 9)])
    done = drill(backup, source_at(str(log / "public")), check, admit)
    assert (done.since, done.until) == (1_700_000_002, 1_700_000_009)
    assert "from 2023-11-14 22:13:22 UTC to 2023-11-14 22:13:29 UTC" in done.sentences()[-1]


def test_a_backup_that_is_up_to_date_loses_nothing(log: Path, tmp_path: Path) -> None:
    done = drill(exported(log, tmp_path / "out"), source_at(str(log / "public")), check, admit)
    assert (done.lost, done.sentences()[-1]) == (0, "Loss window: none, the backup has every published entry.")


def test_a_mirror_serves_as_backup_and_as_the_published_log_where_that_is_lost(log: Path, tmp_path: Path) -> None:
    backup = exported(log, tmp_path / "out")
    grow(log, SIZE, SIZE + 50)
    mirror(source_at(str(log / "public")), tmp_path / "mirror", check)
    shutil.rmtree(log)
    public = str(tmp_path / "mirror" / "public")
    assert drill(backup, source_at(public), check, admit).lost == 50
    assert drill(public, source_at(public), check, admit).lost == 0


@pytest.mark.parametrize(
    ("name", "offset"), [("tile/entries/000", 999), ("tile/entries/001.p/44", 99), ("checkpoint", 25)]
)
def test_damaged_backups_do_not_pass(log: Path, tmp_path: Path, name: str, offset: int) -> None:
    backup = exported(log, tmp_path / "out")
    path = Path(backup) / name
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ProvenanceError):
        drill(backup, source_at(str(log / "public")), check, admit)


def test_backups_of_another_log_or_of_another_past_are_told(log: Path, tmp_path: Path) -> None:
    grow(log, SIZE, SIZE + 10)
    backup = exported(log, tmp_path / "out")
    with make(tmp_path / "fork") as ledger:
        ledger.append_many([leaf("k", n) for n in range(SIZE)])
    with pytest.raises(LedgerError) as caught:
        drill(backup, source_at(str(tmp_path / "fork" / "public")), check, admit)
    assert caught.value.code == "restore.other"
    with reopen(tmp_path / "fork") as ledger:
        ledger.append_many([leaf("other", n) for n in range(50)])
    with pytest.raises(LedgerRolledBack) as forked:
        drill(backup, source_at(str(tmp_path / "fork" / "public")), check, admit)
    assert forked.value.code == "mirror.forked"
    assert mark_of(log).read() is not None

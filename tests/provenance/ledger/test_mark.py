"""The high-water mark: kept apart, moved by compare-and-swap, never started anew."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from databases import fresh_database
from provenance_tools import ORIGIN, leaf, make, reopen

from titer.errors import LedgerError, LedgerRolledBack
from titer.provenance.ledger.mark import DatabaseMark, FileMark, HighWaterMark, Mark, open_mark


def mark(size: int, root: int = 0) -> Mark:
    return Mark(ORIGIN, size, bytes([root]) * 32)


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "apart" / "mark")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/mark.sqlite"
    return fresh_database(request.getfixturevalue("postgres"))


@pytest.fixture
def kept(place: str) -> HighWaterMark:
    return open_mark(place)


def test_a_mark_is_kept(kept: HighWaterMark, place: str) -> None:
    assert kept.read() is None
    kept.create(mark(0))
    assert kept.read() == mark(0)
    for size in range(1, 6):
        kept.advance(mark(size - 1, size - 1), mark(size, size))
        assert open_mark(place).read() == mark(size, size)
    kept.close()


def test_a_mark_is_never_started_anew(kept: HighWaterMark) -> None:
    kept.create(mark(3))
    with pytest.raises(LedgerError) as caught:
        kept.create(mark(0))
    assert caught.value.code == "mark.exists"
    assert kept.read() == mark(3)


@pytest.mark.parametrize("expected", [mark(2), mark(4), mark(3, 1), Mark("other.example/log", 3, bytes(32))])
def test_only_who_knows_the_mark_may_move_it(kept: HighWaterMark, expected: Mark) -> None:
    kept.create(mark(3))
    with pytest.raises(LedgerRolledBack) as caught:
        kept.advance(expected, mark(9))
    assert caught.value.code == "ledger.forked"
    assert kept.read() == mark(3)


def test_of_many_who_move_it_at_once_one_succeeds(kept: HighWaterMark, place: str) -> None:
    kept.create(mark(0))
    won: list[int] = []
    lost: list[LedgerError] = []
    start = threading.Barrier(6)

    def move(root: int) -> None:
        mine = open_mark(place)
        start.wait()
        try:
            mine.advance(mark(0), mark(1, root))
            won.append(root)
        except LedgerError as error:
            lost.append(error)
        mine.close()

    threads = [threading.Thread(target=move, args=(root,)) for root in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 5
    assert kept.read() == mark(1, won[0])


def test_a_mark_out_of_reach_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for place in (FileMark(folder), DatabaseMark(f"sqlite:///{tmp_path}/none/at/all")):
        with pytest.raises(LedgerError) as caught:
            place.read()
        assert caught.value.code == "mark.unavailable"
    with pytest.raises(LedgerError) as caught:
        FileMark(tmp_path / "no").advance(mark(0), mark(1))
    assert caught.value.code == "mark.unavailable"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LedgerError) as caught:
        FileMark(tmp_path / "file" / "mark").create(mark(0))
    assert caught.value.code == "mark.unavailable"


def test_a_ledger_signs_nothing_while_its_mark_is_away_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    place = tmp_path / "log-mark"
    with make(tmp_path / "log") as ledger:
        ledger.append(leaf("k", 0))
        place.rename(tmp_path / "away")
        with pytest.raises(LedgerError) as caught:
            ledger.append(leaf("k", 1))
        assert caught.value.code == "mark.unavailable"
        (tmp_path / "away").rename(place)
        told = ledger.append(leaf("k", 1), timeout=60)
        assert (told.index, told.state) == (1, "published")
    with reopen(tmp_path / "log") as ledger:
        assert ledger.append(leaf("k", 1)).index == 1

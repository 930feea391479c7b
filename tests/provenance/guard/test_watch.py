"""A watched folder: each finished file once, none half-written, none after it was changed."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guard_tools import Hospital
from test_guard_http import WFDB
from test_guarded_images import _image

from titer.errors import GuardError, LedgerError
from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.guard import finished
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.watch import Watch

RAW = _image("CT_small.dcm")


class Watched:
    """A watched folder and what was captured of it."""

    def __init__(self, hospital: Hospital, place: Path) -> None:
        self.hospital, self.place, self.folder, self.told = hospital, place, place / "in", list[Any]()
        self.folder.mkdir()
        self.watch = self.open()

    def open(self, **more: Any) -> Watch:
        told = {"settle": 0.0, "told": self.told.append} | more
        return Watch(self.folder, self.hospital.point, self.place / "state.sqlite", **told)

    def size(self) -> int:
        return self.hospital.ledger.store.size()


@pytest.fixture
def watched(hospital: Hospital, tmp_path: Path) -> Iterator[Watched]:
    made = Watched(hospital, tmp_path)
    yield made
    made.watch.close()


def test_each_file_is_captured_once_across_restarts(watched: Watched) -> None:
    (watched.folder / "deep").mkdir()
    (watched.folder / "a.dcm").write_bytes(RAW)
    (watched.folder / "deep" / "b.dcm").write_bytes(_image("MR_small.dcm"))
    assert watched.watch.turn() == 0
    for _ in range(3):
        watched.watch.close()
        watched.watch = watched.open()
        assert watched.watch.turn() == 0
    assert [each.fingerprint.kind for each in watched.told] == ["dicom", "dicom"]
    assert watched.told[0].fingerprint == fingerprint_of(RAW)


def test_equal_files_are_two_captures(watched: Watched) -> None:
    for name in ("a", "b"):
        (watched.folder / name).write_bytes(RAW)
    watched.watch.turn()
    assert len(watched.told) == 2


def test_a_file_that_somebody_writes_is_left_alone_however_long_he_pauses(watched: Watched) -> None:
    path = watched.folder / "slow.dcm"
    half = len(RAW) // 2
    with path.open("wb") as writer:
        writer.write(RAW[:half])
        writer.flush()
        for _ in range(5):
            assert watched.watch.turn() == 1
        writer.write(RAW[half:])
        writer.flush()
        assert watched.watch.turn() == 1
        assert not watched.told
    assert watched.watch.turn() == 0
    assert watched.told[0].fingerprint == fingerprint_of(RAW)


def test_a_file_that_another_process_writes_is_left_alone(watched: Watched) -> None:
    path = watched.folder / "note.txt"
    code = "import sys; f = open(sys.argv[1], 'a'); f.write('half'); f.flush(); print(flush=True); input()"
    watch = watched.open(kind="text")
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=-1, stdout=-1) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert watch.turn() == 1
        writer.kill()
    # Whoever wrote it is gone: this is all that there will be.
    assert watch.turn() == 0
    watch.close()
    assert watched.told[0].fingerprint == fingerprint_of(b"half", "text")


def test_a_file_has_to_rest_for_a_while(watched: Watched) -> None:
    watch = watched.open(settle=0.2)
    path = watched.folder / "a.dcm"
    path.write_bytes(RAW[:1000])
    assert watch.turn() == 1
    path.write_bytes(RAW)
    assert watch.turn() == 1
    time.sleep(0.25)
    assert watch.turn() == 0
    watch.close()
    assert watched.told[0].fingerprint == fingerprint_of(RAW)


def test_what_comes_between_reading_and_the_end_of_the_lease_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"whole")
    stamp = finished.stamp_of(path)
    assert stamp is not None
    assert finished.read_finished({path: stamp}, 100) == {path: b"whole"}
    handle = path.open("rb")
    finished._lease(handle.fileno())
    opened = threading.Event()

    def write() -> None:
        with path.open("ab") as writer:
            opened.set()
            writer.write(b" and more")

    thread = threading.Thread(target=write)
    thread.start()
    until = time.monotonic() + 10
    while fcntl.fcntl(handle, fcntl.F_GETLEASE) == fcntl.F_RDLCK and time.monotonic() < until:
        time.sleep(0.01)
    # The writer waits, and the holder of the lease sees that he does.
    assert not opened.is_set()
    assert fcntl.fcntl(handle, fcntl.F_GETLEASE) != fcntl.F_RDLCK
    handle.close()
    thread.join(10)
    assert opened.is_set()
    with pytest.raises(finished.Unfinished):
        finished.read_finished({path: stamp}, 100)


def test_a_file_that_changed_after_its_capture_is_told_and_never_captured_again(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    path = watched.folder / "jane.dcm"
    path.write_bytes(RAW)
    watched.watch.turn()
    path.write_bytes(_image("MR_small.dcm"))
    for _ in range(3):
        assert watched.watch.turn() == 0
    assert len(watched.told) == 1
    assert caplog.text.count("watch.changed") == 1
    assert "jane" not in caplog.text
    assert b"jane" not in (watched.place / "state.sqlite").read_bytes()


def test_a_program_that_ended_between_record_and_note_captures_nothing_twice(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    (watched.folder / "a.dcm").write_bytes(RAW)
    (watched.folder / "b.dcm").write_bytes(RAW)
    put = watched.watch._state.put

    def killed(name: bytes, state: str, stamp: str, **more: Any) -> None:
        if state == "captured":
            raise KeyboardInterrupt
        put(name, state, stamp, **more)

    before = watched.size()
    monkeypatch.setattr(watched.watch._state, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        watched.watch.turn()
    assert watched.size() == before + 1
    watched.watch.close()
    watched.watch = watched.open()
    watched.watch.turn()
    # The first is found again; the second, of equal content, is a capture of its own.
    assert watched.size() == before + 2
    assert len(watched.told) == 1


def test_a_ledger_that_refuses_is_asked_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    # An older record of equal content is not that of this file.
    watched.hospital.point.capture(RAW)
    (watched.folder / "a.dcm").write_bytes(RAW)
    append = watched.hospital.ledger.append
    tries = []

    def full(*words: Any, **more: Any) -> Any:
        tries.append(words)
        if len(tries) < 3:
            raise LedgerError("room", "none", "free some space", code="storage.full")
        return append(*words, **more)

    monkeypatch.setattr(watched.hospital.ledger, "append", full)
    stop = threading.Event()
    watch = watched.open(told=lambda done: (watched.told.append(done), stop.set()))
    watch.run(stop, every=0.01)
    watch.close()
    assert (len(tries), len(watched.told)) == (3, 1)


def test_a_recording_is_captured_with_all_its_files(watched: Watched) -> None:
    (watched.folder / "a.hea").write_bytes(WFDB["a.hea"])
    assert watched.watch.turn() == 1
    with (watched.folder / "a.dat").open("wb") as writer:
        writer.write(WFDB["a.dat"][:2])
        writer.flush()
        assert watched.watch.turn() == 1
        writer.write(WFDB["a.dat"][2:])
    assert watched.watch.turn() == 0
    assert [each.fingerprint for each in watched.told] == [fingerprint_of(WFDB, "signal")]


def test_what_cannot_be_fingerprinted_is_left_until_it_changes(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    path = watched.folder / "a.dcm"
    path.write_bytes(RAW[:-100])
    (watched.folder / "b").write_bytes(b"nothing known")
    (watched.folder / "large").write_bytes(bytes(len(RAW) + 1))
    for name in (".hidden", "c.part", "d~"):
        (watched.folder / name).write_bytes(RAW)
    (watched.folder / "link").symlink_to(path)
    watch = watched.open(limits=Limits(object_bytes=len(RAW)))
    for _ in range(3):
        assert watch.turn() == 0
    assert [each.rpartition(": ")[2] for each in caplog.messages] == [
        "malformed.truncated", "unsupported.kind", "limit.object_bytes",
    ]  # fmt: skip
    path.write_bytes(RAW)
    assert watch.turn() == 0
    watch.close()
    assert len(watched.told) == 1


def test_where_nobody_can_tell_the_watcher_says_so(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(fcntl, "F_SETLEASE")
    (watched.folder / "a.dcm").write_bytes(RAW)
    with pytest.raises(GuardError) as told:
        watched.watch.run(threading.Event())
    assert told.value.code == "watch.lease"
    watch = watched.open(renamed=True)
    assert watch.turn() == 0
    watch.close()
    assert len(watched.told) == 1
    with pytest.raises(GuardError):
        Watch(tmp_path / "none", watched.hospital.point, tmp_path / "other.sqlite")

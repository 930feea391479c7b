"""The queue: what was put in arrives, in order, at least once, whatever the receiver, the process or the disk do."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from titer.errors import GuardError
from titer.provenance.guard.trail.outbox import REFUSED, Outbox


class _Receiver:
    def __init__(self, failures: int = 0) -> None:
        self.got: list[bytes] = []
        self.failures = failures

    def __call__(self, messages: Sequence[bytes]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("Zyxwombat is away")
        self.got += messages


def _away(messages: Sequence[bytes]) -> None:
    raise GuardError("a receiver", "none", "start it", code="trail.unreachable")


def test_messages_arrive_in_order_after_any_number_of_failures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = _Receiver(failures=7)
    wanted = [b"%d" % number for number in range(200)]
    with Outbox(tmp_path / "queue", receiver, batch=16, first=0.001, longest=0.002) as outbox:
        for each in wanted:
            outbox.put(each)
        assert outbox.drain(30)
        assert (outbox.counts.sent, outbox.counts.failures) == (200, 7)
    assert receiver.got == wanted
    assert "Zyxwombat" not in caplog.text


def test_threads_put_at_once_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    receiver = _Receiver(failures=2)
    with Outbox(tmp_path / "queue", receiver, batch=8, first=0.001) as outbox:
        threads = [
            threading.Thread(target=lambda n=n: [outbox.put(b"%d.%d" % (n, k)) for k in range(25)]) for n in range(8)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert outbox.drain(30)
    assert sorted(receiver.got) == sorted(b"%d.%d" % (n, k) for n in range(8) for k in range(25))


def test_what_waits_outlives_the_process(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, pathlib\n"
        "from titer.provenance.guard.trail.outbox import Outbox\n"
        "def away(messages): raise OSError\n"
        "outbox = Outbox(pathlib.Path(sys.argv[1]), away)\n"
        "for number in range(20):\n"
        "    outbox.put(b'%d' % number)\n"
        "    print(number, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "queue")], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    acknowledged = [line.encode() for line in done.stdout.split()]
    assert len(acknowledged) == 20
    receiver = _Receiver()
    with Outbox(tmp_path / "queue", receiver, batch=3) as outbox:
        assert outbox.drain(30)
    assert receiver.got == acknowledged


def test_putting_never_waits_for_a_receiver(tmp_path: Path) -> None:
    begun, free = threading.Event(), threading.Event()

    def hangs(messages: Sequence[bytes]) -> None:
        begun.set()
        free.wait(60)

    with Outbox(tmp_path / "queue", hangs) as outbox:
        outbox.put(b"first")
        assert begun.wait(30)
        for _ in range(50):
            outbox.put(b"more")
        assert outbox.counts.waiting == 51
        assert not outbox.drain(0.01)
        free.set()
        assert outbox.drain(30)


def test_a_full_queue_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    with Outbox(tmp_path / "queue", _away, most=3) as outbox:
        for _ in range(3):
            outbox.put(b"kept")
        with pytest.raises(GuardError) as caught:
            outbox.put(b"too many")
        assert caught.value.code == "trail.full"
        assert outbox.counts.waiting == 3


def test_refused_messages_count_against_the_room_and_stay(tmp_path: Path) -> None:
    def refuses(messages: Sequence[bytes]) -> None:
        raise GuardError("another message", "this", "mend it", code=REFUSED)

    with Outbox(tmp_path / "queue", refuses, batch=2, most=4) as outbox:
        for number in range(4):
            outbox.put(b"%d" % number)
        assert outbox.drain(30)
        assert outbox.counts.refused == 4
        with pytest.raises(GuardError):
            outbox.put(b"more")
    with Outbox(tmp_path / "queue", _away) as outbox:
        assert (outbox.counts.refused, outbox.counts.waiting) == (4, 0)


def test_a_queue_is_of_one_process_and_closed_ones_take_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "queue", _away)
    with pytest.raises(GuardError) as caught:
        Outbox(tmp_path / "queue", _away)
    assert caught.value.code == "trail.locked"
    outbox.close()
    with pytest.raises(GuardError):
        outbox.put(b"late")
    Outbox(tmp_path / "queue", _away).close()


def test_a_damaged_file_is_told_and_gives_its_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "queue"
    path.write_bytes(b"no database at all" * 100)
    for _ in range(2):
        with pytest.raises(GuardError) as caught:
            Outbox(path, _away)
        assert caught.value.code == "trail.unavailable"


def test_a_database_that_fails_while_sending_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = _Receiver()
    with Outbox(tmp_path / "queue", receiver, first=0.001) as outbox:
        broken = [3]
        real = outbox._database

        class Failing:
            def execute(self, *args: object) -> sqlite3.Cursor:
                if broken[0] and str(args[0]).startswith("DELETE"):
                    broken[0] -= 1
                    raise sqlite3.OperationalError("database or disk is full")
                return real.execute(*args)  # type: ignore[arg-type]

            def close(self) -> None:
                real.close()

        monkeypatch.setattr(outbox, "_database", Failing())
        outbox.put(b"sent again")
        assert outbox.drain(30)
        assert (outbox.counts.failures, outbox.counts.waiting) == (3, 0)
    # At least once: it was delivered, and could not be noted as such.
    assert receiver.got == [b"sent again"] * 4


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    Outbox(tmp_path / "queue", _away).close()
    assert (tmp_path / "queue").stat().st_mode & 0o077 == 0

"""Results are whole or absent, whatever happens."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.audit.run import Store
from titer.errors import StoreError


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit of the operating system under which writing more fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=300))
def test_what_was_put_comes_back(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        assert not store.has("a")
        store.put("a", data)
        assert store.get("a") == Store(Path(folder)).get("a") == data
        assert store.keys() == ("a",)


@settings(max_examples=80, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_changed_byte_and_any_cut_is_found(data: bytes, draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.put("a", data)
        written = store.path("a").read_bytes()
        place = draw.draw(st.integers(0, len(written) - 1))
        if draw.draw(st.booleans()):
            damaged = written[:place]
        else:
            damaged = written[:place] + bytes([written[place] ^ draw.draw(st.integers(1, 255))]) + written[place + 1 :]
        store.path("a").write_bytes(damaged)
        fresh = Store(Path(folder))
        assert not fresh.has("a")
        assert fresh.fault("a")
        assert fresh.keys() == ()
        with pytest.raises(StoreError, match="damaged"):
            fresh.get("a")


def test_a_missing_result_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="got none; run the audit again"):
        Store(tmp_path).get("a")


def test_damage_after_a_look_is_seen(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put("a", b"one")
    assert store.has("a")
    store.path("a").write_bytes(b"two")
    assert not store.has("a")
    store.put("a", b"three")
    assert store.get("a") == b"three"


@pytest.mark.parametrize("key", ["../a", "a/b", "", ".new-1"])
def test_keys_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(StoreError, match="digest"):
        Store(tmp_path).put(key, b"")


def test_a_write_that_the_system_cuts_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put("a", b"old")
    with largest_file(20_000), pytest.raises(StoreError, match=r"room for a result of 100,\d+ bytes.* free bytes"):
        store.put("a", bytes(100_000))
    assert [path.name for path in store.results.iterdir()] == ["a"]
    assert store.get("a") == b"old"


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*; free some space and run again"):
        store.put("a", b"new")
    assert list(store.results.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StoreError, match="choose a folder"):
        Store(tmp_path / "out")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    with first.locked(), first.locked():
        first.put("a", b"1")
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()} on"):
            second.put("b", b"2")
        assert second.get("a") == b"1"
    second.put("b", b"2")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from titer.audit.run import Store
with Store(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(StoreError, match=f"process {holder.pid} "):
        Store(tmp_path).put("a", b"")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    Store(tmp_path).put("a", b"")

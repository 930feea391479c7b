"""The site: checkpoint and tiles as static files that any web server can serve.

A file is staged, flushed, renamed into place, and its folder flushed; the checkpoint comes last. So whoever reads the
checkpoint finds every file that it needs, after a power failure too. What is staged beyond the checkpoint, because
witnesses have not answered yet, stays outside the served folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from titer.errors import LedgerError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Site:
    """The served folder `public` and, beside it, `staging`.

    Arguments
        folder: the ledger's folder.
        threads: how many files are flushed at once; flushes that wait together cost a disk hardly more than one.
    """

    def __init__(self, folder: Path, *, threads: int = 8) -> None:
        self.public = folder / "public"
        self.staging = folder / "staging"
        self._lock = folder / "publish.lock"
        self._staged: dict[str, Path] = {}
        self._partial: set[str] = set()
        self._known: set[Path] = set()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="flush") if threads > 1 else None

    def prepare(self) -> None:
        """Make both folders and drop what a killed writer left staged."""
        with failing("a folder for the site"):
            self.public.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir(exist_ok=True)
            self._sync([self.public, self.public.parent])
        self._staged.clear()
        self._partial.clear()
        self._known.clear()

    def close(self) -> None:
        """End the threads that flush."""
        if self._pool is not None:
            self._pool.shutdown()

    # -- reading --------------------------------------------------------------------------------------------------

    def read(self, path: str) -> bytes | None:
        """A published file."""
        return _content(self.public / path)

    def read_staged(self, path: str) -> bytes | None:
        """A file as it will be once all that is staged is published."""
        staged = self._staged.get(path)
        return self.read(path) if staged is None else _content(staged)

    def checkpoint(self) -> bytes | None:
        """The published checkpoint."""
        return self.read("checkpoint")

    # -- writing --------------------------------------------------------------------------------------------------

    def stage(self, full: Iterable[tuple[str, bytes]], partial: Iterable[tuple[str, bytes]] = ()) -> None:
        """Write files beside the served folder. Partial files replace those staged before: only the last are needed."""
        for path in self._partial:
            self._staged.pop(path).unlink(missing_ok=True)
        self._partial.clear()
        with failing("room for tiles"):
            for path, raw in full:
                self._write(path, raw)
            for path, raw in partial:
                self._write(path, raw)
                self._partial.add(path)

    def discard(self) -> None:
        """Forget what is staged."""
        for staged in self._staged.values():
            staged.unlink(missing_ok=True)
        self._staged.clear()
        self._partial.clear()

    def publish(self, note: bytes, newer: Callable[[bytes], bool]) -> None:
        """Put what is staged in place, then the checkpoint.

        `newer` is asked, under a lock, whether the checkpoint in place may be replaced: a sequencer that was paused and
        wakes up must not put an old one over a new one.
        """
        with failing("room for tiles and checkpoint"):
            fresh = self._write_staged("checkpoint", note)
            self._sync([*self._staged.values(), fresh])
            folders = set()
            for path, staged in self._staged.items():
                target = self.public / path
                folders.update(self._folder(target.parent))
                staged.replace(target)
            self._sync(folders)
            with self._locked():
                current = self.checkpoint()
                if current is not None and not newer(current):
                    raise LedgerError(
                        "a checkpoint that is not newer than ours",
                        "one that another sequencer has published",
                        "leave sequencing to the holder of the lease",
                        code="lease.lost",
                    )
                fresh.replace(self.public / "checkpoint")
                self._sync([self.public])
        done = [path for path in self._staged if path not in self._partial]
        self._staged.clear()
        self._partial.clear()
        for path in done:
            # Clients fall back to the full tile, so partial ones may go; nobody needs to wait for that.
            folder = self.public / f"{path}.p"
            self._known.discard(folder)
            if self._pool is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self._pool.submit(shutil.rmtree, folder, ignore_errors=True)

    def _write(self, path: str, raw: bytes) -> None:
        self._staged[path] = self._write_staged(path, raw)

    def _write_staged(self, path: str, raw: bytes) -> Path:
        staged = self.staging / f"{os.getpid()}.{path.replace('/', '_')}"
        write_fully(staged, raw)
        return staged

    def _folder(self, folder: Path) -> list[Path]:
        """A folder to rename into, made if need be, and all folders that must be flushed for it."""
        if folder in self._known:
            return [folder]
        made = [folder]
        missing = folder
        while not missing.is_dir():
            made.append(missing.parent)
            missing = missing.parent
        folder.mkdir(parents=True, exist_ok=True)
        self._known.add(folder)
        return made

    def _sync(self, paths: Iterable[Path]) -> None:
        todo = list(paths)
        if self._pool is None or len(todo) == 1:
            for path in todo:
                sync(path)
        else:
            for _ in self._pool.map(sync, todo):
                pass

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def write_fully(path: Path, raw: bytes, mode: int = 0o644) -> None:
    """Write a file that is not in place yet; a write that takes fewer bytes than it was given is gone on with."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        view = memoryview(raw)
        while view:
            view = view[os.write(handle, view) :]
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(path: Path, raw: bytes, mode: int = 0o644) -> None:
    """Put a file in place, whole or not at all."""
    with failing(f"room for {path.name}"):
        staged = path.with_name(f".new-{os.getpid()}-{path.name}")
        write_fully(staged, raw, mode)
        sync(staged)
        staged.replace(path)
        sync(path.parent)


@contextlib.contextmanager
def failing(what: str) -> Iterator[None]:
    """Inside, what the operating system refuses becomes a LedgerError with a reason code."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        raise LedgerError(
            what,
            f"{error.strerror} ({error.filename or 'write'})",
            f"{'free some space' if full else 'look at the disk'}; what was acknowledged is kept",
            code="storage.full" if full else "storage.io",
        ) from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(
            "a file of the site that can be read",
            f"{path}: {error.strerror}",
            "look at the disk, then run `titer ledger fsck --repair`",
            code="storage.io",
        ) from error

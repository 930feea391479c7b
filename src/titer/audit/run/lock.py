"""One writer at a time for a folder."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from types import TracebackType

from titer.errors import StoreError


class Lock:
    """A lock on a file that the operating system drops when its holder ends, however it ends.

    The file stays and names its last holder; only the system's lock (flock) decides. So the lock of a process that was
    killed never stands in the way. It can be entered again by its holder.

    Raises StoreError, with the holder's process and machine, if another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._depth = 0

    def __enter__(self) -> Lock:
        if self._depth == 0:
            self._handle = _acquire(self._path)
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._handle is not None:
            os.close(self._handle)
            self._handle = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._depth > 0


def _acquire(path: Path) -> int:
    if sys.platform == "win32":
        raise StoreError("Linux or macOS to write results", "Windows", "run audits inside the Linux subsystem (WSL)")
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(
            f"a folder {path.parent} that can be written", str(error.strerror), "choose another folder"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another process"
        os.close(handle)
        raise StoreError(
            f"{path.parent} for itself", f"a folder in use by {holder}", "wait for it to end, or choose another folder"
        ) from None
    except OSError as error:
        os.close(handle)
        raise StoreError(
            f"a file system that can lock {path}", str(error.strerror), "choose a folder on a local disk"
        ) from error
    return handle

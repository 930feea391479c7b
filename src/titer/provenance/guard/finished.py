"""Files that nobody is writing any more, read as one piece.

That a file has not changed for a while says nothing about a writer who pauses. The operating system knows: it grants a
read lease (fcntl, Linux) on a file only while nobody has it open for writing, and while the lease is held it stops
whoever wants to. So what is read under a lease was whole when its writer closed it, and nobody changed it since.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from titer.errors import GuardError

Stamp = tuple[int, int, int]
"""Number, size and time of change of a file."""


class Unfinished(Exception):  # noqa: N818 - a state, not a fault
    """Somebody writes the file, or it is gone."""


def stamp_of(path: Path) -> Stamp | None:
    """What tells one state of a file from another; None for what is no ordinary file."""
    try:
        told = path.lstat()
    except OSError:
        return None
    return (told.st_ino, told.st_size, told.st_mtime_ns) if stat.S_ISREG(told.st_mode) else None


def read_finished(stamps: dict[Path, Stamp], most: int, *, renamed: bool = False) -> dict[Path, bytes]:
    """The content of files, each as it was when its writer had closed it.

    Arguments
        stamps: the state in which each is expected. most: bytes of all together.
        renamed: whether senders write under other names and rename what is whole; no lease is then asked for.

    Raises Unfinished where somebody writes one of them or has changed it; GuardError where the operating system cannot
    tell (`watch.lease`), or they are too large (`limit.object_bytes`).
    """
    with ExitStack() as stack:
        handles = {path: stack.enter_context(_opened(path, leased=not renamed)) for path in stamps}
        content, left = {}, most
        for path, handle in handles.items():
            told = os.fstat(handle)
            if (told.st_ino, told.st_size, told.st_mtime_ns) != stamps[path]:
                raise Unfinished
            with os.fdopen(os.dup(handle), "rb") as stream:
                content[path] = stream.read(left + 1)
            left -= len(content[path])
            if left < 0:
                raise GuardError(
                    f"an object of at most {most} bytes", "more", "raise the limit", code="limit.object_bytes"
                )
        for path, handle in handles.items():
            # A writer who came meanwhile has broken the lease, or left another state behind.
            broken = not renamed and fcntl.fcntl(handle, fcntl.F_GETLEASE) != fcntl.F_RDLCK
            if broken or stamp_of(path) != stamps[path]:
                raise Unfinished
        return content


@contextmanager
def _opened(path: Path, *, leased: bool) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unfinished from error
    try:
        if leased:
            _lease(handle)
        yield handle
    finally:
        # Closing gives the lease back.
        os.close(handle)


def _lease(handle: int) -> None:
    try:
        # By default a broken lease sends a signal that ends the process; this one is ignored.
        fcntl.fcntl(handle, getattr(fcntl, "F_SETSIG", 10), signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise Unfinished from error
        raise _unknown(str(error.strerror)) from error
    except AttributeError as error:
        raise _unknown("a system without leases") from error


def _unknown(got: str) -> GuardError:
    return GuardError(
        "a file system that tells whether somebody writes a file",
        got,
        "watch a local disk as the owner of the files; or let senders rename whole files into place, and say so",
        code="watch.lease",
    )

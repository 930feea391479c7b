"""Writing files so that whoever looks sees the old file or the whole new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from titer.errors import StoreError

TEMPORARY = ".new-"
"""How the names of files begin that are not in place yet; what a killed writer left may be removed by it."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: Path, data: bytes | str, *, what: str = "a file") -> Path:
    """Put a file in place in one step, and return its path.

    A temporary file in the same folder is written, flushed to the disk and renamed; then the folder is flushed, so
    that the name survives a power failure too. Text is written as UTF-8.

    Raises StoreError, which speaks of `what`, when the disk is full or refuses; no partial file stays, and the old file
    is as it was.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", "whole").read_text()
    'whole'
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = None
        _flush(path.parent)
    except OSError as error:
        raise _refused(error, path, len(raw), what) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return path


def _flush(folder: Path) -> None:
    # Some file systems cannot flush a folder; the file itself is safe there all the same.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _refused(error: OSError, path: Path, size: int, what: str) -> StoreError:
    if error.errno in _FULL:
        free = "none of it"
        with contextlib.suppress(OSError):
            free = f"{shutil.disk_usage(path.parent).free:,} free bytes"
        return StoreError(
            f"room for {what} of {size:,} bytes in {path.parent}",
            f"{free} ({error.strerror})",
            "free some space and run again: finished results are kept",
        )
    return StoreError(
        f"a folder {path.parent} that takes {what}",
        str(error.strerror or error),
        "make it writable and run again: finished results are kept",
    )


def made_folder(folder: Path) -> Path:
    """A folder to write to, made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError("a folder to write to", f"{folder.name}: {error.strerror}", "choose another --out") from error
    return folder

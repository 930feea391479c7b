"""Writing files so that whoever looks sees the old file or the whole new one, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from titer.errors import StoreError


def write_whole(path: Path, data: bytes | str) -> Path:
    """Put a file in place in one step, and return its path.

    A temporary file in the same folder is written, flushed to the disk and renamed; then the folder is flushed, so
    that the name survives a power failure too. Text is written as UTF-8.

    Raises StoreError when the disk is full or refuses; the old file, if any, stays as it was.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", "whole").read_text()
    'whole'
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = None
        _flush(path.parent)
    except OSError as error:
        raise StoreError(
            f"room and permission to write {path.name} ({len(raw)} bytes)",
            f"{error.strerror or error}",
            "free space or choose another folder",
        ) from error
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

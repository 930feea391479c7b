"""Results as files that are whole or absent: a header line with length and SHA-256, then the bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from titer.errors import StoreError

_MAGIC = "titer-result-1"
_HEADER_LIMIT = 256
_TEMPORARY = ".new-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Unsound(Exception):  # noqa: N818
    """A file that is there, but is not what was written; never leaves this package."""


def write(path: Path, data: bytes) -> None:
    """Puts a result in place in one step: whoever looks sees the old file, or the whole new one.

    A temporary file in the same folder is written, flushed to the disk and renamed; then the folder is flushed, so
    that the name survives a power failure too.

    Raises StoreError when the disk is full or refuses; no partial file stays.
    """
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(f"{_MAGIC} {len(data)} {hashlib.sha256(data).hexdigest()}\n".encode())
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
        temporary = None
        _flush_folder(path.parent)
    except OSError as error:
        raise _refused(error, path, len(data)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def read(path: Path) -> bytes:
    """The bytes of a result; FileNotFoundError if there is none, Unsound if they are not those written."""
    try:
        with path.open("rb") as stream:
            header, data = stream.readline(_HEADER_LIMIT), stream.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unsound(f"it cannot be read ({error.strerror})") from error
    words = header.decode("ascii", "replace").split()
    if len(words) != 3 or words[0] != _MAGIC or not header.endswith(b"\n"):
        raise Unsound("its header is not that of a result")
    if words[1] != str(len(data)):
        raise Unsound(f"{len(data)} bytes of {words[1]} are there")
    if words[2] != hashlib.sha256(data).hexdigest():
        raise Unsound("its bytes do not match their checksum")
    return data


def sweep(folder: Path) -> None:
    """Removes temporary files that killed writers left."""
    for left in folder.glob(_TEMPORARY + "*"):
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(error: OSError, path: Path, size: int) -> StoreError:
    if error.errno in _FULL:
        free = "none of it"
        with contextlib.suppress(OSError):
            free = f"{shutil.disk_usage(path.parent).free:,} free bytes"
        return StoreError(
            f"room for a result of {size:,} bytes in {path.parent}",
            f"{free} ({error.strerror})",
            "free some space and run again: finished results are kept",
        )
    return StoreError(
        f"a folder {path.parent} that takes results",
        str(error.strerror or error),
        "make it writable and run again: finished results are kept",
    )

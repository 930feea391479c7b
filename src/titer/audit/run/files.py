"""Results as files that are whole or absent: a header line with length and SHA-256, then the bytes."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from titer.atomic import TEMPORARY, write_whole

_MAGIC = "titer-result-1"
_HEADER_LIMIT = 256


class Unsound(Exception):  # noqa: N818
    """A file that is there, but is not what was written; never leaves this package."""


def write(path: Path, data: bytes) -> None:
    """Puts a result in place in one step; StoreError when the disk is full or refuses."""
    header = f"{_MAGIC} {len(data)} {hashlib.sha256(data).hexdigest()}\n".encode()
    write_whole(path, header + data, what="a result")


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
    for left in folder.glob(TEMPORARY + "*"):
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)

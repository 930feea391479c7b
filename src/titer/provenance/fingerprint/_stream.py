"""An untrusted object read forward once: nothing is allocated because the object says so, and ends are seen at once."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from titer.provenance.fingerprint.fingerprint import Limits, refuse, within

Source = bytes | bytearray | memoryview | str | Path | BinaryIO

_PIECE = 1 << 20
# Below this size a high ratio is no bomb but an empty picture.
_SMALL = 1 << 24
_TRAILER = 8
_FILL = 1 << 14


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Stream:
    """Bytes taken from the front.

    Arguments
        source: what has `read`. limits: the whole object may not be longer than they say.
        size: how many bytes there are, where that is known; lengths beyond it are then refused before reading.
    """

    def __init__(self, source: _Readable, limits: Limits, size: int | None = None) -> None:
        self._source, self._limits, self._size = source, limits, size
        self._ahead = b""
        self.at = 0
        if size is not None:
            within("limit.object", "bytes", size, limits.object_bytes, "object_bytes")

    def peek(self, count: int) -> bytes:
        """The next bytes without taking them; fewer at the end."""
        while len(self._ahead) < count and (piece := self._source.read(count - len(self._ahead))):
            self._ahead += piece
        return self._ahead[:count]

    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.at == self._size if self._size is not None else not self.peek(1)

    def take(self, count: int) -> bytes:
        """Exactly so many bytes; refuses an object that ends before."""
        self._expect(count)
        pieces, left = [], count
        while left:
            piece = self._some(left)
            pieces.append(piece)
            left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pieces(self, count: int) -> Iterator[bytes]:
        """Exactly so many bytes, piece by piece: memory stays at one piece."""
        self._expect(count)
        left = count
        while left:
            piece = self._some(left)
            left -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        """Leaves out so many bytes."""
        for _ in self.pieces(count):
            pass

    def _expect(self, count: int) -> None:
        within("limit.object", "bytes", self.at + count, self._limits.object_bytes, "object_bytes")
        if self._size is not None and self.at + count > self._size:
            raise _truncated(self.at + count, self._size)

    def _some(self, most: int) -> bytes:
        """At least one byte, at most one piece."""
        if self._ahead:
            piece, self._ahead = self._ahead[:most], self._ahead[most:]
        else:
            piece = self._source.read(min(most, _PIECE))
        if not piece:
            raise _truncated(self.at + most, self.at)
        self.at += len(piece)
        return piece


class Inflated:
    """A raw deflate stream (RFC 1951) that fills the rest of an object, inflated piece by piece within the ratio."""

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self._stream, self._ratio = stream, limits.inflate_ratio
        self._state = zlib.decompressobj(-zlib.MAX_WBITS)
        self._start, self._given = stream.at, 0
        self._waiting = self._after = b""
        self._sum = 0

    def read(self, size: int, /) -> bytes:
        """At most so many inflated bytes; none at the end."""
        while not self._state.eof:
            if not self._waiting:
                available = self._stream.peek(1 << 14)
                if not available:
                    raise _truncated(self._stream.at + 1, self._stream.at)
                self._waiting = self._stream.take(len(available))
            try:
                piece = self._state.decompress(self._waiting, size)
            except zlib.error as error:
                raise refuse(
                    "malformed.deflate", "a deflate stream", f"damaged bytes ({error})", "copy the object again"
                ) from error
            self._waiting, self._after = self._state.unconsumed_tail, self._state.unused_data
            self._given += len(piece)
            self._sum = zlib.crc32(piece, self._sum)
            if self._given > _SMALL:
                ratio = self._given // max(1, self._stream.at - self._start - len(self._waiting))
                within("limit.inflate", "bytes out per byte in", ratio, self._ratio, "inflate_ratio")
            if piece:
                return piece
        self._check_end()
        return b""

    def _check_end(self) -> None:
        """What follows may be checksum and length as gzip has them, and zeros that fill the object up."""
        while len(self._after) < _TRAILER and (piece := self._stream.peek(_TRAILER)):
            self._after += self._stream.take(len(piece))
        if self._after.startswith(struct.pack("<II", self._sum, self._given & 0xFFFFFFFF)):
            self._after = self._after[_TRAILER:]
        while not self._after.strip(b"\0") and (piece := self._stream.peek(_FILL)):
            self._after = self._stream.take(len(piece))
        if self._after.strip(b"\0"):
            raise refuse(
                "malformed.trailing", "nothing after the deflate stream", "more bytes", "remove what was appended"
            )


@contextmanager
def opened(source: Source, limits: Limits) -> Iterator[Stream]:
    """A stream over bytes, a path or an open binary file; a path is closed again."""
    if isinstance(source, (str, Path)):
        with Path(source).open("rb") as file:
            yield Stream(file, limits, os.fstat(file.fileno()).st_size)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield Stream(io.BytesIO(source), limits, len(source))
    else:
        yield Stream(source, limits, _left(source))


def rest(stream: Stream) -> Iterator[bytes]:
    """All that is left, piece by piece.

    >>> with opened(b"abc", Limits()) as stream:
    ...     b"".join(rest(stream))
    b'abc'
    """
    while piece := stream.peek(_PIECE):
        yield stream.take(len(piece))


def _left(source: Any) -> int | None:
    """How many bytes an open file still has, where it can tell."""
    if not (hasattr(source, "seekable") and source.seekable()):
        return None
    place = source.tell()
    end: int = source.seek(0, os.SEEK_END)
    source.seek(place)
    return end - int(place)


def _truncated(needed: int, there: int) -> Exception:
    return refuse(
        "malformed.truncated",
        f"an object of at least {needed} bytes",
        f"{there}",
        "copy it again: it ends before its last element does",
    )

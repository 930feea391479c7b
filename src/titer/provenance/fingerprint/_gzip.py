"""Gzip (RFC 1952) as it comes, member by member, within the ratio that the limits allow."""

from __future__ import annotations

import zlib

from titer.errors import FingerprintError
from titer.provenance.fingerprint._stream import Stream
from titer.provenance.fingerprint.fingerprint import Limits, refuse, within

_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 16
# Below this size a high ratio is no bomb: the mask of a small lesion in a large scan is nearly empty.
_SMALL = 1 << 28


def is_gzip(head: bytes) -> bool:
    """Whether the first bytes are those of a gzip file.

    >>> is_gzip(bytes.fromhex("1f8b08"))
    True
    """
    return head[:2] == _MAGIC


class Gunzipped:
    """The content of a gzip file, inflated piece by piece; checksums and lengths of its members are checked.

    Arguments
        stream: stands at the beginning. limits: `inflate_ratio` bounds the content so far against the bytes read.

    >>> import gzip
    >>> from titer.provenance.fingerprint._stream import opened
    >>> with opened(gzip.compress(b"ab"), Limits()) as stream:
    ...     Gunzipped(stream, Limits()).read(10)
    b'ab'
    """

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self._stream, self._ratio = stream, limits.inflate_ratio
        self._state = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._waiting = b""
        self._given = 0

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        while True:
            if self._state.eof:
                # Another member may follow; anything else would be content that readers disagree about.
                self._waiting = self._state.unused_data or self._stream.take(len(self._stream.peek(_PIECE)))
                if not self._waiting:
                    return b""
                self._state = zlib.decompressobj(16 + zlib.MAX_WBITS)
            elif not self._waiting:
                self._waiting = self._stream.take(len(self._stream.peek(_PIECE)))
                if not self._waiting:
                    raise _damaged("an end before the last member's")
            try:
                piece = self._state.decompress(self._waiting, size)
            except zlib.error as error:
                raise _damaged("damaged bytes, or others after the end") from error
            self._waiting = self._state.unconsumed_tail
            self._given += len(piece)
            if self._given > _SMALL:
                ratio = self._given // max(1, self._stream.at - len(self._waiting))
                within("limit.inflate", "bytes out per byte in", ratio, self._ratio, "inflate_ratio")
            if piece:
                return piece


def _damaged(got: str) -> FingerprintError:
    return refuse("malformed.gzip", "a gzip file", got, "copy the file again")

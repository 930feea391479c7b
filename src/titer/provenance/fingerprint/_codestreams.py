"""Compressed pixels as one codestream per frame: fragments joined, the byte that made them even dropped."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from titer.provenance.fingerprint._elements import fragment_sizes, malformed
from titer.provenance.fingerprint._stream import Stream
from titer.provenance.fingerprint._syntaxes import Syntax
from titer.provenance.fingerprint.fingerprint import Limits, within

_SLACK = 1 << 20
_END = b"\xff\xd9"


def codestreams(
    stream: Stream, syntax: Syntax, count: int, most: int, offsets: tuple[int, ...], limits: Limits
) -> Iterator[bytes]:
    """The codestream of each frame, one in memory at a time.

    Which fragments make a frame is told by the table of offsets (basic or extended); without one, by there being one
    frame, by RLE having one fragment per frame, or by the end marker that closes a JPEG codestream.

    Arguments
        count: number of frames. most: bytes of one frame before compression. offsets: of the extended table, or none.

    Refuses offsets that meet no fragment, and another number of codestreams than frames.
    """
    sizes = fragment_sizes(stream, limits)
    table = next(sizes, None)
    if table is None:
        raise malformed("item", "a table of offsets before the pixels", "none")
    starts = _starts(stream, table, offsets, limits)
    if starts and (len(starts) != count or starts[0] != 0 or sorted(set(starts)) != list(starts)):
        raise malformed("offsets", f"{count} ascending offsets from 0", f"{len(starts)}")
    base, held, made, size = stream.at, bytearray(), 0, 0
    pending = False
    for size in sizes:
        at = stream.at - 8 - base
        if starts and pending and at in starts[made + 1 : made + 2]:
            yield _whole(held, syntax)
            held, made, pending = bytearray(), made + 1, False
        within("limit.frame", "bytes in one codestream", len(held) + size, 2 * most + _SLACK, "pixels")
        held += stream.take(size)
        pending = True
        if not starts and count > 1 and (syntax.family == "rle" or _ended(held)):
            yield _whole(held, syntax)
            held, made, pending = bytearray(), made + 1, False
    if pending:
        yield _whole(held, syntax)
        made += 1
    if made != count:
        raise malformed("frames", f"codestreams for {count} frames", f"{made}")


def _starts(stream: Stream, size: int, offsets: tuple[int, ...], limits: Limits) -> tuple[int, ...]:
    within("limit.value", "bytes in the table of offsets", size, limits.value_bytes, "value_bytes")
    if size % 4:
        raise malformed("offsets", "whole offsets", f"{size} bytes")
    table = struct.unpack(f"<{size // 4}I", stream.take(size))
    if table and offsets:
        raise malformed("offsets", "one table of offsets", "two")
    return table or offsets


def _ended(data: bytearray) -> bool:
    return data.endswith(_END) or data[-3:-1] == _END


def _whole(data: bytearray, syntax: Syntax) -> bytes:
    """The codestream without the byte that made it even: should be zero, but some writers leave any byte there."""
    padded = syntax.family != "rle" and not data.endswith(_END) and data[-3:-1] == _END
    return bytes(data[:-1] if padded else data)

"""NIfTI-1 and NIfTI-2 volumes in one file, compressed or not: `vx` the voxels, `rd` how they are read.

vx   data type and shape, then one digest per plane of the first two axes, over its values in little-endian order
rd   slope and intercept, affine (both forms with their codes), voxel size, units, display range

Compression, byte order, version of the format, extensions and descriptive text are in neither.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import numpy as np

from titer.provenance.fingerprint._canonical import packed
from titer.provenance.fingerprint._gzip import Gunzipped, is_gzip
from titer.provenance.fingerprint._nifti import malformed, read_header, recognizes
from titer.provenance.fingerprint._stream import Source, Stream, opened
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, Running, digest, within

__all__ = ["fingerprint", "recognizes"]


def fingerprint(source: Source, limits: Limits | None = None) -> Fingerprint:
    """The fingerprint of one NIfTI volume, read forward once in pieces.

    Source: Cox et al. 2004, NIfTI-1 data format; NIfTI-2, 2011. A slope that is zero or not finite means no scaling
    there, and is the same as a slope of 1 and an intercept of 0 here.

    Arguments
        source: `.nii` or `.nii.gz` as bytes, path or open binary file.
        limits: `pixels` bounds a plane, `frames` their number, `inflate_ratio` compressed files.

    Refuses (`FingerprintError`, with a code) what `read_header` refuses, truncated files, and bytes after the voxels.
    `opening["planes"]` has the digests of all planes, so that the changed ones can be named.

    >>> import gzip
    >>> from struct import pack
    >>> head = pack("<i36x8h14x2h34xf232x4s4x", 348, 2, 2, 1, 1, 1, 1, 1, 1, 2, 8, 352, b"n+1")
    >>> fingerprint(head + b"ab")["vx"] == fingerprint(gzip.compress(head + b"ab"))["vx"]
    True
    """
    limits = limits or Limits()
    with opened(source, limits) as file:
        stream = Stream(Gunzipped(file, limits), limits) if is_gzip(file.peek(2)) else file
        header = read_header(stream)
        plane, count = math.prod(header.shape[:2]), math.prod(header.shape[2:])
        within("limit.pixels", "voxels in a plane", plane, limits.pixels, "pixels")
        within("limit.frames", "planes", count, limits.frames, "frames")
        size = plane * header.bytes_each
        within("limit.object", "bytes", stream.at + header.gap + size * count, limits.object_bytes, "object_bytes")
        stream.skip(header.gap)
        planes = []
        for _ in range(count):
            state = Running("vx.plane", 1)
            for piece in _little(stream, size, header.width if header.swapped else 1):
                state.update(piece)
            planes.append(state.value())
        if not stream.ended():
            raise malformed("trailing", "nothing after the voxels", "more bytes")
    form = packed(struct.pack(">h", header.datatype), struct.pack(f">{len(header.shape)}q", *header.shape))
    made = (Digest("rd", 1, digest("rd", 1, [header.rd])), Digest("vx", 1, digest("vx", 1, [form, *planes])))
    return Fingerprint("volume", made, {"planes": [each.hex() for each in planes]}, {"planes": count})


def _little(stream: Stream, size: int, width: int) -> Iterator[bytes]:
    """So many bytes, each word of `width` bytes turned around."""
    kept = b""
    for piece in stream.pieces(size):
        if width == 1:
            yield piece
            continue
        kept += piece
        whole = len(kept) - len(kept) % width
        yield np.frombuffer(kept[:whole], f"u{width}").byteswap().tobytes()
        kept = kept[whole:]

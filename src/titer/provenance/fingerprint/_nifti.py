"""The header of a NIfTI file: what says where the voxels are and how they are read.

Source: Cox et al. 2004, NIfTI-1 data format; NIfTI-2, 2011 (both at nifti.nimh.nih.gov).
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from titer.errors import FingerprintError
from titer.provenance.fingerprint._canonical import packed
from titer.provenance.fingerprint._gzip import is_gzip
from titer.provenance.fingerprint._stream import Stream
from titer.provenance.fingerprint.fingerprint import refuse

# Where each field stands in the two versions, as struct writes it.
_FIELDS = {
    348: {
        "datatype": (70, "2h"), "dim": (40, "8h"), "pixdim": (76, "8f"), "offset": (108, "f"), "scale": (112, "2f"),
        "units": (123, "B"), "display": (124, "2f"), "codes": (252, "2h"), "quaternion": (256, "6f"),
        "rows": (280, "12f"),
    },
    540: {
        "datatype": (12, "2h"), "dim": (16, "8q"), "pixdim": (104, "8d"), "offset": (168, "q"), "scale": (176, "2d"),
        "units": (500, "i"), "display": (192, "2d"), "codes": (344, "2i"), "quaternion": (352, "6d"),
        "rows": (400, "12d"),
    },
}  # fmt: skip
_MAGIC = {348: (344, b"n+1\0", b"ni1\0"), 540: (4, b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")}
# Data type: bytes per voxel, and the width that byte order turns.
_TYPES = {
    2: (1, 1), 4: (2, 2), 8: (4, 4), 16: (4, 4), 32: (8, 4), 64: (8, 8), 128: (3, 1), 256: (1, 1), 512: (2, 2),
    768: (4, 4), 1024: (8, 8), 1280: (8, 8), 1792: (16, 8), 2304: (4, 1),
}  # fmt: skip
_NAN = b"\x7f\xf8" + bytes(6)


@dataclass(frozen=True)
class Header:
    """What of a header the digests need.

    Arguments
        datatype: the standard's code. shape: 1 to 7 lengths. swapped: the file is big-endian.
        width: bytes that byte order turns. bytes_each: bytes per voxel. gap: bytes between header and voxels.
        rd: canonical bytes of what changes how voxels are read.
    """

    datatype: int
    shape: tuple[int, ...]
    swapped: bool
    width: int
    bytes_each: int
    gap: int
    rd: bytes


def recognizes(head: bytes) -> bool:
    """Whether the first bytes are those of a NIfTI file, compressed or not.

    >>> recognizes(bytes(348))
    False
    """
    if is_gzip(head):
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, 348)
        except zlib.error:
            return False
    size = _size(head[:4])
    if size == 0:
        return False
    at, *magics = _MAGIC[size]
    return head[at : at + len(magics[0])] in magics


def read_header(stream: Stream) -> Header:
    """The header at the front of a stream, which then stands behind it.

    Refuses pairs of files (`.hdr` with `.img`), data types whose layout differs between machines, and headers that
    contradict themselves.
    """
    start = stream.take(4)
    size = _size(start)
    if size == 0:
        raise malformed("header", "a header of 348 or 540 bytes", "another beginning")
    data = start + stream.take(size - 4)
    order = "<" if int.from_bytes(start, "little") == size else ">"
    at, single, pair = _MAGIC[size]
    magic = data[at : at + len(single)]
    if magic == pair:
        raise refuse(
            "unsupported.pair", "header and voxels in one file", "a pair of files", "save it as .nii or .nii.gz"
        )
    if magic != single:
        raise malformed("header", f"the mark {single!r}", "another")
    found = {name: struct.unpack_from(order + form, data, at) for name, (at, form) in _FIELDS[size].items()}
    datatype, bits = found["datatype"]
    if datatype not in _TYPES:
        remedy = "convert it to integers, float32 or float64 at capture"
        raise refuse("unsupported.datatype", "a data type with one layout everywhere", f"code {datatype}", remedy)
    bytes_each, width = _TYPES[datatype]
    count = found["dim"][0]
    shape = found["dim"][1 : count + 1]
    if bits != 8 * bytes_each:
        raise malformed("header", f"{8 * bytes_each} bits per voxel", str(bits))
    if not 1 <= count <= 7 or min(shape) < 1:
        raise malformed("shape", "1 to 7 positive lengths", repr(found["dim"]))
    return Header(datatype, shape, order == ">", width, bytes_each, _gap(found["offset"][0], size), _rd(found, count))


def malformed(code: str, expected: str, got: str) -> FingerprintError:
    """The refusal of a file that breaks the format."""
    return refuse(f"malformed.{code}", expected, got, "save the volume again with a program that follows NIfTI")


def _size(start: bytes) -> int:
    little, big = int.from_bytes(start, "little"), int.from_bytes(start, "big")
    return next((size for size in _FIELDS if size in (little, big)), 0)


def _gap(offset: float, size: int) -> int:
    # Four bytes after the header say whether extensions follow.
    if not math.isfinite(offset) or offset != int(offset) or offset < size + 4:
        raise malformed("offset", f"voxels from byte {size + 4} on", repr(offset))
    return int(offset) - size


def _rd(found: dict[str, tuple[Any, ...]], count: int) -> bytes:
    """Canonical bytes: floats as 64 bits, which a float32 fits into exactly; forms that are not in use are left out."""
    slope, intercept = found["scale"]
    # Zero, and by custom what is not finite, means that values are not scaled.
    if slope == 0 or not math.isfinite(slope):
        slope, intercept = 1.0, 0.0
    if not math.isfinite(intercept):
        raise malformed("scale", "a finite intercept", repr(intercept))
    qform, sform = found["codes"]
    pixdim = found["pixdim"]
    factor = -1.0 if pixdim[0] < 0 else 1.0
    return packed(
        b"scale", _doubles(slope, intercept),
        b"spacing", _doubles(*pixdim[1 : count + 1]),
        b"units", bytes([found["units"][0] & 0xFF]),
        b"display", _doubles(*found["display"]),
        b"qform", struct.pack(">i", qform), _doubles(factor, *found["quaternion"]) if qform > 0 else b"",
        b"sform", struct.pack(">i", sform), _doubles(*found["rows"]) if sform > 0 else b"",
    )  # fmt: skip


def _doubles(*values: float) -> bytes:
    """Big-endian doubles; NaN has many spellings and gets one."""
    return b"".join(struct.pack(">d", each) if each == each else _NAN for each in values)  # noqa: PLR0124

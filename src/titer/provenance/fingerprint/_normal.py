"""An image as its digests see it: a file that holds the digested values and attributes, and nothing else.

Readers of DICOM disagree: on where the stored bits of a word stand, on blanks around a value, on whether a header that
looks explicit is. So two files of equal digests may be two images to a viewer's library. A model that is given this
form instead of the file sees what was digested, since every byte of it was made from that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from titer.provenance.fingerprint._pixels import Frame, Words
from titer.provenance.fingerprint.fingerprint import Limits, refuse, within

_IMPLICIT = b"1.2.840.10008.1.2\0"
_ITEM = 0xFFFEE000
_CHARSET = 0x00080005
_PADDED = ("text", "number", "photometric")

Path = tuple[tuple[int, int], ...]


@dataclass
class _Item:
    """Elements of one item: a value, or items by their number."""

    values: dict[int, bytes] = field(default_factory=dict)
    sequences: dict[int, dict[int, _Item]] = field(default_factory=dict)


class Normal:
    """The form under way.

    Arguments
        limits: `object_bytes` bounds the values of all frames together.

    `described` is the header of the frames.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.described: Frame | None = None
        self._root = _Item()
        self._frames: list[bytes] = []
        self._size = 0

    def attribute(self, path: Path, tag: int, kind: str, value: bytes) -> None:
        """One attribute of `rd`, in its canonical bytes."""
        item = self._root
        for sequence, number in path:
            item = item.sequences.setdefault(sequence, {}).setdefault(number, _Item())
        item.values[tag] = value + b" " * (len(value) % 2) if kind in _PADDED else value

    def frame(self, values: Words) -> None:
        """One frame of canonical values."""
        self._size += values.nbytes
        within("limit.object", "bytes of pixels", self._size, self._limits.object_bytes, "object_bytes")
        self._frames.append(values.tobytes())

    def file(self) -> bytes:
        """The file (PS3.10), in Implicit VR Little Endian: no attribute's meaning hangs on how a writer called it."""
        frame = self.described
        if not self._frames or frame is None or frame.sign == 2:
            remedy = "let the capture point send a syntax that is decoded here"
            raise refuse("unsupported.decoder", "pixels that were decoded to integers", "none", remedy)
        width = 8 * frame.values.itemsize
        numbers = {
            0x00280002: frame.samples, 0x00280010: frame.rows, 0x00280011: frame.columns, 0x00280100: width,
            0x00280101: frame.stored, 0x00280102: frame.stored - 1, 0x00280103: frame.sign,
        }  # fmt: skip
        if frame.samples > 1:
            numbers[0x00280006] = 0
        made = self._root.values | {tag: struct.pack("<H", number) for tag, number in numbers.items()}
        # Text is canonical in UTF-8. As the first element it also keeps readers from guessing another syntax.
        made[_CHARSET] = b"ISO_IR 192"
        count = str(len(self._frames)).encode()
        made[0x00280008] = count + b" " * (len(count) % 2)
        made[0x7FE00010] = b"".join(self._frames)
        meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(_IMPLICIT)) + _IMPLICIT
        head = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
        return head + b"".join(_written(_Item(made, self._root.sequences)))


def _written(item: _Item) -> Iterator[bytes]:
    for tag in sorted({*item.values, *item.sequences}):
        if tag in item.values:
            yield _element(tag, item.values[tag])
        else:
            items = item.sequences[tag]
            # Items without a digested attribute keep their place.
            empty = _Item()
            parts = (b"".join(_written(items.get(number, empty))) for number in range(max(items) + 1))
            yield _element(tag, b"".join(_element(_ITEM, part) for part in parts))


def _element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value

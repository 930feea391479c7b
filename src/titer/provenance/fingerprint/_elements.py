"""The header of a DICOM object, element by element, with bounds checked before anything is read.

Stricter than viewers: tags must ascend, none may come twice, every length must fit into what holds it. Where readers
guess, two of them may see two different objects, and then one fingerprint would stand for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from titer.errors import FingerprintError
from titer.provenance.fingerprint._stream import Stream
from titer.provenance.fingerprint.fingerprint import Limits, refuse, within

# DICOM PS3.5, table 7.1-1: these have two reserved bytes and a length of 32 bits.
_LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_SHORT = frozenset(
    (
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    )
)
_WORD = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}
_WORD |= {"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8}
_UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = 0x7FE00010


@dataclass(frozen=True, slots=True)
class Element:
    """One element that holds a value.

    Arguments
        path: (sequence tag, item number) from the outside in; empty at the top.
        tag: group and element number in one. vr: value representation; `UN` where the header does not say.
        length: in bytes; `None` where it is undefined, as for compressed pixels. little: byte order of the value.
    """

    path: tuple[tuple[int, int], ...]
    tag: int
    vr: str
    length: int | None
    little: bool


class Walker:
    """Goes through a data set once. Values that nobody takes are left out; sequences are entered."""

    def __init__(self, stream: Stream, explicit: bool, little: bool, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self._explicit, self._little = explicit, little
        self._count = 0

    def elements(self, end: int | None = None) -> Iterator[Element]:
        """All elements in order, to `end` or to the end of the object."""
        yield from self._dataset((), end, end, False, self._explicit, self._little)

    def value(self, element: Element) -> bytes:
        """The value of the element that came last, as bytes in little-endian order."""
        # Only pixels may have an undefined length, and they are never held.
        assert element.length is not None
        within("limit.value", f"bytes in {show(element.tag)}", element.length, self._limits.value_bytes, "value_bytes")
        data = self._stream.take(element.length)
        if not element.little and (width := _WORD.get(element.vr, 1)) > 1:
            if len(data) % width:
                raise malformed("length", f"whole words in {show(element.tag)}", f"{len(data)} bytes")
            data = b"".join(data[at : at + width][::-1] for at in range(0, len(data), width))
        return data

    def _dataset(
        self,
        path: tuple[tuple[int, int], ...],
        end: int | None,
        bound: int | None,
        closed: bool,
        explicit: bool,
        little: bool,
    ) -> Iterator[Element]:
        """Elements up to `end`, or up to the mark that closes an item of undefined length.

        `bound` is where the nearest container of known length ends: nothing inside may reach beyond it.
        """
        stream, last = self._stream, -1
        while True:
            if stream.at == end or (end is None and not closed and stream.ended()):
                return
            tag = self._tag(little, bound)
            if closed and tag == ITEM_END:
                self._no_length(little)
                return
            if tag <= last or tag >> 16 == 0xFFFE:
                raise malformed("order", f"a tag above {show(last)}" if last >= 0 else "an element", show(tag))
            last = tag
            self._count += 1
            within("limit.elements", "elements", self._count, self._limits.elements, "elements")
            vr, length = self._head(tag, explicit, little)
            inside = stream.at + length if length is not None else None
            if bound is not None and inside is not None and inside > bound:
                raise malformed("length", f"{show(tag)} inside what holds it", f"{length} bytes")
            if vr == "SQ":
                yield from self._sequence((path, tag), inside, bound, explicit, little)
            elif vr == "UN" and (length is None or (explicit and _is_sequence(tag))):
                # What a writer did not know is kept as Implicit VR Little Endian (PS3.5, 6.2.2, note 4).
                yield from self._sequence((path, tag), inside, bound, False, True)
            elif length is None and (tag != PIXELS or vr not in ("OB", "OW")):
                raise malformed("length", f"a length for {show(tag)}", "an undefined one")
            else:
                start = stream.at
                yield Element(path, tag, vr, length, little)
                if stream.at == start:
                    self._leave_out(length, bound)

    def _sequence(
        self,
        place: tuple[tuple[tuple[int, int], ...], int],
        end: int | None,
        bound: int | None,
        explicit: bool,
        little: bool,
    ) -> Iterator[Element]:
        path, tag = place
        within("limit.depth", "sequences inside each other", len(path) + 1, self._limits.depth, "depth")
        number, bound = 0, end if end is not None else bound
        while self._stream.at != end:
            mark = self._tag(little, bound)
            if end is None and mark == SEQUENCE_END:
                self._no_length(little)
                return
            if mark != ITEM:
                raise malformed("item", f"an item of {show(tag)}", show(mark))
            self._count += 1
            within("limit.elements", "elements", self._count, self._limits.elements, "elements")
            length = int.from_bytes(self._stream.take(4), "little" if little else "big")
            inside = None if length == _UNDEFINED else self._stream.at + length
            if bound is not None and inside is not None and inside > bound:
                raise malformed("length", f"an item inside {show(tag)}", f"{length} bytes")
            deeper = bound if inside is None else inside
            yield from self._dataset((*path, (tag, number)), inside, deeper, inside is None, explicit, little)
            number += 1

    def _head(self, tag: int, explicit: bool, little: bool) -> tuple[str, int | None]:
        order = "little" if little else "big"
        if explicit:
            head = self._stream.take(4)
            vr = head[:2].decode("ascii", "replace")
            if vr in _SHORT:
                return vr, int.from_bytes(head[2:], order)  # type: ignore[arg-type]
            if vr not in _LONG:
                raise malformed("vr", f"a value representation for {show(tag)}", repr(head[:2]))
            length = int.from_bytes(self._stream.take(4), order)  # type: ignore[arg-type]
        else:
            length = int.from_bytes(self._stream.take(4), order)  # type: ignore[arg-type]
            vr = "OW" if tag == PIXELS else "UN"
            if tag != PIXELS and (length == _UNDEFINED or _is_sequence(tag)):
                vr = "SQ"
        return vr, None if length == _UNDEFINED else length

    def _tag(self, little: bool, bound: int | None) -> int:
        if bound is not None and self._stream.at + 8 > bound:
            raise malformed("length", "an element inside what holds it", f"{bound - self._stream.at} bytes left")
        head = self._stream.take(4)
        order = "little" if little else "big"
        return int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:], order)  # type: ignore[arg-type]

    def _no_length(self, little: bool) -> None:
        if self._stream.take(4) != bytes(4):
            raise malformed("item", "a closing mark without a length", "one with a length")

    def _leave_out(self, length: int | None, bound: int | None) -> None:
        if length is not None:
            self._stream.skip(length)
            return
        for size in fragment_sizes(self._stream, self._limits, bound):
            self._stream.skip(size)


def fragment_sizes(stream: Stream, limits: Limits, bound: int | None = None) -> Iterator[int]:
    """Sizes of the pieces of compressed pixels, the table of offsets first; the caller takes each before the next."""
    count = 0
    while True:
        head = stream.take(8)
        tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        size = int.from_bytes(head[4:], "little")
        if tag == SEQUENCE_END and size == 0:
            return
        if tag != ITEM or size == _UNDEFINED:
            raise malformed("item", "a fragment of the pixels", show(tag))
        if bound is not None and stream.at + size > bound:
            raise malformed("length", "a fragment inside what holds it", f"{size} bytes")
        count += 1
        within("limit.segments", "fragments", count, limits.segments, "segments")
        yield size


@cache
def _is_sequence(tag: int) -> bool:
    """Whether the data dictionary says that an element is a sequence; private ones are in no dictionary."""
    from pydicom.datadict import dictionary_VR

    try:
        return bool(dictionary_VR(tag) == "SQ")
    except KeyError:
        return False


def show(tag: int) -> str:
    """A tag as the standard writes it.

    >>> show(0x00280010)
    '(0028,0010)'
    """
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def malformed(code: str, expected: str, got: str) -> FingerprintError:
    """The refusal of an object that breaks its format; its text never quotes a value that may name a person."""
    return refuse(f"malformed.{code}", expected, got, "export the object again from where it was captured")

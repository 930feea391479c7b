"""X12 files as segments: separators as each interchange declares them, then replaced by fixed ones.

Source: ASC X12.5 (interchange envelope, whose first segment has a fixed width) and X12.6 (separators; what stands
empty at the end of a segment or element says nothing).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from titer.errors import FingerprintError
from titer.provenance.fingerprint._stream import Stream, rest
from titer.provenance.fingerprint.fingerprint import Limits, refuse, within

# Canonical separators of elements, repetitions and components: what ASCII has them for.
ELEMENT, REPETITION, COMPONENT = b"\x1d", b"\x1e", b"\x1f"
_ISA_BYTES = 106
_ISA_SEPARATORS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
_NAME = re.compile(rb"[A-Z][A-Z0-9]{1,2}")
# From this version on, ISA11 is the separator of repetitions; before, it named a standard.
_REPEATS = b"00402"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment.

    Arguments
        elements: the name, then the elements, without empty ones at the end; repetitions and components inside are
            separated by 0x1E and 0x1F.

    >>> Segment((b"HL", b"1", b"", b"20")).element(3)
    b'20'
    """

    elements: tuple[bytes, ...]

    @property
    def name(self) -> bytes:
        """Two or three characters, such as `CLM`."""
        return self.elements[0]

    def element(self, number: int) -> bytes:
        """An element by its number from 1; empty where it is absent."""
        return self.elements[number] if number < len(self.elements) else b""

    def canonical(self) -> bytes:
        """Bytes that no other segment has."""
        return ELEMENT.join(self.elements) + b"\x1c"


def segments(stream: Stream, limits: Limits) -> Iterator[Segment]:
    """All segments of a file, through one interchange after the other.

    Refuses files that begin with no interchange or end inside a segment, separators that are not distinct or could be
    data, and values with control characters that the canonical form needs.
    """
    text = _Text(stream, limits)
    count = 0
    while text.more():
        separators = _Separators(text.take(_ISA_BYTES))
        segment = separators.segment(separators.head[:-1], limits)
        while True:
            count += 1
            within("limit.segments", "segments", count, limits.segments, "segments")
            yield segment
            if segment.name == b"IEA":
                break
            segment = separators.segment(text.until(separators.terminator), limits)
    if not count:
        raise malformed("interchange", "an interchange that begins with ISA", "nothing")


class _Text:
    """Untrusted bytes up to the next separator, in bounded memory."""

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self._pieces, self._limits = rest(stream), limits
        self._held, self._at = b"", 0

    def more(self) -> bool:
        """Whether anything but line breaks is left."""
        while True:
            while self._held[self._at : self._at + 1] in (b"\r", b"\n"):
                self._at += 1
            if self._at < len(self._held):
                return True
            if not self._grow():
                return False

    def take(self, count: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._held) - self._at < count:
            if not self._grow():
                raise _cut()
        self._at += count
        return self._held[self._at - count : self._at]

    def until(self, terminator: bytes) -> bytes:
        """What stands before the next separator; line breaks in front say nothing, even where they separate."""
        if not self.more():
            raise _cut()
        start = self._at
        while (end := self._held.find(terminator, start)) < 0:
            start = len(self._held) - self._at
            within("limit.value", "bytes in a segment", start, self._limits.value_bytes, "value_bytes")
            if not self._grow():
                raise _cut()
        found, self._at = self._held[self._at : end], end + 1
        return found

    def _grow(self) -> bool:
        piece = next(self._pieces, b"")
        self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)


class _Separators:
    """What one interchange header declares."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        element, component, self.terminator = head[3:4], head[104:105], head[105:106]
        if head[:3] != b"ISA" or any(head[at : at + 1] != element for at in _ISA_SEPARATORS):
            raise malformed("interchange", "an ISA segment of 106 characters", "another beginning")
        found = [element, component]
        repetition = head[82:83]
        if not repetition.isalnum() and head[84:89] >= _REPEATS:
            found.append(repetition)
        if len({*found, self.terminator}) <= len(found) or any(map(_is_data, (*found, self.terminator))):
            raise malformed("separators", "distinct separators that are no letters, digits, spaces or dots", "others")
        self._table = bytes.maketrans(b"".join(found), (ELEMENT + COMPONENT + REPETITION)[: len(found)])
        self._forbidden = {0x1C, 0x1D, 0x1E, 0x1F} - set(b"".join(found))

    def segment(self, body: bytes, limits: Limits) -> Segment:
        """One segment from what stands before its terminator."""
        if any(each in body for each in self._forbidden):
            raise malformed("character", "no control characters in values", "one of 0x1C to 0x1F")
        body = body.translate(self._table)
        within("limit.elements", "elements in a segment", body.count(ELEMENT), limits.elements, "elements")
        elements = body.rstrip(ELEMENT + REPETITION + COMPONENT).split(ELEMENT)
        if COMPONENT in body or REPETITION in body:
            elements = [_trimmed(each) for each in elements]
        if not _NAME.fullmatch(elements[0]):
            raise malformed("segment", "a segment with its name", "another beginning")
        return Segment(tuple(elements))


def _is_data(separator: bytes) -> bool:
    return separator.isalnum() or separator in b" -." or separator > b"\x7f"


def _trimmed(element: bytes) -> bytes:
    """An element without what stands empty at its end or at the end of a repetition."""
    parts = [each.rstrip(COMPONENT) for each in element.split(REPETITION)]
    return REPETITION.join(parts).rstrip(REPETITION)


def malformed(code: str, expected: str, got: str) -> FingerprintError:
    """The refusal of a file that breaks the format; never quotes a value, which may name a person."""
    return refuse(
        f"malformed.{code}", expected, got, "send a complete 837 interchange as its implementation guide says"
    )


def _cut() -> FingerprintError:
    return malformed("truncated", "a file that ends with IEA", "one that ends before")

"""What all DICOM files (PS3.10) share: the way in, and whom and what they are about."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from titer.provenance.fingerprint._elements import Walker, malformed, show
from titer.provenance.fingerprint._rd import Texts
from titer.provenance.fingerprint._stream import Stream
from titer.provenance.fingerprint._syntaxes import Syntax, syntax_of
from titer.provenance.fingerprint.fingerprint import Digest, Limits, digest, within

CHARSET = 0x00080005
_IDENTIFIERS = {
    "patient": (0x00100020, 0x00100021),
    "accession": (0x00080050, 0x00080051),
    "study": (0x0020000D,),
    "series": (0x0020000E,),
    "instance": (0x00080018,),
    "device": (0x00181000,),
    "time": (0x00080022, 0x0008002A, 0x00080032),
}
# Without a time of acquisition, the time that the picture was made stands for it.
_MADE = (0x00080023, 0x00080033)
_NAMED = frozenset(tag for tags in _IDENTIFIERS.values() for tag in tags) | frozenset(_MADE)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Media Storage SOP Class UID (0002,0002) with one of the waveform classes (PS3.4, B.5).
_WAVEFORM = re.compile(rb"\x02\0\x02\0UI..1\.2\.840\.10008\.5\.1\.4\.1\.1\.9\.", re.DOTALL)


def is_dicom(head: bytes) -> bool:
    """Whether the first bytes are those of a DICOM file.

    >>> is_dicom(bytes(128) + b"DICM")
    True
    """
    return head[128:132] == b"DICM"


def is_waveform(head: bytes) -> bool:
    """Whether the first bytes are those of a DICOM file that says it is a waveform.

    >>> is_waveform(bytes(128) + b"DICM")
    False
    """
    return is_dicom(head) and _WAVEFORM.search(head, 132) is not None


def read_meta(stream: Stream, limits: Limits) -> Syntax:
    """Preamble and file meta group, which is always Explicit VR Little Endian; gives the transfer syntax."""
    preamble = stream.take(128)
    if preamble[:4] not in _TIFF and preamble.strip(b"\0"):
        raise malformed("preamble", "a preamble of zeros or of a TIFF file", "other bytes")
    if stream.take(4) != b"DICM":
        raise malformed("magic", "a DICOM file (PS3.10)", "other bytes")
    head = stream.take(8)
    if head != b"\2\0\0\0UL\4\0":
        raise malformed("meta", "a file meta group with its length", "another element")
    length = int.from_bytes(stream.take(4), "little")
    within("limit.value", "bytes of file meta", length, limits.value_bytes, "value_bytes")
    walker, uid = Walker(stream, True, True, limits), ""
    for element in walker.elements(stream.at + length):
        if element.tag == 0x00020010:
            uid = walker.value(element).strip(b"\0 ").decode("ascii", "replace")
        elif element.tag >> 16 != 2:
            raise malformed("meta", "group 0002", show(element.tag))
    return syntax_of(uid)


class Identifiers:
    """Patient (with issuer), accession, study, series, instance, device (serial number), time (of acquisition).

    >>> found = Identifiers()
    >>> found.keep(0x00100020, b"P1")
    >>> [each.name for each in found.digests(Texts(""))]
    ['id.patient']
    """

    def __init__(self) -> None:
        self._values: dict[int, bytes] = {}

    def wants(self, tag: int) -> bool:
        """Whether an element at the top level is an identifier."""
        return tag in _NAMED

    def keep(self, tag: int, data: bytes) -> None:
        """Takes the value of an element."""
        self._values[tag] = data

    def digests(self, texts: Texts) -> Iterator[Digest]:
        """One digest per identifier that is there."""
        for name, tags in _IDENTIFIERS.items():
            values = self._present(tags, texts) or (self._present(_MADE, texts) if name == "time" else {})
            # An issuer without the number that it issued names nobody.
            if tags[0] in values or (name == "time" and values):
                chunks = [struct.pack(">IQ", tag, len(value)) + value for tag, value in values.items()]
                yield Digest(f"id.{name}", 1, digest(f"id.{name}", 1, chunks))

    def _present(self, tags: tuple[int, ...], texts: Texts) -> dict[int, bytes]:
        found = {tag: texts.canonical(self._values.get(tag, b"")) for tag in tags}
        return {tag: value for tag, value in found.items() if value}

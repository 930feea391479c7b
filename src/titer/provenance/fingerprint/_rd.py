"""Attributes that change what a model or a reader sees: the closed table of `rd`, version 1, and its canonical bytes.

Standing in the table means being covered; everything else (names, dates, free text, private elements) may change
without changing `rd`. A row is added by a new version of the table, never in place.

Canonical bytes: present attributes in ascending order of their tags, each as `= || tag || kind || length || value`;
sequences as brackets around numbered items. Values lose what carries no meaning and nothing else: padding, the byte
order of the file, and other spellings of the same decimal number. An attribute without a value counts as absent.
"""

from __future__ import annotations

import hashlib
import re
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from titer.provenance.fingerprint._elements import malformed, show
from titer.provenance.fingerprint.fingerprint import Digest, Running

VERSION = 1

Keep = Callable[[tuple[tuple[int, int], ...], int, str, bytes], None]

_DECIMAL = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,9}))?")
_LONGEST_NUMBER = 64
# Photometric interpretations that decode to the samples of another one (PS3.3 C.7.6.3.1.2).
_DECODED = {"YBR_FULL_422": "YBR_FULL", "YBR_RCT": "RGB", "YBR_ICT": "RGB"}


@dataclass(frozen=True)
class Row:
    """One attribute of the table.

    Arguments
        tag: group and element. name: as in the data dictionary.
        kind: `text`, `number` (decimal text), `words` (binary, fixed width), `bytes`, `photometric`, `overlay`, or
            `items` for a sequence. inside: rows of its items.
    """

    tag: int
    name: str
    kind: str
    inside: tuple[Row, ...] = ()


_CODE = (Row(0x00080100, "CodeValue", "text"), Row(0x00080102, "CodingSchemeDesignator", "text"))
_MODIFIED = (
    Row(0x00082230, "PrimaryAnatomicStructureModifierSequence", "items", _CODE),
    Row(0x00082220, "AnatomicRegionModifierSequence", "items", _CODE),
)
_ANATOMY = (*_CODE, *_MODIFIED)
_VIEW = (*_CODE, Row(0x00540222, "ViewModifierCodeSequence", "items", _CODE))
_LUT = (
    Row(0x00283002, "LUTDescriptor", "words"),
    Row(0x00283004, "ModalityLUTType", "text"),
    Row(0x00283006, "LUTData", "words"),
)
_WINDOW = (
    Row(0x00281050, "WindowCenter", "number"),
    Row(0x00281051, "WindowWidth", "number"),
    Row(0x00281056, "VOILUTFunction", "text"),
)
_RESCALE = (
    Row(0x00281052, "RescaleIntercept", "number"),
    Row(0x00281053, "RescaleSlope", "number"),
    Row(0x00281054, "RescaleType", "text"),
)
_REAL_WORLD = Row(
    0x00409096,
    "RealWorldValueMappingSequence",
    "items",
    (
        Row(0x004008EA, "MeasurementUnitsCodeSequence", "items", _CODE),
        Row(0x00409211, "RealWorldValueLastValueMapped", "words"),
        Row(0x00409212, "RealWorldValueLUTData", "words"),
        Row(0x00409213, "DoubleFloatRealWorldValueLastValueMapped", "words"),
        Row(0x00409214, "DoubleFloatRealWorldValueFirstValueMapped", "words"),
        Row(0x00409216, "RealWorldValueFirstValueMapped", "words"),
        Row(0x00409224, "RealWorldValueIntercept", "words"),
        Row(0x00409225, "RealWorldValueSlope", "words"),
    ),
)
_SPACING = (
    Row(0x00180050, "SliceThickness", "number"),
    Row(0x00180088, "SpacingBetweenSlices", "number"),
    Row(0x00280030, "PixelSpacing", "number"),
)
_FUNCTIONAL = (
    Row(0x00189404, "ObjectPixelSpacingInCenterOfBeam", "words"),
    Row(
        0x00209071,
        "FrameAnatomySequence",
        "items",
        (
            Row(0x00082218, "AnatomicRegionSequence", "items", _ANATOMY),
            Row(0x00082228, "PrimaryAnatomicStructureSequence", "items", _ANATOMY),
            Row(0x00209072, "FrameLaterality", "text"),
        ),
    ),
    Row(0x00209113, "PlanePositionSequence", "items", (Row(0x00200032, "ImagePositionPatient", "number"),)),
    Row(0x00209116, "PlaneOrientationSequence", "items", (Row(0x00200037, "ImageOrientationPatient", "number"),)),
    Row(0x0020930E, "PlanePositionVolumeSequence", "items", (Row(0x00209301, "ImagePositionVolume", "words"),)),
    Row(0x0020930F, "PlaneOrientationVolumeSequence", "items", (Row(0x00209302, "ImageOrientationVolume", "words"),)),
    Row(0x00209450, "PatientOrientationInFrameSequence", "items", (Row(0x00200020, "PatientOrientation", "text"),)),
    Row(0x00289110, "PixelMeasuresSequence", "items", _SPACING),
    Row(0x00289132, "FrameVOILUTSequence", "items", _WINDOW),
    Row(0x00289145, "PixelValueTransformationSequence", "items", _RESCALE),
    Row(
        0x00289422,
        "PixelIntensityRelationshipLUTSequence",
        "items",
        (*_LUT, Row(0x00289474, "LUTFunction", "text")),
    ),
    _REAL_WORLD,
    Row(
        0x0048021A,
        "PlanePositionSlideSequence",
        "items",
        (
            Row(0x0040072A, "XOffsetInSlideCoordinateSystem", "number"),
            Row(0x0040073A, "YOffsetInSlideCoordinateSystem", "number"),
            Row(0x0040074A, "ZOffsetInSlideCoordinateSystem", "number"),
            Row(0x0048021E, "ColumnPositionInTotalImagePixelMatrix", "words"),
            Row(0x0048021F, "RowPositionInTotalImagePixelMatrix", "words"),
        ),
    ),
)
# Tags of the first overlay plane; those of the others are 0x0002 groups further on, up to (60FE,xxxx).
_OVERLAY = (
    Row(0x60000010, "OverlayRows", "words"),
    Row(0x60000011, "OverlayColumns", "words"),
    Row(0x60000015, "NumberOfFramesInOverlay", "number"),
    Row(0x60000040, "OverlayType", "text"),
    Row(0x60000050, "OverlayOrigin", "words"),
    Row(0x60000051, "ImageFrameOrigin", "words"),
    Row(0x60000102, "OverlayBitPosition", "words"),
    Row(0x60001001, "OverlayActivationLayer", "text"),
    Row(0x60003000, "OverlayData", "overlay"),
)
TABLE = (
    Row(0x00080060, "Modality", "text"),
    Row(0x00082218, "AnatomicRegionSequence", "items", _ANATOMY),
    Row(0x00082228, "PrimaryAnatomicStructureSequence", "items", _ANATOMY),
    Row(0x00180015, "BodyPartExamined", "text"),
    Row(0x00181164, "ImagerPixelSpacing", "number"),
    Row(0x00182010, "NominalScannedPixelSpacing", "number"),
    Row(0x00185100, "PatientPosition", "text"),
    Row(0x00185101, "ViewPosition", "text"),
    *_SPACING[:2],
    Row(0x00200020, "PatientOrientation", "text"),
    Row(0x00200032, "ImagePositionPatient", "number"),
    Row(0x00200037, "ImageOrientationPatient", "number"),
    Row(0x00200060, "Laterality", "text"),
    Row(0x00200062, "ImageLaterality", "text"),
    Row(0x00280004, "PhotometricInterpretation", "photometric"),
    _SPACING[2],
    Row(0x00280034, "PixelAspectRatio", "number"),
    Row(0x00280120, "PixelPaddingValue", "words"),
    Row(0x00280121, "PixelPaddingRangeLimit", "words"),
    Row(0x00280122, "FloatPixelPaddingValue", "words"),
    Row(0x00280123, "DoubleFloatPixelPaddingValue", "words"),
    Row(0x00280124, "FloatPixelPaddingRangeLimit", "words"),
    Row(0x00280125, "DoubleFloatPixelPaddingRangeLimit", "words"),
    Row(0x00281040, "PixelIntensityRelationship", "text"),
    Row(0x00281041, "PixelIntensityRelationshipSign", "words"),
    *_WINDOW,
    *_RESCALE,
    Row(0x00281101, "RedPaletteColorLookupTableDescriptor", "words"),
    Row(0x00281102, "GreenPaletteColorLookupTableDescriptor", "words"),
    Row(0x00281103, "BluePaletteColorLookupTableDescriptor", "words"),
    Row(0x00281104, "AlphaPaletteColorLookupTableDescriptor", "words"),
    Row(0x00281201, "RedPaletteColorLookupTableData", "words"),
    Row(0x00281202, "GreenPaletteColorLookupTableData", "words"),
    Row(0x00281203, "BluePaletteColorLookupTableData", "words"),
    Row(0x00281204, "AlphaPaletteColorLookupTableData", "words"),
    Row(0x00281221, "SegmentedRedPaletteColorLookupTableData", "words"),
    Row(0x00281222, "SegmentedGreenPaletteColorLookupTableData", "words"),
    Row(0x00281223, "SegmentedBluePaletteColorLookupTableData", "words"),
    Row(0x00281224, "SegmentedAlphaPaletteColorLookupTableData", "words"),
    Row(0x00282000, "ICCProfile", "bytes"),
    Row(0x00282002, "ColorSpace", "text"),
    Row(0x00282110, "LossyImageCompression", "text"),
    Row(0x00282112, "LossyImageCompressionRatio", "number"),
    Row(0x00282114, "LossyImageCompressionMethod", "text"),
    Row(0x00283000, "ModalityLUTSequence", "items", _LUT),
    Row(0x00283010, "VOILUTSequence", "items", _LUT),
    _REAL_WORLD,
    Row(0x00540220, "ViewCodeSequence", "items", _VIEW),
    Row(0x20500010, "PresentationLUTSequence", "items", _LUT),
    Row(0x20500020, "PresentationLUTShape", "text"),
    Row(0x30040002, "DoseUnits", "text"),
    Row(0x3004000C, "GridFrameOffsetVector", "number"),
    Row(0x3004000E, "DoseGridScaling", "number"),
    Row(0x52009229, "SharedFunctionalGroupsSequence", "items", _FUNCTIONAL),
    Row(0x52009230, "PerFrameFunctionalGroupsSequence", "items", _FUNCTIONAL),
    *_OVERLAY,
)
# What a writer may call the value of each kind; `UN` is what it was called by one that did not know it.
_ALLOWED = {
    "text": frozenset(("CS", "LO", "SH", "UN")),
    "number": frozenset(("DS", "IS", "UN")),
    "words": frozenset(("US", "SS", "OW", "AT", "UL", "SL", "FL", "FD", "OB", "UN")),
    "bytes": frozenset(("OB", "UN")),
    "photometric": frozenset(("CS", "UN")),
    "overlay": frozenset(("OB", "OW", "UN")),
}


def _flat(rows: tuple[Row, ...], path: tuple[int, ...] = ()) -> dict[tuple[int, ...], Row]:
    found: dict[tuple[int, ...], Row] = {}
    for row in rows:
        here = (*path, row.tag)
        found |= _flat(row.inside, here) if row.inside else {here: row}
    return found


ROWS = _flat(TABLE)
"""Tags from the outside in -> row, for every attribute that holds a value."""


def row_of(path: tuple[tuple[int, int], ...], tag: int) -> Row | None:
    """The row of an element, or nothing.

    >>> row_of((), 0x00281050).name, row_of((), 0x60023000).name, row_of((), 0x00100010)
    ('WindowCenter', 'OverlayData', None)
    """
    if not path:
        return ROWS.get((tag & 0xFF01FFFF if tag >> 16 & 0xFF01 == 0x6000 else tag,))
    return ROWS.get((*(sequence for sequence, _ in path), tag))


class Reading:
    """`rd` under way: attributes go in as they come, in ascending order.

    Arguments
        decodes: whether the photometric interpretation names the encoded samples, so that decoding changes it.
        keep: gets place, tag, kind and canonical value of each attribute as it is digested.
    """

    def __init__(self, decodes: bool, keep: Keep | None = None) -> None:
        self._keep = keep
        self._state = Running("rd", VERSION)
        self._parts: dict[str, hashlib._Hash] = {}
        self._open: tuple[tuple[int, int], ...] = ()
        self._decodes = decodes
        self._overlay: dict[int, int] = {}

    def add(self, path: tuple[tuple[int, int], ...], tag: int, vr: str, row: Row, data: bytes, text: Texts) -> None:
        """One attribute of the table with its value in little-endian order."""
        if vr not in _ALLOWED[row.kind]:
            raise malformed("vr", f"{show(tag)} as {' or '.join(sorted(_ALLOWED[row.kind]))}", vr)
        value = self._canonical(tag, row.kind, data, text)
        if not value:
            return
        if self._keep is not None:
            self._keep(path, tag, row.kind, value)
        self._enter(path)
        self._put(path, tag, b"=" + struct.pack(">IcQ", tag, row.kind[:1].encode(), len(value)) + value)

    def finish(self) -> tuple[Digest, dict[str, str]]:
        """The digest, and one short digest per attribute or item of the top level, which names what changed."""
        self._enter(())
        return Digest("rd", VERSION, self._state.value()), {
            place: part.hexdigest()[:32] for place, part in self._parts.items()
        }

    def _enter(self, path: tuple[tuple[int, int], ...]) -> None:
        """Closes the items that this path is not in, and opens those that it is in."""
        same = 0
        while same < min(len(path), len(self._open)) and path[same] == self._open[same]:
            same += 1
        for depth in range(len(self._open), same, -1):
            self._put(self._open[:depth], 0, b"]")
        for depth in range(same + 1, len(path) + 1):
            self._put(path[:depth], 0, b"[" + struct.pack(">II", *path[depth - 1]))
        self._open = path

    def _put(self, path: tuple[tuple[int, int], ...], tag: int, data: bytes) -> None:
        self._state.update(data)
        place = f"{show(path[0][0])}[{path[0][1]}]" if path else show(tag)
        self._parts.setdefault(place, hashlib.sha256()).update(data)

    def _canonical(self, tag: int, kind: str, data: bytes, text: Texts) -> bytes:
        if kind == "number":
            if tag & 0xFF01FFFF == 0x60000015:
                self._overlay[tag] = _count(data)
            return numbers(data)
        if kind == "text":
            return text.canonical(data)
        if kind == "photometric":
            name = data.strip(b" \0").decode("ascii", "replace")
            return (_DECODED.get(name, name) if self._decodes or name == "YBR_FULL_422" else name).encode()
        if kind == "overlay":
            return self._plane(tag, data)
        if tag & 0xFF01FFFF in (0x60000010, 0x60000011):
            self._overlay[tag] = int.from_bytes(data, "little")
        return data

    def _plane(self, tag: int, data: bytes) -> bytes:
        """An overlay without the bits that fill its last byte or word."""
        group = tag & 0xFFFF0000
        size = self._overlay.get(group | 0x10, 0) * self._overlay.get(group | 0x11, 0)
        if not size:
            return data
        whole, rest = divmod(size * self._overlay.get(group | 0x15, 1), 8)
        kept = data[:whole]
        return kept + bytes([data[whole] & (1 << rest) - 1]) if rest and whole < len(data) else kept


@dataclass(frozen=True)
class Texts:
    """How the texts of an object are written: its Specific Character Set (0008,0005).

    >>> Texts("").canonical(b" LEFT ")
    b'LEFT'
    """

    charset: str

    def canonical(self, data: bytes) -> bytes:
        """UTF-8 in NFC without padding, value by value; bytes that the character set cannot explain are kept."""
        if data.isascii() and b"\x1b" not in data:
            return b"\\".join(part.strip(b" \0") for part in data.split(b"\\"))
        plain = self._decoded(data)
        if plain is None or "\ufffd" in plain:
            return b"\xff" + data.rstrip(b" \0")
        return unicodedata.normalize("NFC", "\\".join(part.strip(" \0") for part in plain.split("\\"))).encode()

    def _decoded(self, data: bytes) -> str | None:
        from pydicom.charset import decode_bytes, python_encoding

        names = [each.strip() for each in self.charset.split("\\")]
        if any(name not in python_encoding for name in names):
            return None
        codecs = [python_encoding[name] for name in names]
        try:
            if len(codecs) == 1 and b"\x1b" not in data:
                return data.decode(codecs[0])
            return str(decode_bytes(data, codecs, {0x5C}))
        except (LookupError, ValueError):
            return None


def numbers(data: bytes) -> bytes:
    """Decimal text with one spelling per number, exact whatever its length; what is no number stays as it is.

    >>> numbers(b"1.50\\\\-0.0\\\\+2e3 ")
    b'15e-1\\\\0\\\\2e3'
    """
    return b"\\".join(map(_number, data.strip(b" \0").split(b"\\"))) if data.strip(b" \0") else b""


def _count(data: bytes) -> int:
    """A small whole number as decimal text; 1 where it is none, as where it is absent."""
    text = data.strip(b" \0")
    return int(text) if text.isdigit() and len(text) < 10 else 1


def _number(part: bytes) -> bytes:
    text = part.strip(b" \0").decode("ascii", "replace")
    found = _DECIMAL.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if found is None or not ((found[2] or "") + (found[3] or "")):
        return b"?" + part.strip(b" \0")
    digits = (found[2] + (found[3] or "")).lstrip("0")
    if not digits:
        return b"0"
    exponent = int(found[4] or 0) - len(found[3] or "") + len(digits) - len(digits.rstrip("0"))
    sign = "-" if found[1] == "-" else ""
    return f"{sign}{digits.rstrip('0')}{f'e{exponent}' if exponent else ''}".encode()

"""DICOM images (PS3.10 files): `px`, `cs`, `rd`, `hb` and one digest per identifier.

px   stored values, frame by frame, in blocks of 64 x 64: equal whatever lossless syntax carries them
cs   the compressed codestreams as captured; what counts for lossy captures
rd   the attributes of the closed table in `_rd.py`
hb   that bits outside BitsStored are zero or copies of the sign, else their digest
id.  patient (with issuer), accession, study, series, instance, device (serial number), time (of acquisition)
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from titer.provenance.fingerprint._codecs import Claim, check, claim, decoder_of
from titer.provenance.fingerprint._codestreams import codestreams
from titer.provenance.fingerprint._elements import PIXELS, Element, Walker, fragment_sizes, malformed, show
from titer.provenance.fingerprint._explain import Box, Difference, changed_boxes, explain_difference
from titer.provenance.fingerprint._normal import Normal
from titer.provenance.fingerprint._part10 import CHARSET, Identifiers, is_dicom, is_waveform, read_meta
from titer.provenance.fingerprint._pixels import Frame, Pictures, native_frames
from titer.provenance.fingerprint._rd import Reading, Texts, row_of
from titer.provenance.fingerprint._stream import Inflated, Source, Stream, opened
from titer.provenance.fingerprint._syntaxes import Syntax
from titer.provenance.fingerprint._tree import root
from titer.provenance.fingerprint._worker import decode
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, digest, refuse, within

__all__ = ["Box", "Difference", "changed_boxes", "explain_difference", "fingerprint", "normal_form", "recognizes"]

_FLOATS = {0x7FE00008: 32, 0x7FE00009: 64}
_OFFSETS, _LENGTHS = 0x7FE00001, 0x7FE00002
_NUMBERS = {
    0x00280002: "samples",
    0x00280006: "planar",
    0x00280010: "rows",
    0x00280011: "columns",
    0x00280100: "allocated",
    0x00280101: "stored",
    0x00280102: "high",
    0x00280103: "sign",
}
_PHOTOMETRIC, _FRAMES = 0x00280004, 0x00280008


def recognizes(head: bytes) -> bool:
    """Whether the first bytes are those of a DICOM file that is no waveform (`signal` has those).

    >>> recognizes(bytes(128) + b"DICM")
    True
    """
    return is_dicom(head) and not is_waveform(head)


def fingerprint(source: Source, limits: Limits | None = None) -> Fingerprint:
    """The fingerprint of one DICOM image, read forward once with one frame in memory.

    Source: DICOM PS3.5 and PS3.10, 2024 edition; RFC 6962, section 2.1, for the trees.

    Arguments
        source: the file as bytes, path or open binary file. limits: what is read before the object is refused.

    Refuses (`FingerprintError`, with a code) a preamble that is neither zero nor TIFF, what is malformed or truncated,
    what exceeds a limit, and syntaxes, byte orders and components that cannot be read exactly. Lossy captures keep
    `px`, which then holds only for the program in `opening["decoder"]`; 12-bit lossy JPEG and video have `cs` alone.

    >>> from pydicom.data import get_testdata_file
    >>> fingerprint(get_testdata_file("MR_small.dcm"))["px"] == fingerprint(get_testdata_file("MR_small_RLE.dcm"))["px"]
    True
    """
    return _read(source, limits or Limits(), None)


def normal_form(source: Source, limits: Limits | None = None) -> tuple[Fingerprint, bytes]:
    """The fingerprint of one image, and a DICOM file made of nothing but what `px` and `rd` were made of.

    Two files of equal `px` and `rd` have one normal form, so whatever reads it sees what was digested: `_normal.py`.

    Arguments
        source, limits: as in `fingerprint`; `object_bytes` also bounds the pixels of all frames, which are held.

    Refuses what `fingerprint` refuses, and images without decoded integers (video, 12-bit lossy JPEG, floats).

    >>> from pydicom.data import get_testdata_file
    >>> plain, packed = (normal_form(get_testdata_file(f"MR_small{end}.dcm"))[1] for end in ("", "_RLE"))
    >>> plain == packed
    True
    """
    limits = limits or Limits()
    normal = Normal(limits)
    made = _read(source, limits, normal)
    return made, normal.file()


def _read(source: Source, limits: Limits, normal: Normal | None) -> Fingerprint:
    with opened(source, limits) as stream:
        syntax = read_meta(stream, limits)
        dataset = Stream(Inflated(stream, limits), limits) if syntax.deflated else stream
        return _Image(dataset, syntax, limits, normal).read()


@dataclass
class _Image:
    """One image under way."""

    stream: Stream
    syntax: Syntax
    limits: Limits
    normal: Normal | None = None
    texts: Texts = field(default_factory=lambda: Texts(""))
    numbers: dict[str, int] = field(default_factory=dict)
    photometric: str = ""
    count: int = 1
    offsets: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    named: Identifiers = field(default_factory=Identifiers)
    digests: list[Digest] = field(default_factory=list)
    opening: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    pixels: int | None = None

    def read(self) -> Fingerprint:
        keep = None if self.normal is None else self.normal.attribute
        rd = Reading(self.syntax.family == "jpeg_2000", keep)
        walker = Walker(self.stream, self.syntax.explicit, self.syntax.little, self.limits)
        private = 0
        for element in walker.elements():
            private += element.tag >> 16 & 1
            row = row_of(element.path, element.tag)
            if row is not None or (not element.path and self._wanted(element.tag)):
                data = walker.value(element)
                if row is not None:
                    rd.add(element.path, element.tag, element.vr, row, data, self.texts)
                if not element.path:
                    self._keep(element.tag, data)
            elif not element.path and (element.tag == PIXELS or element.tag in _FLOATS):
                self._pixels(element)
        if self.pixels is None:
            raise refuse("unsupported.no_pixels", "an image", "an object without pixels", "fingerprint images only")
        made, parts = rd.finish()
        self.digests += [made, *self.named.digests(self.texts)]
        self.opening["rd"] = parts
        self.opening["authoritative"] = ["cs", "rd"] if self.notes["lossy"] else ["px", "rd"]
        self.notes["private_elements"] = private
        return Fingerprint("dicom", tuple(sorted(self.digests, key=lambda each: each.name)), self.opening, self.notes)

    def _wanted(self, tag: int) -> bool:
        return tag in _NUMBERS or self.named.wants(tag) or tag in (CHARSET, _FRAMES, _OFFSETS, _LENGTHS)

    def _keep(self, tag: int, data: bytes) -> None:
        if tag in _NUMBERS:
            if len(data) != 2:
                raise malformed("number", f"one 16-bit number in {show(tag)}", f"{len(data)} bytes")
            self.numbers[_NUMBERS[tag]] = int.from_bytes(data, "little")
        elif self.named.wants(tag):
            self.named.keep(tag, data)
        elif tag == CHARSET:
            self.texts = Texts(data.strip(b" \0").decode("ascii", "replace"))
        elif tag == _PHOTOMETRIC:
            self.photometric = data.strip(b" \0").decode("ascii", "replace")
        elif tag == _FRAMES and data.strip(b" \0"):
            text = data.strip(b" \0")
            if not text.isdigit() or len(text) > 9 or not int(text):
                raise malformed("number", "a positive NumberOfFrames", f"{len(text)} characters")
            self.count = int(text)
            within("limit.frames", "frames", self.count, self.limits.frames, "frames")
        elif tag in (_OFFSETS, _LENGTHS):
            if len(data) % 8:
                raise malformed("offsets", "whole offsets", f"{len(data)} bytes")
            values = struct.unpack(f"<{len(data) // 8}Q", data)
            self.offsets, self.lengths = (values, self.lengths) if tag == _OFFSETS else (self.offsets, values)

    def _pixels(self, element: Element) -> None:
        if self.pixels is not None:
            raise malformed("pixels", "one element of pixels", f"{show(element.tag)} too")
        self.pixels = element.tag
        frame = self._frame(element.tag)
        self.notes |= {"frames": self.count, "lossy": int(self.syntax.lossy), "undecoded": 0, "high_bits": 0}
        if self.syntax.native:
            self._native(element, frame)
        elif element.length is not None or element.tag != PIXELS:
            raise malformed("pixels", "compressed pixels in fragments", "a plain value")
        elif self.syntax.family == "video":
            self._video(frame)
        else:
            self._compressed(frame)

    def _frame(self, tag: int) -> Frame:
        """The header of the frames, complete and consistent, or a refusal."""
        found = dict(self.numbers)
        if tag in _FLOATS:
            found |= {"allocated": _FLOATS[tag], "stored": _FLOATS[tag], "high": _FLOATS[tag] - 1, "sign": 2}
        found.setdefault("high", found.get("stored", 0) - 1)
        found.setdefault("planar", 0)
        missing = [name for name in ("rows", "columns", "samples", "allocated", "stored", "sign") if name not in found]
        if missing or not self.photometric:
            raise malformed("pixels", "a complete description of the pixels", f"none of {missing or 'photometric'}")
        within("limit.pixels", "pixels in a frame", found["rows"] * found["columns"], self.limits.pixels, "pixels")
        if found["allocated"] not in (1, 8, 16, 32, 64):
            raise refuse(
                "unsupported.bits", "1, 8, 16, 32 or 64 bits", str(found["allocated"]), "store whole words at capture"
            )
        sound = (
            found["rows"] > 0
            and found["columns"] > 0
            and found["samples"] in (1, 3, 4)
            and 0 < found["stored"] <= found["high"] + 1 <= found["allocated"]
            and (found["sign"] < 2 or tag in _FLOATS)
            and found["planar"] < 2
        )
        frame = Frame(planar=bool(found.pop("planar")), photometric=self.photometric, **found)
        if not sound or (self.syntax.native and frame.halved and frame.columns % 2):
            raise malformed("pixels", "a description of pixels that fits together", repr(frame))
        return frame

    def _native(self, element: Element, frame: Frame) -> None:
        if element.length is None:
            raise malformed("pixels", "uncompressed pixels with a length", "fragments")
        fits = ("OB", "OW") if frame.allocated <= 8 else ("OW",)
        if not self.syntax.little and element.vr not in fits:
            raise refuse("unsupported.byte_order", "bytes in OB or words in OW", element.vr, "convert it at capture")
        swapped = not self.syntax.little and element.vr == "OW"
        pictures = self._pictures(frame)
        for words in native_frames(self.stream, frame, self.count, element.length, swapped):
            pictures.add(words)
        self._finish(pictures)

    def _compressed(self, frame: Frame) -> None:
        pictures, hashes, blind = self._pictures(frame), [], False
        for number, data in enumerate(self._codestreams(frame)):
            claimed = None if self.syntax.family == "rle" else claim(data, self.syntax.family)
            if claimed is not None:
                check(claimed, frame)
                self.notes["lossy"] |= int(not claimed.exact)
                blind = blind or _undecodable(claimed, self.syntax)
            hashes.append(hashlib.sha256(b"\0" + data).digest())
            if not blind:
                pictures.add(decode(data, frame, self.syntax.family, claimed))
            if self.lengths and not len(data) <= self.lengths[number] <= len(data) + 1:
                raise malformed("offsets", f"{len(data)} bytes in frame {number}", f"{self.lengths[number]}")
        self._codes(frame, hashes)
        if blind:
            self.notes["undecoded"] = 1
            return
        if self.notes["lossy"]:
            self.opening["decoder"] = asdict(decoder_of(self.syntax.family))
        self._finish(pictures)

    def _pictures(self, frame: Frame) -> Pictures:
        if self.normal is None:
            return Pictures(frame)
        self.normal.described = frame
        return Pictures(frame, self.normal.frame)

    def _codestreams(self, frame: Frame) -> Iterator[bytes]:
        if self.offsets and len(self.lengths) != len(self.offsets):
            raise malformed("offsets", f"{len(self.offsets)} lengths", f"{len(self.lengths)}")
        most = -(-frame.bits // 8) * (2 if frame.halved else 1)
        return codestreams(self.stream, self.syntax, self.count, most, self.offsets, self.limits)

    def _video(self, frame: Frame) -> None:
        """One codestream over all frames, hashed as it comes."""
        state = hashlib.sha256(b"\0")
        for number, size in enumerate(fragment_sizes(self.stream, self.limits)):
            for piece in self.stream.pieces(size):
                if number:
                    state.update(piece)
        self.notes["undecoded"] = 1
        self._codes(frame, [state.digest()])

    def _codes(self, frame: Frame, hashes: list[bytes]) -> None:
        pieces = (
            frame.header,
            self.syntax.uid.encode() + b"\0",
            struct.pack(">II", self.count, len(hashes)),
            root(hashes),
        )
        self.digests.append(Digest("cs", 1, digest("cs", 1, pieces)))
        self.opening["cs"] = {
            "syntax": self.syntax.uid,
            "frames": [base64.b64encode(each).decode("ascii") for each in hashes],
        }

    def _finish(self, pictures: Pictures) -> None:
        self.digests.append(pictures.px())
        self.opening["px"] = pictures.opening()
        if not self.notes["lossy"]:
            self.digests.append(pictures.hb())
            self.notes["high_bits"] = pictures.dirty


def _undecodable(claimed: Claim, syntax: Syntax) -> bool:
    """12-bit lossy JPEG, for which no decoder has a permissive licence."""
    return syntax.family == "jpeg" and claimed.bits > 8

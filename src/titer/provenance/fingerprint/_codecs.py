"""Decoders with permissive licences, one per family of codec, and a look at each codestream before it is decoded.

The size that a codestream itself claims is compared with the header first: a picture of a few bytes that would decode
to gigabytes is never started. Plug-ins are called directly, without the corrections that viewers make.

A damaged codestream that a decoder repairs in its own way gives pixels that another one may not see. The digest speaks
of the pixels that these decoders see; so a guard gives its model the array that was digested, never the file.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from titer.provenance.fingerprint._elements import malformed
from titer.provenance.fingerprint._pixels import Frame, Words
from titer.provenance.fingerprint.fingerprint import refuse

# Start-of-frame markers that each family may hold: baseline, extended and progressive; lossless; JPEG-LS.
_STARTS = {"jpeg": (0xC0, 0xC1, 0xC2), "jpeg_lossless": (0xC3,), "jpeg_ls": (0xF7,)}
_NO_LENGTH = (0x01, *range(0xD0, 0xD9))


@dataclass(frozen=True)
class Claim:
    """What a codestream says about itself.

    Arguments
        rows, columns, samples: shape. bits: precision of its samples. signed: whether they are.
        exact: whether every decoder gives the same integers.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool = False
    exact: bool = True


@dataclass(frozen=True)
class Decoder:
    """Which program decoded; pixels of a lossy capture are only valid with it.

    Arguments
        name: of the package. version: of the package and of the library inside it.
    """

    name: str
    version: str


def claim(data: bytes, family: str) -> Claim:
    """Reads what a codestream says about itself, up to its first coded byte.

    Refuses one without an end marker at its very end: decoders disagree on what is missing or follows.
    """
    if not data.endswith(b"\xff\xd9"):
        raise malformed("codestream", "an end marker at the end of the codestream", "other bytes")
    try:
        return _claim_2000(data) if family == "jpeg_2000" else _claim_jpeg(data, _STARTS[family])
    except IndexError as error:
        raise malformed("codestream", "a whole codestream", f"{len(data)} bytes") from error


def _claim_jpeg(data: bytes, starts: tuple[int, ...]) -> Claim:
    if data[:2] != b"\xff\xd8":
        raise malformed("codestream", "a JPEG codestream", "other bytes")
    at = 2
    while True:
        if data[at] != 0xFF:
            raise malformed("codestream", "a JPEG marker", "other bytes")
        mark = data[at + 1]
        if mark == 0xFF or mark in _NO_LENGTH:
            at += 1 if mark == 0xFF else 2
            continue
        if mark in starts:
            rows, columns = _word(data, at + 5), _word(data, at + 7)
            return Claim(rows, columns, data[at + 9], data[at + 4], exact=mark in (0xC3, 0xF7))
        if mark in (0xDA, 0xF7) or (0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC)):
            raise malformed("codestream", "the process that the transfer syntax names", f"marker {mark:02X}")
        at += 2 + _word(data, at + 2)


def _claim_2000(data: bytes) -> Claim:
    if data[4:12] == b"jP  \r\n\x87\n":
        raise refuse(
            "unsupported.jp2",
            "a bare JPEG 2000 codestream (PS3.5 A.4.4)",
            "one inside a JP2 file",
            "let the capture point leave the file's boxes out: toolkits disagree on what they do to the samples",
        )
    if data[:4] != b"\xff\x4f\xff\x51":
        raise malformed("codestream", "a bare JPEG 2000 codestream", "other bytes")
    right, low, left, top = (_long(data, at) for at in (8, 12, 16, 20))
    samples = _word(data, 40)
    kinds = {data[42 + 3 * each] for each in range(samples)}
    steps = {data[43 + 3 * each] for each in range(samples)} | {data[44 + 3 * each] for each in range(samples)}
    if len(kinds) != 1 or steps != {1}:
        raise refuse(
            "unsupported.components",
            "components of one precision and full size",
            "others",
            "let the capture point compress all components alike",
        )
    kind = kinds.pop()
    return Claim(low - top, right - left, samples, (kind & 0x7F) + 1, bool(kind & 0x80), _reversible(data))


def _reversible(data: bytes) -> bool:
    """Whether the default coding style is the reversible wavelet (ITU-T T.800, table A.20)."""
    at = 2
    while data[at] == 0xFF and data[at + 1] not in (0x90, 0x93, 0xD9):
        if data[at + 1] == 0x52:
            return data[at + 13] == 1
        at += 2 + _word(data, at + 2)
    raise malformed("codestream", "a coding style before the first tile", "none")


def _word(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _long(data: bytes, at: int) -> int:
    return _word(data, at) << 16 | _word(data, at + 2)


def check(claimed: Claim, frame: Frame) -> None:
    """Compares a codestream's own word with the header.

    Refuses another shape, more bits than a word has, and samples narrower than BitsStored whose sign is open.
    """
    there = (claimed.rows, claimed.columns, claimed.samples)
    if there != (frame.rows, frame.columns, frame.samples):
        raise malformed("codestream", f"a codestream of {frame.rows} x {frame.columns} x {frame.samples}", f"{there}")
    if claimed.bits > frame.allocated:
        raise malformed("codestream", f"at most {frame.allocated} bits", f"{claimed.bits}")
    if claimed.bits < frame.stored and (claimed.signed or frame.sign == 1) and claimed.signed != (frame.sign == 1):
        raise refuse(
            "unsupported.sign",
            f"{frame.stored} bits, or the sign that the header names",
            f"{claimed.bits} bits of the other kind",
            "let the capture point compress it again",
        )
    if frame.high != frame.stored - 1 and claimed.bits != frame.allocated:
        raise refuse(
            "unsupported.high_bit", f"a high bit of {frame.stored - 1}", f"{frame.high}", "store it uncompressed"
        )


def _rle(data: bytes, frame: Frame, _: Claim | None) -> tuple[Words, bool]:
    flat = import_module("rle").decode_pixel_data(
        data,
        version=2,
        rows=frame.rows,
        columns=frame.columns,
        bits_allocated=frame.allocated,
        samples_per_pixel=frame.samples,
        rle_segment_order="<",
    )
    return np.frombuffer(flat, dtype=frame.words), True


def _jpeg_ls(data: bytes, _: Frame, claimed: Claim | None) -> tuple[Words, bool]:
    flat, about = import_module("jpeg_ls").decode_pixel_data(data)
    # Only samples in planes of their own come out that way; those mixed by line or by sample come out mixed.
    return np.frombuffer(flat, dtype=_held(claimed)), about["components"] > 1 and about["interleave_mode"] == 0


def _jpeg_2000(data: bytes, _: Frame, claimed: Claim | None) -> tuple[Words, bool]:
    flat = import_module("openjpeg").decode_pixel_data(data, version=2)
    return np.frombuffer(flat, dtype=_held(claimed)), False


def _jpeg(data: bytes, frame: Frame, _: Claim | None) -> tuple[Words, bool]:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        # Samples as they are coded: without an Adobe marker the library would turn YCbCr into RGB.
        if frame.samples > 1 and "adobe_transform" not in picture.info:
            picture.draft("YCbCr", picture.size)
        return np.frombuffer(picture.tobytes(), dtype=np.uint8), False


def _jpeg_lossless(data: bytes, frame: Frame, claimed: Claim | None) -> tuple[Words, bool]:
    gdcm = import_module("gdcm")
    held = _held(claimed)
    bits = claimed.bits if claimed else frame.stored
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame.columns, frame.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType(frame.photometric))
    )
    image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    image.SetPixelFormat(gdcm.PixelFormat(frame.samples, held.itemsize * 8, bits, bits - 1, 0))
    # The binding hands bytes out as text.
    return np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), dtype=held), False


def _held(claimed: Claim | None) -> np.dtype[Any]:
    """Type of the words that a plug-in gives for a precision."""
    bits, signed = (claimed.bits, claimed.signed) if claimed else (8, False)
    return np.dtype(f"<{'i' if signed else 'u'}{1 if bits <= 8 else 2 if bits <= 16 else 4}")


Routine = Callable[[bytes, Frame, Claim | None], tuple[Words, bool]]
"""Codestream, header and the codestream's own word -> flat words, and whether color planes follow each other."""

ROUTINES: dict[str, Routine] = {
    "rle": _rle,
    "jpeg": _jpeg,
    "jpeg_lossless": _jpeg_lossless,
    "jpeg_ls": _jpeg_ls,
    "jpeg_2000": _jpeg_2000,
}


def decoder_of(family: str) -> Decoder:
    """Name and version of the program that decodes a family here."""
    if family == "jpeg":
        from PIL import features

        library = features.version("libjpeg_turbo") or features.version("jpg")
        return Decoder("pillow", f"{version('pillow')} (libjpeg {library})")
    if family == "jpeg_2000":
        library = ".".join(map(str, import_module("openjpeg.utils").get_openjpeg_version()))
        return Decoder("pylibjpeg-openjpeg", f"{version('pylibjpeg-openjpeg')} (OpenJPEG {library})")
    name = {"rle": "pylibjpeg-rle", "jpeg_ls": "pyjpegls", "jpeg_lossless": "python-gdcm"}[family]
    return Decoder(name, version(name))

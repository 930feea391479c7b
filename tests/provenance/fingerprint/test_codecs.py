"""Codestreams: what they claim, what decodes them, and which are refused unread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from titer.errors import FingerprintError
from titer.provenance.fingerprint._codecs import ROUTINES, Claim, claim
from titer.provenance.fingerprint._pixels import Frame, shaped


def first(name: str) -> tuple[bytes, Frame]:
    """The first codestream of a file and its header."""
    data = pydicom.dcmread(get_testdata_file(name))
    code = next(generate_frames(data.PixelData, number_of_frames=int(data.get("NumberOfFrames", 1))))
    code = code.removesuffix(b"\0") if code.endswith(b"\xff\xd9\0") else code
    frame = Frame(
        data.Rows, data.Columns, data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit,
        data.PixelRepresentation, False, data.PhotometricInterpretation,
    )  # fmt: skip
    return code, frame


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "family", "expected"),
    [
        ("MR_small_RLE.dcm", "rle", None),
        ("MR_small_jpeg_ls_lossless.dcm", "jpeg_ls", Claim(64, 64, 1, 16)),
        ("MR_small_jp2klossless.dcm", "jpeg_2000", Claim(64, 64, 1, 16, signed=True)),
        ("SC_rgb_jpeg_gdcm.dcm", "jpeg_lossless", Claim(100, 100, 3, 8)),
        ("SC_rgb_jls_lossy_line.dcm", "jpeg_ls", Claim(100, 100, 3, 8)),
        ("SC_rgb_jpeg_dcmtk.dcm", "jpeg", Claim(100, 100, 3, 8, exact=False)),
        ("SC_jpeg_no_color_transform.dcm", "jpeg", Claim(256, 256, 3, 8, exact=False)),
        ("JPGExtended.dcm", "jpeg", Claim(1024, 256, 1, 12, exact=False)),
        ("JPEG2000.dcm", "jpeg_2000", Claim(1024, 256, 1, 16, signed=True, exact=False)),
    ],
)
def test_a_codestream_claims_and_holds_what_pydicom_finds(name: str, family: str, expected: Claim | None) -> None:
    code, frame = first(name)
    if family == "jpeg":
        code = code[: code.rindex(b"\xff\xd9") + 2]
    claimed = None if family == "rle" else claim(code, family)
    assert claimed == expected
    if claimed is not None and claimed.bits == 12:
        return
    words, planar = ROUTINES[family](code, frame, claimed)
    pixels = pydicom.pixels.pixel_array(get_testdata_file(name), raw=True)
    # Decoders of lossy coding may differ by one.
    mine = shaped(words, frame, planar).astype(np.int64).reshape(pixels.shape)
    mine = np.where(mine > np.iinfo(pixels.dtype).max, mine - (1 << frame.allocated), mine)
    assert np.abs(mine - pixels.astype(np.int64)).max() <= (claimed is not None and not claimed.exact)


def refused(code: bytes, family: str) -> str:
    with pytest.raises(FingerprintError) as found:
        claim(code, family)
    return found.value.code


def changed(code: bytes, marker: bytes, at: int, value: bytes) -> bytes:
    place = code.index(marker) + at
    return code[:place] + value + code[place + len(value) :]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "family", "damage", "expected"),
    [
        ("SC_rgb_jpeg_gdcm.dcm", "jpeg_lossless", lambda code: code[:-1], "malformed.codestream"),
        ("SC_rgb_jpeg_gdcm.dcm", "jpeg_lossless", lambda code: b"\0" + code, "malformed.codestream"),
        ("SC_rgb_jpeg_gdcm.dcm", "jpeg_lossless", lambda code: code[:2] + b"\0" + code[2:], "malformed.codestream"),
        ("SC_rgb_jpeg_gdcm.dcm", "jpeg_lossless", lambda code: code[:8] + b"\xff\xd9", "malformed.codestream"),
        ("SC_rgb_jpeg_gdcm.dcm", "jpeg", lambda code: code, "malformed.codestream"),
        ("MR_small_jp2klossless.dcm", "jpeg_2000", lambda code: b"\0" + code, "malformed.codestream"),
        ("MR_small_jp2klossless.dcm", "jpeg_2000", lambda code: code[:50] + b"\xff\xd9", "malformed.codestream"),
        ("MR_small_jp2klossless.dcm", "jpeg_2000", lambda code: changed(code, b"\xff\x51", 39, b"\x08"), "unsupported"),
        ("MR_small_jp2klossless.dcm", "jpeg_2000", lambda code: changed(code, b"\xff\x51", 41, b"\2"), "unsupported"),
        (
            "MR_small_jp2klossless.dcm",
            "jpeg_2000",
            lambda code: changed(code, b"\xff\x52", 0, b"\xff\x90"),
            "malformed",
        ),
    ],
)
def test_a_codestream_that_breaks_its_format_is_refused_before_it_is_decoded(
    name: str, family: str, damage: Callable[[bytes], bytes], expected: str
) -> None:
    code, _ = first(name)
    assert claim(code, "jpeg_lossless" if "gdcm" in name else family)
    assert refused(damage(code), family).startswith(expected)


def test_markers_without_length_and_filling_bytes_are_passed_over() -> None:
    code, _ = first("SC_rgb_jpeg_gdcm.dcm")
    assert claim(code[:2] + b"\xff\xff\xff\x01" + code[2:], "jpeg_lossless") == claim(code, "jpeg_lossless")

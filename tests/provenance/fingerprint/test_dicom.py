"""DICOM fingerprints: what they equal, what they tell apart, and what an independent computation gives."""

from __future__ import annotations

import hashlib
import io
import logging
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_made import dataset, image, ramp, written
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, JPEGLSLossless, RLELossless

from titer.errors import FingerprintError
from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.fingerprint.dicom import fingerprint


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tree(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962 word by word: split at the largest power of two below the number."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha(b"\1" + tree(leaves[:split]) + tree(leaves[split:]))


def px_by_definition(pixels: np.ndarray[Any, Any], stored: int, sign: int) -> bytes:
    """`px` from decoded pixels (frames, rows, columns, samples), block by block and without any of Titer's code."""
    _, rows, columns, samples = pixels.shape
    width = next(each for each in (1, 2, 4, 8) if each * 8 >= stored)
    head = struct.pack(">IIHHB", rows, columns, samples, stored, sign)
    leaves = []
    for frame in pixels.astype("<i8"):
        blocks = []
        for top in range(0, rows, 64):
            for left in range(0, columns, 64):
                block = frame[top : top + 64, left : left + 64].ravel().tolist()
                mask = (1 << 8 * width) - 1
                blocks.append(sha(b"\0" + b"".join((value & mask).to_bytes(width, "little") for value in block)))
        leaves.append(sha(b"\0" + sha(b"px.frame\0\1" + head + tree(blocks))))
    return sha(b"px\0\1" + struct.pack(">I", len(leaves)) + tree(leaves))


def test_px_is_what_its_definition_gives_for_pixels_that_pydicom_decodes() -> None:
    compared = 0
    for path in sorted(map(Path, get_testdata_files("*.dcm"))):
        try:
            made = fingerprint(path)
        except FingerprintError:
            continue
        data = pydicom.dcmread(path)
        # Pixels of half chroma are doubled by pydicom only on request; large ones take too long value by value.
        if "px" not in made or made.notes["lossy"] or "422" in data.PhotometricInterpretation or data.Rows > 300:
            continue
        pixels = pydicom.pixels.pixel_array(data, raw=True)
        samples = data.SamplesPerPixel
        pixels = pixels.reshape(made.notes["frames"], data.Rows, data.Columns, samples)
        assert made["px"] == px_by_definition(pixels, data.BitsStored, data.PixelRepresentation), path.name
        compared += 1
    assert compared >= 25


def test_px_and_rd_are_equal_in_all_syntaxes_of_one_image() -> None:
    names = ("", "_RLE", "_bigendian", "_expb", "_implicit", "_jp2klossless", "_jpeg_ls_lossless")
    made = [fingerprint(get_testdata_file(f"MR_small{name}.dcm")) for name in names]
    assert len({each["px"] for each in made}) == len({each["rd"] for each in made}) == 1


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<i2", "<u4"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (64, 64), (65, 129)])
def test_any_shape_and_word_gives_px_by_definition(dtype: str, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).integers(0, 255, size=shape).astype(dtype) * np.array(199, dtype=dtype)
    made = fingerprint(image(values))
    sign = int(values.dtype.kind == "i")
    assert made["px"] == px_by_definition(values[None, ..., None], values.dtype.itemsize * 8, sign)


def test_bits_outside_those_stored_change_hb_alone() -> None:
    clean, dirty = ramp(8, 8), ramp(8, 8)
    dirty[3, 3] |= 0x8000
    one, other = fingerprint(image(clean, stored=12)), fingerprint(image(dirty, stored=12))
    assert one["px"] == other["px"]
    assert one["rd"] == other["rd"]
    assert one["hb"] != other["hb"]
    assert (one.notes["high_bits"], other.notes["high_bits"]) == (0, 1)


def test_copies_of_the_sign_and_zeros_are_the_same_statement_but_a_mixture_is_not() -> None:
    values = np.array([[-3, 5], [-1, 2000]], dtype="<i2")
    copies, zeros = values, (values.view("<u2") & 0x0FFF).view("<i2")
    mixed = np.array([copies[0], zeros[1]])
    made = [fingerprint(image(each, stored=12)) for each in (copies, zeros, mixed)]
    assert len({each["px"] for each in made}) == 1
    assert made[0]["hb"] == made[1]["hb"] != made[2]["hb"]


def test_a_high_bit_further_up_holds_the_same_stored_values() -> None:
    low = dataset(ramp(8, 8), stored=12)
    high = dataset(ramp(8, 8) << 4, stored=12)
    high.HighBit = 15
    assert fingerprint(written(low))["px"] == fingerprint(written(high))["px"]
    assert fingerprint(written(low))["hb"] == fingerprint(written(high))["hb"]


def test_words_that_are_wider_than_needed_hold_the_same_stored_values() -> None:
    values = ramp(9, 9, "u1")
    assert fingerprint(image(values))["px"] == fingerprint(image(values.astype("<u2"), stored=8))["px"]


def test_color_planes_and_mixed_colors_have_equal_px() -> None:
    values = np.random.default_rng(2).integers(0, 256, size=(5, 7, 3), dtype=np.uint8)
    planes = dataset(values)
    planes.PlanarConfiguration = 1
    data = values.transpose(2, 0, 1).tobytes()
    planes.PixelData = data + b"\0" * (len(data) % 2)
    assert fingerprint(image(values))["px"] == fingerprint(written(planes))["px"]


def test_halved_chroma_equals_its_full_form() -> None:
    half = pydicom.dcmread(get_testdata_file("SC_ybr_full_422_uncompressed.dcm"))
    pairs = np.frombuffer(half.PixelData, dtype=np.uint8).reshape(half.Rows, -1, 4)
    full = np.stack([pairs[..., [0, 2, 3]], pairs[..., [1, 2, 3]]], axis=2).reshape(half.Rows, half.Columns, 3)
    other = pydicom.dcmread(get_testdata_file("SC_ybr_full_422_uncompressed.dcm"))
    other.PhotometricInterpretation, other.PixelData = "YBR_FULL", full.tobytes()
    one, two = fingerprint(written(half)), fingerprint(written(other))
    assert one["px"] == two["px"]
    assert one["rd"] == two["rd"]


def test_single_bits_are_read_across_the_borders_of_frames() -> None:
    bits = np.random.default_rng(3).integers(0, 2, size=(3, 5, 5), dtype=np.uint8)
    made = dataset(bits, frames=True)
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = 0
    made.PixelData = np.packbits(bits.ravel(), bitorder="little").tobytes()
    assert fingerprint(written(made))["px"] == px_by_definition(bits[..., None], 1, 0)


def test_frames_of_odd_size_are_read_from_big_endian_words() -> None:
    values = np.random.default_rng(4).integers(0, 256, size=(3, 3, 3), dtype=np.uint8)
    little = dataset(values, frames=True)
    data = values.tobytes() + b"\0"
    big = dataset(values, frames=True)
    big.PixelData = np.frombuffer(data, dtype="<u2").byteswap().tobytes()
    big.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    out = io.BytesIO()
    pydicom.dcmwrite(out, big, implicit_vr=False, little_endian=False, enforce_file_format=True)
    assert fingerprint(out.getvalue())["px"] == fingerprint(written(little))["px"]


@pytest.mark.parametrize(("name", "dtype"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point_pixels_are_their_bits(name: str, dtype: str) -> None:
    values = np.array([[0.0, 1.5], [-2.25, 1e30]], dtype=dtype)

    def made(pixels: np.ndarray[Any, Any]) -> bytes:
        data = dataset(ramp(2, 2))
        del data.PixelData, data.BitsStored, data.HighBit, data.PixelRepresentation
        setattr(data, name, pixels.tobytes())
        return fingerprint(written(data))["px"]

    negative = values.copy()
    negative[0, 0] = -0.0
    assert made(values) == made(values.copy()) != made(negative)


def test_frames_in_another_order_have_another_px() -> None:
    values = np.stack([ramp(8, 8), ramp(8, 8) + 1])
    assert fingerprint(image(values, frames=True))["px"] != fingerprint(image(values[::-1], frames=True))["px"]


def test_two_frames_are_not_one_frame_of_twice_the_height() -> None:
    values = np.stack([ramp(64, 8), ramp(64, 8)])
    assert fingerprint(image(values, frames=True))["px"] != fingerprint(image(values.reshape(128, 8)))["px"]


def test_the_opening_holds_two_kibibytes_of_block_digests_for_a_slice_of_512() -> None:
    import base64

    made = fingerprint(image(ramp(512, 512)))
    assert [len(base64.b64decode(each)) for each in made.opening["px"]["frames"]] == [2048]


def _fragments(frames: list[bytes], **how: Any) -> bytes:
    data = dataset(np.stack([ramp(16, 16)] * len(frames)), frames=True)
    data.file_meta.TransferSyntaxUID = JPEGLSLossless
    if how.pop("extended", False):
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        data.PixelData = encapsulate(frames, **how)
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return written(data)


def test_cs_is_the_same_however_the_codestream_is_cut_into_fragments() -> None:
    import jpeg_ls

    frames = [bytes(jpeg_ls.encode_array(ramp(16, 16) * factor)) for factor in (257, 255, 253)]
    whole = fingerprint(_fragments(frames))
    for how in (
        {"has_bot": False}, {"fragments_per_frame": 2}, {"fragments_per_frame": 3, "has_bot": False},
        {"extended": True},
    ):  # fmt: skip
        made = fingerprint(_fragments(frames, **how))
        assert (made["cs"], made["px"]) == (whole["cs"], whole["px"]), how
    assert (
        whole["px"]
        == fingerprint(image(np.stack([ramp(16, 16) * each for each in (257, 255, 253)]), frames=True))["px"]
    )


@pytest.mark.parametrize("pad", [b"\0", b"\xff", b"\x2e"])
def test_the_byte_that_makes_a_codestream_even_is_no_part_of_it(pad: bytes) -> None:
    import jpeg_ls

    odd = next(
        code for factor in range(200, 257) if len(code := bytes(jpeg_ls.encode_array(ramp(16, 16) * factor))) % 2
    )
    one, other = fingerprint(_fragments([odd])), fingerprint(_fragments([odd + pad]))
    assert (one["cs"], one["px"]) == (other["cs"], other["px"])


def test_a_lossy_capture_keeps_px_with_the_name_of_its_decoder() -> None:
    made = fingerprint(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm"))
    assert made.notes["lossy"] == 1
    assert made.opening["authoritative"] == ["cs", "rd"]
    assert made.opening["decoder"]["name"] == "pillow"
    assert made.opening["decoder"]["version"]
    assert "hb" not in made


def test_a_reversible_syntax_around_an_irreversible_codestream_is_marked_lossy() -> None:
    path = get_testdata_file("JPEG2000.dcm")
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    assert fingerprint(written(data)).notes["lossy"] == 1


def test_lossy_jpeg_of_12_bits_has_cs_alone() -> None:
    made = fingerprint(get_testdata_file("JPEG-lossy.dcm"))
    assert "cs" in made
    assert "px" not in made
    assert made.notes["undecoded"] == 1


def test_video_has_cs_alone_and_fragments_do_not_matter() -> None:
    def made(parts: list[bytes]) -> bytes:
        data = dataset(ramp(4, 4, "u1"), NumberOfFrames=25)
        data.file_meta.TransferSyntaxUID = MPEG2MPML
        items = b"".join(b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in parts)
        data.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" + items
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        found = fingerprint(written(data))
        assert "px" not in found
        return found["cs"]

    assert made([b"abcd"]) == made([b"ab", b"cd"]) != made([b"abce"])


def test_each_identifier_has_a_digest_of_its_own() -> None:
    known = {
        "PatientID": "id.patient", "IssuerOfPatientID": "id.patient", "AccessionNumber": "id.accession",
        "StudyInstanceUID": "id.study", "SeriesInstanceUID": "id.series", "SOPInstanceUID": "id.instance",
        "DeviceSerialNumber": "id.device", "AcquisitionDate": "id.time", "AcquisitionTime": "id.time",
    }  # fmt: skip
    values = {
        "PatientID": "P1", "IssuerOfPatientID": "H", "AccessionNumber": "A1", "StudyInstanceUID": "1.1",
        "SeriesInstanceUID": "1.2", "DeviceSerialNumber": "D1", "AcquisitionDate": "20240101",
        "AcquisitionTime": "1200",
    }  # fmt: skip
    before = fingerprint(image(ramp(4, 4), **values))
    assert {name for name in before.names if name.startswith("id.")} == set(known.values())
    for attribute, name in known.items():
        other = "1.2.3.5" if attribute == "SOPInstanceUID" else {**values}.get(attribute, "") + "9"
        after = fingerprint(image(ramp(4, 4), **(values | {attribute: other})))
        changed = {each for each in before.names if before[each] != after[each]}
        assert changed == {name}, attribute


def test_the_time_that_the_picture_was_made_stands_in_for_a_missing_time_of_acquisition() -> None:
    made = fingerprint(image(ramp(4, 4), ContentDate="20240101", ContentTime="101500"))
    assert "id.time" in made
    assert "id.time" not in fingerprint(image(ramp(4, 4)))


def test_an_issuer_alone_identifies_nobody() -> None:
    assert "id.patient" not in fingerprint(image(ramp(4, 4), IssuerOfPatientID="H"))


def test_a_patient_number_is_the_same_in_two_character_sets() -> None:
    latin = fingerprint(image(ramp(4, 4), SpecificCharacterSet="ISO_IR 100", PatientID="Mü-7"))
    unicode = fingerprint(image(ramp(4, 4), SpecificCharacterSet="ISO_IR 192", PatientID="Mü-7"))
    assert latin["id.patient"] == unicode["id.patient"]


def test_paths_files_bytes_and_streams_without_seeking_give_one_fingerprint() -> None:
    path = Path(get_testdata_file("MR_small_RLE.dcm"))

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self._data = io.BytesIO(path.read_bytes())

        def read(self, size: int = -1, /) -> bytes:
            return self._data.read(min(size, 7))

        def seekable(self) -> bool:
            return False

    with path.open("rb") as file:
        made = [fingerprint(each) for each in (path, str(path), path.read_bytes(), file, Pipe())]
    assert all(each == made[0] for each in made)
    assert fingerprint_of(path) == made[0]


def test_the_deflated_form_has_equal_digests() -> None:
    plain = pydicom.dcmread(get_testdata_file("image_dfl.dcm"))
    plain.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    out = io.BytesIO()
    pydicom.dcmwrite(out, plain, implicit_vr=False, little_endian=True)
    made, deflated = fingerprint(out.getvalue()), fingerprint(get_testdata_file("image_dfl.dcm"))
    assert (made["px"], made["rd"]) == (deflated["px"], deflated["rd"])


def test_no_value_of_an_identifier_stands_in_opening_or_notes() -> None:
    import json

    made = fingerprint(image(ramp(4, 4), PatientID="SECRET-77", PatientName="SECRET^NAME", AccessionNumber="SECRET-A"))
    assert "SECRET" not in json.dumps([dict(made.opening), dict(made.notes)])


def test_rle_of_every_word_equals_its_plain_form() -> None:
    for dtype in ("u1", "<u2", "<u4"):
        data = dataset(ramp(20, 30, dtype))
        plain = fingerprint(written(data))["px"]
        if dtype != "<u4":
            data.compress(RLELossless, encoding_plugin="pydicom")
            assert fingerprint(written(data))["px"] == plain

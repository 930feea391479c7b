"""Objects made to harm: each is refused with a code, in bounded time and memory, and nothing else is raised."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_made import dataset, element, header, image, minimal, ramp, u16, written
from pydicom.data import get_testdata_file

from titer.errors import FingerprintError, PlanError
from titer.provenance.fingerprint import Limits, fingerprint_of
from titer.provenance.fingerprint.dicom import fingerprint


def code(data: object, limits: Limits | None = None) -> str:
    """The reason code of a refusal."""
    with pytest.raises(FingerprintError) as refused:
        fingerprint(data, limits)  # type: ignore[arg-type]
    return refused.value.code


def test_a_preamble_is_zero_or_tiff() -> None:
    plain = minimal()
    assert code(b"MZ" + plain[2:]) == "malformed.preamble"
    assert code(plain[:127] + b"\1" + plain[128:]) == "malformed.preamble"
    for tiff in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        assert fingerprint(tiff + b"\x08\0\0\0" + plain[8:]).digests == fingerprint(plain).digests


def test_every_cut_of_a_file_is_refused() -> None:
    plain = minimal({0x00081140: element(0x00081140, "SQ", b"\xfe\xff\x00\xe0\0\0\0\0")})
    assert fingerprint(plain)
    for size in range(len(plain)):
        assert code(plain[:size]).startswith(("malformed", "unsupported.no_pixels")), size

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    for size in range(0, len(plain), 3):
        assert code(Pipe(plain[:size])).startswith(("malformed", "unsupported.no_pixels")), size


def test_every_cut_of_compressed_and_deflated_files_is_refused() -> None:
    for name in ("MR_small_RLE.dcm", "image_dfl.dcm", "JPEG2000.dcm"):
        plain = Path(get_testdata_file(name)).read_bytes()
        # The last eight bytes of the deflated one are a checksum that may be missing.
        for size in range(0, len(plain) - 8, 61):
            assert code(plain[:size]).startswith(("malformed", "unsupported.no_pixels")), (name, size)


def _deep(depth: int, sized: bool) -> bytes:
    made = b""
    for _ in range(depth):
        if sized:
            made = element(0x00081140, "SQ", b"\xfe\xff\x00\xe0" + struct.pack("<I", len(made)) + made)
        else:
            end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
            start = b"\x08\0\x40\x11SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
            made = start + made + end
    return made


@pytest.mark.parametrize("sized", [True, False])
def test_sequences_inside_each_other_end_at_the_limit(sized: bool) -> None:
    assert fingerprint(minimal({0x00081140: _deep(32, sized)}))
    assert code(minimal({0x00081140: _deep(33, sized)})) == "limit.depth"
    assert code(minimal({0x00081140: _deep(20_000, False)})) == "limit.depth"


def test_a_length_of_two_gigabytes_takes_no_memory() -> None:
    lie = b"\x09\0\x10\0UN\0\0" + struct.pack("<I", 0x80000000) + b"x"
    held = b"\x28\0\x00\x20OB\0\0" + struct.pack("<I", 0x80000000) + b"x"

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    tracemalloc.start()
    try:
        assert code(header(lie)) == "malformed.truncated"
        assert code(Pipe(header(lie))) == "malformed.truncated"
        assert code(header(held)) == "limit.value"
        pixels = element(0x7FE00010, "OW", b"")[:8] + struct.pack("<I", 0xFFFFFFFE)
        assert code(minimal({0x7FE00010: pixels})) == "malformed.pixels"
        large = {tag: element(tag, "US", u16(65535)) for tag in (0x00280010, 0x00280011)}
        assert code(minimal({0x7FE00010: pixels} | large)) == "limit.pixels"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_a_deflate_bomb_is_stopped_by_its_ratio() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = b"\x09\0\x10\0UN\0\0" + struct.pack("<I", 0xF0000000)
    bomb = packer.compress(start)
    for _ in range(300):
        bomb += packer.compress(bytes(1 << 20))
    bomb += packer.flush()
    uid = b"1.2.840.10008.1.2.1.99"
    meta = b"\x02\0\x10\0UI" + u16(len(uid)) + uid
    data = bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + struct.pack("<I", len(meta)) + meta + bomb
    assert len(data) < 1 << 20
    assert code(data) == "limit.inflate"
    assert code(data, Limits(object_bytes=1 << 24)) == "limit.object"


def test_what_follows_a_deflate_stream_is_zeros_or_its_own_checksum() -> None:
    plain = Path(get_testdata_file("image_dfl.dcm")).read_bytes()
    assert fingerprint(plain).digests == fingerprint(plain[:-8]).digests
    assert fingerprint(plain).digests == fingerprint(plain[:-8] + bytes(70_000)).digests
    assert fingerprint(plain).digests == fingerprint(plain + bytes(70_000)).digests
    for size in range(8):
        assert fingerprint(plain).digests == fingerprint(plain[:-8] + bytes(size)).digests
    assert fingerprint(plain).digests == fingerprint(plain + b"\0").digests
    assert code(plain[:-1] + b"\1") == "malformed.trailing"
    assert code(plain + bytes(50_000) + b"\1") == "malformed.trailing"
    assert code(plain[:-200] + bytes([plain[-200] ^ 0xFF]) + plain[-199:]).startswith("malformed")


def test_tags_ascend_and_none_comes_twice() -> None:
    one, two = element(0x00080060, "CS", b"CT"), element(0x00080070, "LO", b"A ")
    assert code(header(two, one)) == "malformed.order"
    assert code(header(one, one)) == "malformed.order"
    assert code(header(element(0xFFFEE000, "UL", bytes(4)))) == "malformed.order"


def test_lengths_stay_inside_what_holds_them() -> None:
    inner = element(0x00080060, "CS", b"CT")
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner) - 2) + inner
    assert code(minimal({0x00081140: element(0x00081140, "SQ", item)})) == "malformed.length"
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner) + 2) + inner
    assert code(minimal({0x00081140: element(0x00081140, "SQ", item)})) == "malformed.length"
    assert code(minimal({0x00081140: element(0x00081140, "SQ", inner)})) == "malformed.item"
    assert code(minimal({0x00081140: element(0x00081140, "SQ", b"\xfe\xff")})) == "malformed.length"
    open_ended = b"\x08\0\x60\0UN\0\0" + b"\xff" * 4
    assert code(header(open_ended + b"\xfe\xff\xdd\xe0\1\0\0\0")) == "malformed.item"
    assert code(header(b"\x08\0\x60\0OB\0\0" + b"\xff" * 4)) == "malformed.length"
    assert code(header(b"\x08\0\x60\0xy\0\0")) == "malformed.vr"


def test_meta_group_has_its_length_first_and_only_its_own_elements() -> None:
    plain = minimal()
    assert code(plain[:132] + plain[144:]) == "malformed.meta"
    alien = element(0x00080060, "CS", b"CT")
    size = int.from_bytes(plain[140:144], "little")
    bad = plain[:140] + struct.pack("<I", size + len(alien)) + plain[144 : 144 + size] + alien + plain[144 + size :]
    assert code(bad) == "malformed.meta"
    assert code(bytes(128) + b"DICX" + plain[132:]) == "malformed.magic"
    assert code(plain.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")) == "unsupported.transfer_syntax"


@pytest.mark.parametrize(
    ("tag", "vr", "value", "expected"),
    [
        (0x00280002, "US", u16(2), "malformed.pixels"),
        (0x00280006, "US", u16(2), "malformed.pixels"),
        (0x00280008, "IS", b"1A", "malformed.number"),
        (0x00280008, "IS", b"0", "malformed.number"),
        (0x00280008, "IS", b"-1", "malformed.number"),
        (0x00280008, "IS", b"999999", "limit.frames"),
        (0x00280008, "IS", b"2", "malformed.pixels"),
        (0x00280010, "US", u16(0), "malformed.pixels"),
        (0x00280010, "US", bytes(4), "malformed.number"),
        (0x00280011, "US", u16(3), "malformed.pixels"),
        (0x00280100, "US", u16(12), "unsupported.bits"),
        (0x00280100, "US", u16(16), "malformed.pixels"),
        (0x00280101, "US", u16(0), "malformed.pixels"),
        (0x00280101, "US", u16(9), "malformed.pixels"),
        (0x00280102, "US", u16(3), "malformed.pixels"),
        (0x00280103, "US", u16(2), "malformed.pixels"),
        (0x00280004, "CS", b"", "malformed.pixels"),
        (0x7FE00009, "OD", bytes(32), "malformed.pixels"),
    ],
)
def test_a_header_that_does_not_fit_its_pixels_is_refused(tag: int, vr: str, value: bytes, expected: str) -> None:
    assert code(minimal({tag: element(tag, vr, value)})) == expected


def test_a_header_without_rows_or_pixels_is_refused() -> None:
    assert code(header(element(0x7FE00010, "OW", bytes(4)))) == "malformed.pixels"
    assert code(header(element(0x00080060, "CS", b"CT"))) == "unsupported.no_pixels"


def test_more_pixels_than_the_header_says_are_refused() -> None:
    assert code(minimal({0x7FE00010: element(0x7FE00010, "OW", bytes(6))})) == "malformed.pixels"


def test_compressed_pixels_stand_in_fragments_and_plain_ones_do_not() -> None:
    plain = dataset(ramp(4, 4))
    data = written(plain)
    uid = b"1.2.840.10008.1.2.1\0"
    assert code(data.replace(uid, b"1.2.840.10008.1.2.5\0")) == "malformed.pixels"
    compressed = dataset(ramp(4, 4))
    compressed.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom")
    assert code(written(compressed).replace(b"1.2.840.10008.1.2.5\0", uid)) == "malformed.pixels"


def test_words_of_32_bits_in_big_endian_order_are_refused() -> None:
    assert code(get_testdata_file("rtdose_expb.dcm")) == "unsupported.byte_order"
    assert code(get_testdata_file("rtdose_expb_1frame.dcm")) == "unsupported.byte_order"


def test_big_endian_values_are_whole_words() -> None:
    value = b"\x00\x28\x00\x10US\x00\x03\0\0\0"
    assert code(header(value).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0")) == "malformed.length"


def test_big_endian_words_of_16_bits_called_bytes_are_refused() -> None:
    made = dataset(ramp(2, 2))
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    out = io.BytesIO()
    pydicom.dcmwrite(out, made, implicit_vr=False, little_endian=False, enforce_file_format=True)
    assert code(out.getvalue()) == "unsupported.byte_order"


def _compressed(name: str, **changes: object) -> bytes:
    data = pydicom.dcmread(get_testdata_file(name))
    for attribute, value in changes.items():
        setattr(data, attribute, value)
    return written(data)


_CODED = ("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm")


def test_a_codestream_that_claims_another_size_is_never_decoded() -> None:
    for name in _CODED:
        assert code(_compressed(name, Rows=63)) == "malformed.codestream"
        assert code(_compressed(name, SamplesPerPixel=4)) == "malformed.codestream"
    lied = bytearray(_compressed("MR_small_jp2klossless.dcm"))
    at = lied.index(b"\xff\x4f\xff\x51") + 8
    lied[at : at + 8] = struct.pack(">II", 0x7FFFFFFF, 0x7FFFFFFF)
    assert code(bytes(lied)) == "malformed.codestream"


def test_a_codestream_of_narrower_samples_leaves_no_sign_open() -> None:
    wide = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}
    high = {"BitsAllocated": 16, "BitsStored": 8, "HighBit": 15}
    narrow = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    assert code(_compressed("SC_rgb_jpeg_gdcm.dcm", **wide)) == "unsupported.sign"
    assert code(_compressed("SC_rgb_jpeg_gdcm.dcm", **high)) == "unsupported.high_bit"
    assert code(_compressed("MR_small_jp2klossless.dcm", **narrow)) == "malformed.codestream"


def test_a_jp2_file_instead_of_a_codestream_is_refused() -> None:
    assert code(get_testdata_file("GDCMJ2K_TextGBR.dcm")) == "unsupported.jp2"


def test_another_process_than_the_syntax_names_is_refused() -> None:
    data = pydicom.dcmread(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    for uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"):
        data.file_meta.TransferSyntaxUID = uid
        assert code(written(data)) == "malformed.codestream"


def _items(*parts: bytes, table: bytes = b"") -> bytes:
    pieces = (table, *parts)
    items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(part)) + part for part in pieces)
    return b"\xe0\x7f\x10\0OB\0\0" + b"\xff" * 4 + items + b"\xfe\xff\xdd\xe0\0\0\0\0"


def _rle(pixels: bytes, frames: int = 1) -> bytes:
    plain = minimal({0x7FE00010: pixels, 0x00280008: element(0x00280008, "IS", str(frames).encode())})
    return plain.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")


SEGMENT = struct.pack("<16I", 1, 64, *[0] * 14)


def test_fragments_and_offsets_fit_the_frames() -> None:
    frame = SEGMENT + b"\x03\1\2\3\4\0"
    assert fingerprint(_rle(_items(frame))).notes["frames"] == 1
    assert fingerprint(_rle(_items(frame, frame), 2)).notes["frames"] == 2
    step = len(frame) + 8
    assert fingerprint(_rle(_items(frame, frame, table=struct.pack("<II", 0, step)), 2)).notes["frames"] == 2
    assert code(_rle(_items(frame, frame, table=struct.pack("<II", 0, step + 2)), 2)) == "malformed.frames"
    assert code(_rle(_items(frame, frame, table=struct.pack("<II", step, 0)), 2)) == "malformed.offsets"
    assert code(_rle(_items(frame, frame, table=struct.pack("<I", 0)), 2)) == "malformed.offsets"
    assert code(_rle(_items(frame, frame, table=b"\0\0"), 2)) == "malformed.offsets"
    assert code(_rle(_items(frame), 2)) == "malformed.frames"
    assert code(_rle(_items(frame, frame, frame), 2)) == "malformed.frames"
    assert code(_rle(_items(bytes(3 << 20)))) == "limit.frame"
    assert code(_rle(b"\xe0\x7f\x10\0OB\0\0" + b"\xff" * 4 + b"\xfe\xff\xdd\xe0\0\0\0\0")) == "malformed.item"
    assert code(_rle(b"\xe0\x7f\x10\0OB\0\0" + b"\xff" * 4 + frame)) == "malformed.item"


def test_bytes_that_end_a_decoder_refuse_the_object_alone() -> None:
    # A run of seven bytes of which three are there: the plug-in answers with a panic.
    assert code(_rle(_items(SEGMENT + b"\x06\1\2\3"))) == "malformed.codestream"
    assert code(_rle(_items(SEGMENT))) == "malformed.codestream"
    assert fingerprint(get_testdata_file("MR_small_RLE.dcm"))


def test_extended_offsets_come_with_their_lengths() -> None:
    frame = SEGMENT + b"\x03\1\2\3\4\0"

    def made(offsets: list[int], lengths: list[int], table: bytes = b"") -> bytes:
        extra = {
            0x7FE00001: element(0x7FE00001, "OV", struct.pack(f"<{len(offsets)}Q", *offsets)),
            0x7FE00002: element(0x7FE00002, "OV", struct.pack(f"<{len(lengths)}Q", *lengths)),
            0x7FE00010: _items(frame, table=table),
        }
        return minimal(extra).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")

    assert fingerprint(made([0], [len(frame)]))
    assert code(made([0], [len(frame) + 2])) == "malformed.offsets"
    assert code(made([0], [])) == "malformed.offsets"
    odd = {0x7FE00001: element(0x7FE00001, "OV", bytes(10))}
    assert code(minimal(odd)) == "malformed.offsets"
    assert code(made([0], [len(frame)], table=bytes(4))) == "malformed.offsets"


@pytest.mark.parametrize(
    "name",
    ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm",
     "SC_rgb_small_odd_jpeg.dcm", "SC_rgb_jpeg_gdcm.dcm", "image_dfl.dcm", "liver_1frame.dcm"],
)  # fmt: skip
def test_damaged_files_are_fingerprinted_or_refused_and_nothing_else(name: str) -> None:
    chance = random.Random(name)
    plain = Path(get_testdata_file(name)).read_bytes()
    for _ in range(150):
        data = bytearray(plain)
        for _ in range(chance.choice((1, 1, 2, 5, 30))):
            at = chance.randrange(132, len(data))
            how = chance.random()
            if how < 0.6:
                data[at] ^= 1 << chance.randrange(8)
            elif how < 0.8:
                data[at] = chance.choice((0, 255, 127, 128))
            else:
                del data[at : at + chance.randrange(1, 9)]
        with suppress(FingerprintError):
            fingerprint(bytes(data))


def test_memory_stays_at_one_frame_whatever_the_number_of_frames(tmp_path: Path) -> None:
    frames = np.zeros((40, 512, 512), dtype="<u2")
    path = tmp_path / "many.dcm"
    path.write_bytes(image(frames, frames=True))
    fingerprint(path)
    tracemalloc.start()
    try:
        fingerprint(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * frames[0].nbytes < frames.nbytes / 10


def test_limits_refuse_before_reading() -> None:
    plain = minimal()
    assert code(plain, Limits(object_bytes=100)) == "limit.object"
    assert code(plain, Limits(elements=5)) == "limit.elements"
    assert code(plain, Limits(pixels=3)) == "limit.pixels"
    assert code(plain, Limits(value_bytes=1)) == "limit.value"
    assert code(_rle(_items(SEGMENT + b"\x03\1\2\3\4\0")), Limits(segments=1)) == "limit.segments"
    icon = element(0x00880200, "SQ", b"\xfe\xff\x00\xe0" + struct.pack("<I", len(_items(b"ab"))) + _items(b"ab"))
    assert fingerprint(minimal({0x00880200: icon})).digests == fingerprint(plain).digests
    longer = element(0x00880200, "SQ", b"\xfe\xff\x00\xe0" + struct.pack("<I", len(_items(b"ab")) - 9) + _items(b"ab"))
    assert code(minimal({0x00880200: longer})).startswith("malformed")


def test_a_missing_decoder_is_a_refusal_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from titer.provenance.fingerprint import _worker

    class Helper:
        alive = True

        def ask(self, *_: object) -> tuple[dict[str, object], bytes]:
            return {"missing": "rle"}, b""

        def end(self) -> None:
            pass

    monkeypatch.setattr(_worker, "_HELPERS", _worker._Helpers())
    _worker._HELPERS.give_back(Helper())  # type: ignore[arg-type]
    assert code(get_testdata_file("MR_small_RLE.dcm")) == "unsupported.decoder"


def test_kinds_that_nothing_recognizes_have_to_be_named() -> None:
    with pytest.raises(FingerprintError) as refused:
        fingerprint_of(b"nothing of the kind")
    assert refused.value.code == "unsupported.kind"
    with pytest.raises(PlanError, match="dicom"):
        fingerprint_of(b"", "dicon")

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(PlanError):
        fingerprint_of(Pipe(minimal()))
    stream = io.BytesIO(minimal())
    assert fingerprint_of(stream).kind == "dicom"
    assert fingerprint_of(Pipe(minimal()), "dicom").kind == "dicom"

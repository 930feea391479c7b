"""NIfTI volumes: equal voxels whatever the compression, byte order and version of the format."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.errors import FingerprintError
from titer.provenance.fingerprint import Fingerprint, fingerprint_of, volume

AFFINE = np.array([[-0.9, 0.01, 0, 90], [0, 0.95, 0.1, -126], [0.02, -0.1, 1.1, -72], [0, 0, 0, 1]])
TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"]


def image(values: Any, kind: Any = nibabel.Nifti1Image, big: bool = False, **fields: Any) -> bytes:
    """A file by nibabel, with its slope and intercept as given."""
    header = kind.header_class(endianness=">" if big else "<")
    header.set_data_dtype(values.dtype.newbyteorder(">" if big else "<"))
    made = kind(values, fields.pop("affine", AFFINE), header)
    made.header.set_xyzt_units("mm", "sec")
    slope, intercept = fields.pop("slope", 1), fields.pop("intercept", 0)
    for name, value in fields.items():
        made.header[name] = value
    data = bytearray(made.to_bytes())
    at, form = (112, "2f") if kind is nibabel.Nifti1Image else (176, "2d")
    struct.pack_into((">" if big else "<") + form, data, at, slope, intercept)
    return bytes(data)


def ramp(*shape: int, dtype: str = "i2") -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape, order="F").astype(dtype)


def both(data: bytes) -> tuple[bytes, bytes]:
    made = volume.fingerprint(data)
    return made["vx"], made["rd"]


def packed(*fields: bytes) -> bytes:
    return b"".join(len(each).to_bytes(8, "big") + each for each in fields)


def sha(name: str, *pieces: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0\1" + b"".join(pieces)).digest()


def tiny(order: str = "<", slope: float = 0.5) -> bytes:
    head = bytearray(352)
    struct.pack_into(order + "i", head, 0, 348)
    struct.pack_into(order + "8h", head, 40, 3, 2, 1, 2, 1, 1, 1, 1)
    struct.pack_into(order + "2h", head, 70, 4, 16)
    struct.pack_into(order + "8f", head, 76, -1, 1, 2, 3, 0, 0, 0, 0)
    struct.pack_into(order + "3f", head, 108, 352, slope, -1)
    head[123] = 2
    struct.pack_into(order + "2f", head, 124, 100, 0)
    struct.pack_into(order + "2h", head, 252, 1, 0)
    struct.pack_into(order + "6f", head, 256, 0, 0, 1, 7, 8, 9)
    head[344:347] = b"n+1"
    return bytes(head) + struct.pack(order + "4h", 1, -2, 300, -32768)


@pytest.mark.parametrize("order", ["<", ">"])
def test_known_answers_by_the_definition_alone(order: str) -> None:
    vx = sha(
        "vx",
        packed(struct.pack(">h", 4), struct.pack(">3q", 2, 1, 2)),
        sha("vx.plane", struct.pack("<2h", 1, -2)),
        sha("vx.plane", struct.pack("<2h", 300, -32768)),
    )
    fields = [
        b"scale", struct.pack(">2d", 0.5, -1), b"spacing", struct.pack(">3d", 1, 2, 3), b"units", b"\2",
        b"display", struct.pack(">2d", 100, 0), b"qform", struct.pack(">i", 1),
        struct.pack(">7d", -1, 0, 0, 1, 7, 8, 9),
        b"sform", struct.pack(">i", 0), b"",
    ]  # fmt: skip
    assert both(tiny(order)) == (vx, sha("rd", packed(*fields)))
    assert volume.fingerprint(tiny(order)).names == ("rd", "vx")
    assert fingerprint_of(gzip.compress(tiny(order)))["vx"] == vx


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_what_nibabel_reads_is_what_the_digest_is_over(dtype: str, kind: Any) -> None:
    values = ramp(5, 4, 3, 2, dtype=dtype)
    found = [both(image(values, kind, big)) for big in (False, True)]
    assert found[0] == found[1]
    data = image(values, kind, True)
    loaded = kind.from_bytes(data)
    voxels = np.asanyarray(loaded.dataobj.get_unscaled())
    code = int(loaded.header["datatype"])
    planes = [
        sha("vx.plane", voxels[:, :, z, t].astype(voxels.dtype.newbyteorder("<")).tobytes(order="F"))
        for t in range(2)
        for z in range(3)
    ]
    assert found[0][0] == sha("vx", packed(struct.pack(">h", code), struct.pack(">4q", 5, 4, 3, 2)), *planes)


def test_color_voxels_have_no_byte_order() -> None:
    colors = np.zeros((3, 2, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["G"] = ramp(3, 2, 2, dtype="u1")
    assert both(image(colors)) == both(image(colors, big=True))
    other = colors.copy()
    other["R"], other["G"] = colors["G"], colors["R"]
    assert both(image(colors))[0] != both(image(other))[0]


def test_a_thousand_round_trips_raise_no_alarm(tmp_path: Path) -> None:
    draw = np.random.default_rng(6)
    for number in range(250):
        dtype = TYPES[number % len(TYPES)]
        shape = tuple(draw.integers(1, 5, size=draw.integers(2, 5)))
        values = draw.integers(0, 100, size=shape).astype(dtype)
        plain = both(image(values))
        for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            for big in (False, True):
                data = image(values, kind, big, descrip=f"run {number}".encode())
                data = gzip.compress(data, int(draw.integers(0, 10))) if draw.random() < 0.5 else data
                assert both(data)[0] == plain[0]


def second_version(data: bytes) -> bytes:
    """A file of the first version as one of the second, field by field."""
    made = bytearray(544)
    struct.pack_into("<i8s2h", made, 0, 540, b"n+2\0\r\n\x1a\n", *struct.unpack_from("<2h", data, 70))
    struct.pack_into("<8q", made, 16, *struct.unpack_from("<8h", data, 40))
    struct.pack_into("<8d", made, 104, *struct.unpack_from("<8f", data, 76))
    struct.pack_into("<q", made, 168, 544)
    struct.pack_into("<2d", made, 176, *struct.unpack_from("<2f", data, 112))
    struct.pack_into("<2d", made, 192, *struct.unpack_from("<2f", data, 124))
    struct.pack_into("<2i", made, 344, *struct.unpack_from("<2h", data, 252))
    struct.pack_into("<18d", made, 352, *struct.unpack_from("<18f", data, 256))
    struct.pack_into("<i", made, 500, data[123])
    return bytes(made) + data[352:]


def test_both_versions_of_the_format_hold_one_volume() -> None:
    draw = np.random.default_rng(7)
    for _ in range(100):
        affine = AFFINE * draw.uniform(0.5, 2)
        data = image(
            ramp(3, 3, 2), affine=affine, slope=float(draw.uniform(0.1, 3)), intercept=-5, cal_max=draw.uniform()
        )
        other = second_version(data)
        assert both(other) == both(data)
        loaded, plain = nibabel.Nifti2Image.from_bytes(other), nibabel.Nifti1Image.from_bytes(data)
        assert np.array_equal(loaded.affine, plain.affine)
        assert np.array_equal(loaded.get_fdata(), plain.get_fdata())


def test_members_of_gzip_and_how_much_comes_at_once_do_not_matter() -> None:
    data = image(ramp(40, 40, 5))
    parts = gzip.compress(data[:1000]) + gzip.compress(b"") + gzip.compress(data[1000:])

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 333, 333))

    assert both(data) == both(parts)
    assert volume.fingerprint(Slow(image(ramp(40, 40, 5), big=True)))["vx"] == both(data)[0]


@given(st.integers(0, 119), st.integers(0, 15))
def test_one_bit_of_one_voxel_is_another_volume(voxel: int, bit: int) -> None:
    data = bytearray(image(ramp(5, 4, 6)))
    data[352 + 2 * voxel + bit // 8] ^= 1 << bit % 8
    plain, other = volume.fingerprint(image(ramp(5, 4, 6))), volume.fingerprint(bytes(data))
    assert other["vx"] != plain["vx"]
    assert other["rd"] == plain["rd"]
    changed = [
        at
        for at, pair in enumerate(zip(plain.opening["planes"], other.opening["planes"], strict=True))
        if len(set(pair)) == 2
    ]
    assert changed == [voxel // 20]


READ: dict[str, tuple[int, str]] = {
    "slope": (112, "f"), "intercept": (116, "f"), "voxel size": (80, "f"), "handedness": (76, "f"), "units": (123, "B"),
    "display": (124, "f"), "qform code": (252, "h"), "quaternion": (264, "f"), "offset": (268, "f"),
    "sform code": (254, "h"), "affine": (300, "f"),
}  # fmt: skip
UNREAD: dict[str, tuple[int, str]] = {
    "description": (148, "B"), "file": (228, "B"), "intent": (328, "B"), "data name": (4, "B"),
    "slice code": (122, "B"),
    "length beyond the last": (50, "h"), "size beyond the last": (96, "f"),
}  # fmt: skip


def with_field(data: bytes, at: int, form: str) -> bytes:
    made = bytearray(data)
    (value,) = struct.unpack_from("<" + form, made, at)
    struct.pack_into("<" + form, made, at, -1.0 if at == 76 else value + 1)
    return bytes(made)


def framed() -> bytes:
    data = bytearray(image(ramp(3, 3, 2), slope=2, intercept=1))
    struct.pack_into("<2h", data, 252, 1, 1)
    struct.pack_into("<f", data, 76, 1)
    return bytes(data)


@pytest.mark.parametrize("name", READ)
def test_each_attribute_of_rd_alone_changes_it(name: str) -> None:
    vx, rd = both(framed())
    other = both(with_field(framed(), *READ[name]))
    assert other[0] == vx
    assert other[1] != rd


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_outside_changes_nothing(name: str) -> None:
    assert both(with_field(framed(), *UNREAD[name])) == both(framed())


def test_forms_that_are_not_in_use_say_nothing() -> None:
    data = bytearray(framed())
    struct.pack_into("<2h", data, 252, 0, 0)
    for field in ("handedness", "quaternion", "offset", "affine"):
        assert both(with_field(bytes(data), *READ[field])) == both(bytes(data))


def test_no_scaling_has_one_form() -> None:
    plain = both(image(ramp(3, 3, 2)))
    for slope, intercept in ((0, 0), (0, 5), (float("nan"), float("nan")), (float("inf"), 0), (1, 0)):
        assert both(image(ramp(3, 3, 2), slope=slope, intercept=intercept)) == plain
    assert both(image(ramp(3, 3, 2), cal_max=float("nan")))[0] == plain[0]


def test_shape_type_and_order_of_planes_count() -> None:
    values = ramp(4, 3, 2)
    others = [
        ramp(4, 6),
        ramp(3, 4, 2),
        ramp(4, 3, 2, 1),
        values[:, :, ::-1],
        values[::-1],
        values.astype("u2"),
        values.astype("i4"),
    ]
    found = [both(image(each))[0] for each in (values, *others)]
    assert len(set(found)) == len(found)


def test_extensions_are_left_out() -> None:
    made = nibabel.Nifti1Image.from_bytes(image(ramp(3, 3, 2)))
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"JANE DOE"))
    data = bytearray(made.to_bytes())
    assert b"JANE DOE" in data
    struct.pack_into("<2f", data, 112, 1, 0)
    assert both(bytes(data)) == both(image(ramp(3, 3, 2)))


def test_real_volumes_in_every_form(real_data: Path) -> None:
    folder = real_data / "brain_mri_ixi"
    if not folder.is_dir():
        pytest.skip("no folder brain_mri_ixi")
    paths = sorted(folder.glob("*.nii.gz"))
    found = {path.name: fingerprint_of(path) for path in paths}
    assert len({each["vx"] for each in found.values()}) == len(paths) == 8
    for path in paths[:2]:
        plain = gzip.decompress(path.read_bytes())
        assert both(plain) == (found[path.name]["vx"], found[path.name]["rd"])
        loaded = nibabel.load(path)
        turned = nibabel.Nifti1Image(
            np.asanyarray(loaded.dataobj.get_unscaled()), None, loaded.header.as_byteswapped(">")
        ).to_bytes()  # fmt: skip
        assert both(turned)[0] == found[path.name]["vx"]


def test_files_that_come_with_nibabel() -> None:
    folder = Path(nibabel.__file__).parent / "tests" / "data"
    names = [
        "anatomical.nii",
        "example4d.nii.gz",
        "example_nifti2.nii.gz",
        "functional.nii",
        "standard.nii.gz",
        "resampled_anat_moved.nii",
    ]
    for name in names:
        loaded = nibabel.load(folder / name)
        made: Fingerprint = fingerprint_of(folder / name)
        voxels = np.asanyarray(loaded.dataobj.get_unscaled())
        planes = voxels.reshape(*voxels.shape[:2], -1, order="F").astype(voxels.dtype.newbyteorder("<"))
        expected = [sha("vx.plane", planes[:, :, at].tobytes(order="F")).hex() for at in range(planes.shape[2])]
        assert made.opening["planes"] == expected
        assert made.notes == {"planes": planes.shape[2]}


def broken(at: int, form: str, *values: Any) -> bytes:
    data = bytearray(tiny())
    struct.pack_into(form, data, at, *values)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "malformed.truncated"),
        (tiny()[:100], "malformed.truncated"),
        (tiny()[:-1], "malformed.truncated"),
        (tiny() + b"\0", "malformed.trailing"),
        (b"\0" * 400, "malformed.header"),
        (broken(344, "4s", b"n+3"), "malformed.header"),
        (broken(344, "4s", b"ni1"), "unsupported.pair"),
        (broken(70, "<2h", 1536, 128), "unsupported.datatype"),
        (broken(70, "<2h", 1, 1), "unsupported.datatype"),
        (broken(70, "<2h", 4, 8), "malformed.header"),
        (broken(40, "<h", 0), "malformed.shape"),
        (broken(40, "<h", 8), "malformed.shape"),
        (broken(42, "<h", -2), "malformed.shape"),
        (broken(42, "<h", 0), "malformed.shape"),
        (broken(108, "<f", 348), "malformed.offset"),
        (broken(108, "<f", 352.5), "malformed.offset"),
        (broken(108, "<f", float("nan")), "malformed.offset"),
        (broken(108, "<f", 3e38), "limit.object"),
        (broken(112, "<2f", 2, float("inf")), "malformed.scale"),
        (broken(40, "<8h", 7, *[32767] * 7), "limit.pixels"),
        (broken(40, "<8h", 3, 9, 9, 32767, 1, 1, 1, 1), "malformed.truncated"),
        (broken(40, "<8h", 4, 9, 9, 32767, 32767, 1, 1, 1), "limit.frames"),
        (gzip.compress(tiny())[:-1], "malformed.gzip"),
        (gzip.compress(tiny())[:-9] + b"\0" * 9, "malformed.gzip"),
        (gzip.compress(tiny()) + b"rest", "malformed.gzip"),
        (gzip.compress(tiny() + b"\0" * (1 << 24)), "malformed.trailing"),
    ],
)
def test_files_that_break_the_format_are_refused_at_once(data: bytes, code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        volume.fingerprint(data)
    assert caught.value.code == code


def test_sizes_of_version_two_do_not_overflow() -> None:
    data = bytearray(image(ramp(2, 2, 2), nibabel.Nifti2Image))
    struct.pack_into("<4q", data, 16, 3, 1 << 14, 1 << 14, 1 << 16)
    with pytest.raises(FingerprintError) as caught:
        volume.fingerprint(bytes(data))
    assert caught.value.code == "limit.object"
    struct.pack_into("<4q", data, 16, 3, 1 << 62, 1 << 62, 1)
    with pytest.raises(FingerprintError) as caught:
        volume.fingerprint(bytes(data))
    assert caught.value.code == "limit.pixels"


def test_a_bomb_is_stopped_by_its_ratio() -> None:
    state = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = broken(40, "<8h", 3, 32000, 8000, 2, 1, 1, 1, 1)[:352]
    bomb = state.compress(head) + b"".join(state.compress(bytes(1 << 24)) for _ in range(20)) + state.flush()
    assert len(bomb) < 1 << 20
    with pytest.raises(FingerprintError) as caught:
        volume.fingerprint(bomb)
    assert caught.value.code == "limit.inflate"


def test_random_damage_ends_in_a_refusal_or_another_digest() -> None:
    draw = random.Random(7)
    data, plain = tiny(), both(tiny())
    for _ in range(2000):
        at = draw.randrange(len(data))
        other = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        try:
            found = both(other)
        except FingerprintError as error:
            assert error.code.split(".")[0] in ("malformed", "limit", "unsupported")  # noqa: PT017
        else:
            assert at < 348 or 348 <= at < 352 or found[0] != plain[0]


def test_heads_that_are_no_volume() -> None:
    assert not volume.recognizes(b"\x1f\x8b\x08\x00rest of it")
    assert not volume.recognizes(b"\x1f\x8bx")
    assert volume.recognizes(tiny()[:348])

"""Pictures in folders, tables and zip files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases_made import dicom, png, rng, zipped
from PIL import Image

from titer.cases.find import find_dataset
from titer.errors import DataError, PlanError


def grey(seed: int, side: int = 12) -> Any:
    return rng(seed).integers(0, 256, (side, side)).astype(np.uint8)


def folders(root: Path, side: int = 12) -> Path:
    for number in range(3):
        png(root / "normal" / f"SMITH_{number}.png", grey(number, side))
        png(root / "pneumonia" / f"JONES_{number}.png", grey(10 + number, side))
    return root


def test_class_folders(tmp_path: Path) -> None:
    data = find_dataset(folders(tmp_path / "set"))
    assert (data.classes, data.positive, data.space.shape) == (("normal", "pneumonia"), (1,), (1, 12, 12))
    assert (np.round(data.cases.inputs[4, 0] * 255) == grey(11)).all()
    assert data.official is None
    assert "no patient key" in data.card.subjects
    assert not any("SMITH" in str(part) for part in (data.cases.ids, data.card, data.cases.groups))


def test_part_folders_become_the_official_split(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        folders(tmp_path / part)
    data = find_dataset(tmp_path)
    assert data.classes == ("normal", "pneumonia")
    assert data.official is not None
    assert np.unique(data.official, return_counts=True)[1].tolist() == [6, 6, 6]


def test_a_zip_file_of_class_folders(tmp_path: Path) -> None:
    folders(tmp_path / "set")
    files = {f"everything/{p.relative_to(tmp_path / 'set')}": p.read_bytes() for p in (tmp_path / "set").rglob("*.png")}
    files["__MACOSX/everything/normal/._SMITH_0.png"] = b"junk"
    data = find_dataset(zipped(tmp_path / "set.zip", files))
    assert len(data.cases) == 6
    assert data.digest == find_dataset(tmp_path / "set").digest


def table(root: Path, rows: list[str], header: str = "path,label,patient,split,sex,reader") -> Path:
    path = root / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


ROWS = [
    "a/0.png,normal,P1,train,F,ann",
    "a/1.png,tumor,P2,val,M,ann",
    "a/2.png,normal,P1,test,F,bob",
    "a/3.png,tumor,P3,,M,bob",
]


def test_a_table_with_all_columns(tmp_path: Path) -> None:
    for number in range(4):
        png(tmp_path / "a" / f"{number}.png", grey(number))
    path = table(tmp_path, ROWS)
    data = find_dataset(path)
    assert data.cases.patients.tolist() == [0, 1, 0, 2]
    assert data.official is not None
    assert data.official.tolist() == ["train", "validation", "test", ""]
    assert {name: column.tolist() for name, column in data.cases.groups.items()} == {"sex": ["F", "M", "F", "M"]}
    assert set(find_dataset(tmp_path, groups=["reader"]).cases.groups) == {"reader"}
    assert find_dataset(path, groups=[]).cases.groups == {}
    assert find_dataset(path, task="anomaly").classes == ("normal", "abnormal")
    with pytest.raises(PlanError, match="'site'"):
        find_dataset(path, groups=["site"])


def test_a_table_with_pictures_in_a_zip_file_beside_it(tmp_path: Path) -> None:
    files = {}
    for number in range(4):
        stream = io.BytesIO()
        Image.fromarray(grey(number)).save(stream, "PNG")
        files[f"a/{number}.png"] = stream.getvalue()
    zipped(tmp_path / "images.zip", files)
    path = table(tmp_path, ROWS)
    data = find_dataset(path)
    assert (np.round(data.cases.inputs[3, 0] * 255) == grey(3)).all()
    zipped(tmp_path / "other.zip", files)
    with pytest.raises(DataError, match=r"images.zip, other.zip"):
        find_dataset(path)
    assert find_dataset(path, archive="other.zip").digest == data.digest


def test_columns_of_other_names(tmp_path: Path) -> None:
    for number in range(4):
        png(tmp_path / "a" / f"{number}.png", grey(number))
    path = table(tmp_path, ROWS, "file;truth;person;part;sex;reader".replace(";", ","))
    options = {"path_column": "file", "label": "truth", "patient": "person", "split": "part"}
    data = find_dataset(path, reader="images", **options)
    assert data.cases.patients.tolist() == [0, 1, 0, 2]
    with pytest.raises(DataError, match=r"a column 'diagnosis'.*option 'label'"):
        find_dataset(path, reader="images", **{**options, "label": "diagnosis"})
    with pytest.raises(DataError, match="a column 'mrn'"):
        find_dataset(path, reader="images", **{**options, "patient": "mrn"})


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/secret.png", "C:\\x.png", "a/../../secret.png", "a\\..\\..\\s.png"]
)
def test_paths_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    png(tmp_path / "secret.png", grey(1))
    inner = tmp_path / "set"
    inner.mkdir()
    path = table(inner, [f"{name},a", f"{name},b"], "path,label")
    with pytest.raises(DataError, match="a path inside the folder in line 2"):
        find_dataset(path)


def test_links_that_leave_the_folder(tmp_path: Path) -> None:
    png(tmp_path / "secret.png", grey(1))
    inner = tmp_path / "set"
    inner.mkdir()
    (inner / "x.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="a link that leads out of it"):
        find_dataset(table(inner, ["x.png,a", "x.png,b"], "path,label"))


def test_mixed_sizes_need_a_size(tmp_path: Path) -> None:
    folders(tmp_path, 12)
    png(tmp_path / "normal" / "z.png", grey(1, 20))
    with pytest.raises(DataError, match=r"12 x 12 .* 20 x 20 .*option 'size'"):
        find_dataset(tmp_path)
    assert find_dataset(tmp_path, size=16).space.shape == (1, 16, 16)
    assert find_dataset(tmp_path, size=[8, 16]).space.shape == (1, 8, 16)
    with pytest.raises(PlanError, match="'size'"):
        find_dataset(tmp_path, size=0)


def test_shrinking_keeps_the_mean_and_the_range(tmp_path: Path) -> None:
    folders(tmp_path, 64)
    large, small = find_dataset(tmp_path).cases.inputs, find_dataset(tmp_path, size=16).cases.inputs
    assert small.min() >= 0
    assert small.max() <= 1
    assert small.mean(axis=(1, 2, 3)) == pytest.approx(large.mean(axis=(1, 2, 3)), abs=0.02)


def test_colors(tmp_path: Path) -> None:
    for number in range(2):
        png(tmp_path / "a" / f"{number}.png", rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8))
        png(tmp_path / "b" / f"{number}.png", rng(number).integers(0, 256, (8, 8, 4)).astype(np.uint8))
    data = find_dataset(tmp_path)
    assert data.space.shape == (3, 8, 8)
    assert data.space.names == ("red", "green", "blue")
    assert (
        np.round(data.cases.inputs[0] * 255) == np.moveaxis(np.asarray(Image.open(tmp_path / "a/0.png")), -1, 0)
    ).all()
    assert find_dataset(tmp_path, color="grey").space.shape == (1, 8, 8)
    png(tmp_path / "c" / "0.png", grey(1, 8))
    assert find_dataset(tmp_path).space.shape == (1, 8, 8)
    assert find_dataset(tmp_path, color="rgb").space.shape == (3, 8, 8)
    with pytest.raises(PlanError, match="grey, rgb"):
        find_dataset(tmp_path, color="gray")


def test_sixteen_bits_and_one_bit(tmp_path: Path) -> None:
    deep = rng(0).integers(0, 65536, (8, 8)).astype(np.uint16)
    png(tmp_path / "a" / "0.png", deep)
    png(tmp_path / "b" / "0.png", rng(1).integers(0, 2, (8, 8)).astype(bool))
    data = find_dataset(tmp_path)
    assert data.cases.inputs[0, 0] == pytest.approx(deep / 65535, abs=1e-6)
    assert set(np.unique(data.cases.inputs[1])) == {0.0, 1.0}


def test_jpeg_and_its_orientation(tmp_path: Path) -> None:
    tall = np.zeros((16, 8, 3), dtype=np.uint8)
    tall[:8] = 255
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.rot90(tall)).save(tmp_path / name / "x.jpg", exif=exif, quality=95)
    assert find_dataset(tmp_path, color="grey").space.shape == (1, 16, 8)


def ct(path: Path, seed: int, **tags: Any) -> Path:
    return dicom(path, rng(seed).integers(0, 2000, (10, 10)).astype(np.int16), RescaleIntercept=-1024, **tags)


def test_computed_tomography_in_hu(tmp_path: Path) -> None:
    for number in range(3):
        ct(tmp_path / "normal" / f"{number}.dcm", number, PixelSpacing=[0.5, 0.7], PatientID="A")
        ct(tmp_path / "tumor" / f"{number}.dcm", 9 + number, PixelSpacing=[0.5, 0.7], PatientID=f"B{number}")
    data = find_dataset(tmp_path)
    assert (data.space.unit, data.space.low, data.space.high) == ("HU", -1024.0, 3071.0)
    assert data.space.spacing == (0.5, 0.7)
    assert (data.cases.inputs[0, 0] == rng(0).integers(0, 2000, (10, 10)) - 1024).all()
    assert data.cases.patients.tolist() == [0, 0, 0, 1, 2, 3]
    assert "as a number" in data.card.subjects
    assert find_dataset(tmp_path, size=5).space.spacing == (1.0, 1.4)
    soft = find_dataset(tmp_path, window=[40, 400])
    assert (soft.space.low, soft.space.high) == (-160.0, 240.0)
    assert soft.cases.inputs.min() == -160
    with pytest.raises(PlanError, match="center, width"):
        find_dataset(tmp_path, window=40)


def test_other_dicom_becomes_grey_levels(tmp_path: Path) -> None:
    values = np.arange(0, 400, 4, dtype=np.uint16).reshape(10, 10)
    plain = {"Modality": "DX", "RescaleSlope": None, "RescaleIntercept": None}
    dicom(tmp_path / "a" / "0.dcm", values, **plain, WindowCenter=200, WindowWidth=201)
    dicom(tmp_path / "b" / "0.dcm", values, **plain, WindowCenter=200, WindowWidth=201,
          PhotometricInterpretation="MONOCHROME1")  # fmt: skip
    data = find_dataset(tmp_path)
    expected = np.clip((values - 199.5) / 200 + 0.5, 0, 1)
    assert data.space.unit == "grey level (0-1)"
    assert data.cases.inputs[0, 0] == pytest.approx(expected, abs=1e-6)
    assert data.cases.inputs[1, 0] == pytest.approx(1 - expected, abs=1e-6)


def test_without_a_window_the_stored_bits_are_the_range(tmp_path: Path) -> None:
    values = np.array([[0, 4095], [2048, 1024]], dtype=np.uint16)
    for name in ("a", "b"):
        dicom(tmp_path / name / "0.dcm", values, Modality="MR", BitsStored=12, HighBit=11)
    found = find_dataset(tmp_path).cases.inputs[0, 0]
    assert found == pytest.approx(values / 4095, abs=1e-6)


def test_units_do_not_mix(tmp_path: Path) -> None:
    ct(tmp_path / "a" / "0.dcm", 0)
    png(tmp_path / "b" / "0.png", grey(0, 10))
    with pytest.raises(DataError, match=r"one unit \(HU\)"):
        find_dataset(tmp_path)


def test_files_that_ship_with_pydicom(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    for number, name in enumerate(("CT_small.dcm", "MR_small.dcm")):
        source = Path(str(get_testdata_file(name, download=False)))
        for label in ("a", "b"):
            target = tmp_path / str(number) / label / "0.dcm"
            target.parent.mkdir(parents=True)
            target.write_bytes(source.read_bytes())
    computed, magnetic = find_dataset(tmp_path / "0"), find_dataset(tmp_path / "1")
    assert (computed.space.unit, computed.space.shape) == ("HU", (1, 128, 128))
    assert float(computed.cases.inputs.min()) == -896.0
    assert computed.cases.patients.tolist() == [0, 0]
    assert (magnetic.space.unit, magnetic.space.shape) == ("grey level (0-1)", (1, 64, 64))


@pytest.mark.parametrize(
    "name", ["SC_rgb_rle_2frame.dcm", "image_dfl.dcm", "rtplan.dcm", "MR_truncated.dcm", "badVR.dcm"]
)
def test_dicom_that_is_no_single_picture(tmp_path: Path, name: str) -> None:
    from pydicom.data import get_testdata_file

    source = Path(str(get_testdata_file(name, download=False)))
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.dcm").write_bytes(source.read_bytes())
    with pytest.raises(DataError):
        find_dataset(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/0.png": b"not a picture", "b/0.png": b""}, "a PNG, JPEG or DICOM file"),
        ({"a/0.png": b"GIF89a", "b/0.png": b"GIF89a"}, "another format"),
        ({"a/0.png": None}, "at least two classes"),
    ],
)
def test_folders_that_hold_no_set(tmp_path: Path, files: dict[str, bytes | None], message: str) -> None:
    for name, data in files.items():
        path = png(tmp_path / name, grey(0))
        if data is not None:
            path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        find_dataset(tmp_path)


def test_a_picture_that_would_fill_the_memory(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10**6))
        + chunk(b"IEND", b"")
    )
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.png").write_bytes(bomb)
    with pytest.raises(DataError):
        find_dataset(tmp_path)
    dicom(tmp_path / "a" / "0.png", np.zeros((4, 4), np.uint16), Rows=60_000, Columns=60_000)
    with pytest.raises(DataError, match="million pixels"):
        find_dataset(tmp_path)


def test_a_deflated_file_is_refused_wherever_its_header_says_so() -> None:
    """The library inflates a data set without a bound, so 1 MB may become 1 GB before anything is looked at."""
    import struct
    import zlib

    from titer.cases.files.dicom import read_dicom

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HH2sH", 2, number, b"UI", len(value)) + value

    meta = element(2, b"1" * 6000) + element(0x10, b"1.2.840.10008.1.2.1.99")
    head = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
    bomb = zlib.compressobj(wbits=-15)
    with pytest.raises(DataError, match="a deflated one"):
        read_dicom(head + bomb.compress(bytes(1 << 20)) + bomb.flush(), "bomb", None)

"""Files cut off anywhere, or changed anywhere, are refused with `DataError` or read as they were: nothing else."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases_made import dicom, edf, png, rng, wfdb_beats, wfdb_record, zipped

from titer.cases.files.dicom import read_dicom
from titer.cases.find import find_dataset
from titer.errors import DataError

Maker = Callable[[Path], tuple[Path, Path, dict[str, Any]]]


def _npz(root: Path) -> tuple[Path, Path, dict[str, Any]]:
    drawn = rng(0)
    arrays = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = drawn.integers(0, 256, (6, 8, 8)).astype(np.uint8)
        arrays[f"{part}_labels"] = np.arange(6)[:, None] % 2
    np.savez_compressed(root / "x.npz", **arrays)
    return root / "x.npz", root / "x.npz", {"reader": "medmnist_npz"}


def _picture(root: Path, suffix: str) -> tuple[Path, Path, dict[str, Any]]:
    for name in ("a", "b"):
        path = png(root / name / f"0{suffix}", rng(1).integers(0, 256, (24, 24, 3)).astype(np.uint8))
    return path, root, {"reader": "images"}


def _dicom(root: Path) -> tuple[Path, Path, dict[str, Any]]:
    for name in ("a", "b"):
        path = dicom(root / name / "0.dcm", rng(1).integers(0, 999, (16, 16)).astype(np.int16))
    return path, root, {"reader": "images"}


def _jpeg_dicom(root: Path) -> tuple[Path, Path, dict[str, Any]]:
    from pydicom.data import get_testdata_file

    for name in ("a", "b"):
        (root / name).mkdir()
        path = root / name / "0.dcm"
        path.write_bytes(Path(str(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", download=False))).read_bytes())
    return path, root, {"reader": "images"}


def _zip(root: Path) -> tuple[Path, Path, dict[str, Any]]:
    first = png(root / "0.png", rng(1).integers(0, 256, (24, 24)).astype(np.uint8)).read_bytes()
    zipped(root / "images.zip", {"a/0.png": first, "b/0.png": first})
    (root / "labels.csv").write_text("path,label\na/0.png,a\nb/0.png,b\n")
    return root / "images.zip", root, {"reader": "images"}


def _wfdb(root: Path, which: str) -> tuple[Path, Path, dict[str, Any]]:
    for number in range(2):
        wfdb_record(root, f"r{number}", np.cumsum(rng(number).normal(0, 0.02, (600, 2)), axis=0), comments=["ward: a"])
        wfdb_beats(root, f"r{number}", [150, 300, 450], list("NVN"))
    return root / f"r0.{which}", root, {"reader": "wfdb_records", "beats": "atr", "before": 0.1, "after": 0.1}


def _edf(root: Path) -> tuple[Path, Path, dict[str, Any]]:
    for number in range(2):
        path = edf(root / f"{number}.edf", rng(number).normal(0, 20, (2, 300)))
    (root / "labels.csv").write_text("path,label\n0.edf,a\n1.edf,b\n")
    return path, root, {"reader": "edf"}


def _packed(root: Path, suffix: str, pack: Callable[[bytes], bytes]) -> tuple[Path, Path, dict[str, Any]]:
    rows = "".join(f"note {k} of {'pain' if k % 2 else 'fever'} and {k * k},{'ab'[k % 2]}\n" for k in range(60))
    path = root / f"notes.csv{suffix}"
    path.write_bytes(pack(("text,label\n" + rows).encode()))
    return path, path, {"reader": "notes_csv"}


MAKERS: dict[str, Maker] = {
    "npz": _npz,
    "png": lambda root: _picture(root, ".png"),
    "jpeg": lambda root: _picture(root, ".jpg"),
    "dicom": _dicom,
    "dicom with jpeg": _jpeg_dicom,
    "zip": _zip,
    "wfdb header": lambda root: _wfdb(root, "hea"),
    "wfdb samples": lambda root: _wfdb(root, "dat"),
    "wfdb marks": lambda root: _wfdb(root, "atr"),
    "edf": _edf,
    "csv.gz": lambda root: _packed(root, ".gz", gzip.compress),
    "csv.xz": lambda root: _packed(root, ".xz", lzma.compress),
}


@pytest.mark.parametrize("name", MAKERS)
def test_cut_off_anywhere(tmp_path: Path, name: str) -> None:
    path, where, options = MAKERS[name](tmp_path)
    whole = path.read_bytes()
    digest = find_dataset(where, **options).digest
    refused = 0
    cuts = sorted({0, 1, len(whole) // 2, len(whole) - 1, *np.linspace(2, len(whole) - 2, 16).astype(int).tolist()})
    for cut in cuts:
        path.write_bytes(whole[:cut])
        try:
            # What is cut from the last bytes may have been a mark of the end that says nothing.
            assert find_dataset(where, **options).digest == digest, cut
            assert len(whole) - cut <= 4
        except DataError:
            refused += 1
    assert refused >= len(cuts) - 2


@pytest.mark.parametrize("name", MAKERS)
def test_a_changed_byte_raises_nothing_else(tmp_path: Path, name: str) -> None:
    path, where, options = MAKERS[name](tmp_path)
    whole = path.read_bytes()
    drawn = rng(len(whole))
    for place in drawn.integers(0, len(whole), 25):
        damaged = bytearray(whole)
        damaged[place] ^= int(drawn.integers(1, 256))
        path.write_bytes(damaged)
        try:
            find_dataset(where, **options)
        except DataError:
            continue


@pytest.mark.parametrize("name", ["dicom", "edf"])
def test_messages_carry_no_words_of_the_file(tmp_path: Path, name: str) -> None:
    path, where, options = MAKERS[name](tmp_path)
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) * 3 // 4])
    with pytest.raises(DataError) as caught:
        find_dataset(where, **options)
    assert "Doe" not in str(caught.value)
    assert "MRN" not in str(caught.value)


def test_no_decoder_is_asked_that_ends_the_process(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    data = Path(str(get_testdata_file("SC_rgb_jpeg_gdcm.dcm", download=False))).read_bytes()
    with pytest.raises(DataError, match=r"safe decoders read, got 'JPEG Lossless.*export it uncompressed"):
        read_dicom(data, "a lossless JPEG", None)

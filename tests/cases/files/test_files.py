"""Bounds, archives, numpy files and tables."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from cases_made import zipped
from hypothesis import given
from hypothesis import strategies as st

from titer.cases.files import bounds, table
from titer.cases.files.bounds import read_bytes, reading, safe_name
from titer.cases.files.npz import npz_names, read_npz
from titer.cases.files.store import Archive, Folder, is_zip
from titer.errors import DataError


@given(st.text(alphabet="ab./\\:\0", max_size=12))
def test_a_safe_name_stays_inside(name: str) -> None:
    try:
        found = safe_name(name, "a line")
    except DataError:
        return
    inside = os.path.normpath(f"/base/folder/{found}")
    assert inside == "/base/folder" or inside.startswith("/base/folder/")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(2, "no", "/secret/SMITH.dcm"), "no such file"),
        (PermissionError(13, "no", "/secret/SMITH.dcm"), "permission denied"),
        (MemoryError(), "fits into memory"),
        (ValueError("patient SMITH"), r"damaged file \(ValueError\)"),
        (ModuleNotFoundError("no", name="pydicom.x"), r'pip install "titer\[images\]"'),
        (DataError("a", "b", "c"), "expected a, got b; c"),
    ],
)
def test_every_error_of_a_parser_becomes_ours(error: Exception, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught, reading("a file"):
        raise error
    assert "SMITH" not in str(caught.value)


def test_interrupts_pass() -> None:
    with pytest.raises(KeyboardInterrupt), reading("a file"):
        raise KeyboardInterrupt


def test_large_files_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 1000)
    (tmp_path / "x").write_bytes(b"0" * 1001)
    with pytest.raises(DataError, match="GiB"):
        read_bytes(tmp_path / "x", "a file")
    path = zipped(tmp_path / "x.zip", {"a.png": b"0" * 1001})
    assert path.stat().st_size < 1000
    with pytest.raises(DataError, match="a zip file of at most"):
        Archive(path)
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1000))
    with pytest.raises(DataError, match="GiB"):
        read_npz(tmp_path / "x.npz", ("a",))


def test_a_compressed_table_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 1000)
    monkeypatch.setattr(table, "MOST_BYTES", 1000)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 10_000))
    with pytest.raises(DataError, match="GiB"):
        table.read_table(tmp_path / "x.csv.gz")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    np.savez(tmp_path / "x.npz", a=np.array([Evil()], dtype=object))
    with pytest.raises(DataError, match="numbers or words"):
        read_npz(tmp_path / "x.npz", ("a",))
    assert not (tmp_path / "owned").exists()


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    import io

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)})
    zipped(tmp_path / "x.npz", {"a.npy": stream.getvalue() + b"0" * 64})
    with pytest.raises(DataError, match="8000000000000000 bytes"):
        read_npz(tmp_path / "x.npz", ("a",))


def test_npz_names_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no archive")
    assert npz_names(tmp_path / "x.npz") == []
    assert npz_names(tmp_path / "gone.npz") == []
    np.savez(tmp_path / "x.npz", a=np.zeros((2, 3)), b=np.array(["x"]))
    assert npz_names(tmp_path / "x.npz") == ["a", "b"]
    found = read_npz(tmp_path / "x.npz", ("a", "b"))
    assert found["a"].shape == (2, 3)
    with pytest.raises(DataError, match=r"arrays c in x.npz, got a, b"):
        read_npz(tmp_path / "x.npz", ("c",))


def test_folders_hide_what_begins_with_a_dot(tmp_path: Path) -> None:
    for name in ("a/x", "a/.hidden", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert Folder(tmp_path).names() == ["a/x"]
    assert Folder(tmp_path).read("a/x", "it") == b"x"
    assert not Folder(tmp_path).has("a/y")


def test_archives(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a/x": b"1", "../y": b"2", "__MACOSX/z": b"3"})
    assert is_zip(path)
    assert not is_zip(tmp_path)
    assert Archive(path).read("a/x", "it") == b"1"
    with pytest.raises(DataError, match="no such file in the zip file"):
        Archive(path).read("a/y", "it")


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("x.csv", "a,b\n1,2\n", ["a", "b"]),
        ("x.csv", "\ufeffa,b\n1,2\n", ["a", "b"]),
        ("x.csv", "a;b\n1;2\n", ["a", "b"]),
        ("x.tsv", "a\tb, c\n1\t2\n", ["a", "b, c"]),
        ("x.txt", "a\tb\n1\t2\n", ["a", "b"]),
        ("x.csv", '" a ","b"\n"1","2\n3"\n', ["a", "b"]),
    ],
)
def test_tables(tmp_path: Path, name: str, text: str, columns: list[str]) -> None:
    (tmp_path / name).write_text(text)
    frame = table.read_table(tmp_path / name)
    assert list(frame.columns) == columns
    assert frame.iloc[0, 0] == "1"
    assert len(frame) == 1


@pytest.mark.parametrize("text", ["", "\n1,2\n", "a,a\n1,2\n", "a,b\n1,2,3\n1\n1,2,3,4\n"])
def test_tables_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError):
        table.read_table(tmp_path / "x.csv")


def test_words_that_pandas_would_take_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("label,value\nNA,1\nnan,2\nNone,\n")
    frame = table.read_table(tmp_path / "x.csv")
    assert frame["label"].tolist() == ["NA", "nan", "None"]
    assert table.numbers(frame, "value", "x")[2] != table.numbers(frame, "value", "x")[2]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"a,b\n\xff\xfe,2\n")
    with pytest.raises(DataError, match="damaged"):
        table.read_table(tmp_path / "x.csv")

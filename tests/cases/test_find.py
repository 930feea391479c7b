"""Data sets by name and by path, those of other packages included."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases_made import png, rng

from titer.cases.find import data_root, find_dataset
from titer.errors import DataError, PlanError
from titer.registry import DATASETS, READERS

OUTSIDE = """
import numpy as np
from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.reader import Reader
from titer.cases.space import Space


def _made(count):
    card = DataCard("ward7", "Ward 7", "CC0", "us", "here", "numbers")
    space = Space("table", (2,), "mmol/l", 0.0, 1.0)
    inputs = np.linspace(0, 1, 2 * count, dtype=np.float32).reshape(count, 2)
    return Dataset(card, space, "classes", ("a", "b"), (1,), Batch.of(inputs, np.arange(count) % 2))


class Ward7(DatasetSource):
    name = "ward7"
    embedded = True

    def load(self, root, *, cases=8):
        return _made(cases)


class Ward7Files(Reader):
    name = "ward7_files"
    formats = "files of ward 7"

    def accepts(self, path):
        return path.suffix == ".ward7"

    def read(self, path, **options):
        return _made(int(path.read_text()))
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a data set and a reader, as pip leaves it."""
    site = tmp_path / "site"
    (site / "ward7-1.0.dist-info").mkdir(parents=True)
    (site / "ward7.py").write_text(OUTSIDE)
    (site / "ward7-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: ward7\nVersion: 1.0\n")
    points = (
        "[titer.datasets]\nward7 = ward7:Ward7\nwrong = ward7:np\n[titer.readers]\nward7_files = ward7:Ward7Files\n"
    )
    (site / "ward7-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return site


def test_a_data_set_of_another_package(outside: Path) -> None:
    assert "ward7" in DATASETS.names()
    assert len(find_dataset("ward7").cases) == 8
    assert len(find_dataset("ward7", cases=12).cases) == 12


def test_a_reader_of_another_package(outside: Path, tmp_path: Path) -> None:
    assert "ward7_files" in READERS.names()
    (tmp_path / "x.ward7").write_text("6")
    assert len(find_dataset(tmp_path / "x.ward7").cases) == 6


def test_an_entry_point_that_is_no_data_set(outside: Path) -> None:
    with pytest.raises(PlanError, match="subclass of DatasetSource"):
        find_dataset("wrong")


def test_a_name_goes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breast_biopsies").mkdir()
    assert find_dataset("breast_biopsies").card.name == "breast_biopsies"
    with pytest.raises(DataError, match="an empty folder"):
        find_dataset("./breast_biopsies")


def test_paths_are_looked_for_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        png(tmp_path / "set" / name / "0.png", rng(0).integers(0, 9, (8, 8)).astype(np.uint8))
    assert len(find_dataset("set", root=tmp_path).cases) == 2
    monkeypatch.setenv("TITER_DATA", str(tmp_path))
    assert len(find_dataset("set").cases) == 2
    assert data_root() == tmp_path


def test_nothing_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITER_DATA", raising=False)
    with pytest.raises(
        DataError, match=r"TITER_DATA is not set.*did you mean 'breastmnist'.*known names: .*chest_phantom"
    ):
        find_dataset("brestmnist")
    with pytest.raises(DataError, match=f"looked for gone and {tmp_path}/gone"):
        find_dataset("gone", root=tmp_path)


def test_a_root_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="--data"):
        data_root(tmp_path / "gone")
    monkeypatch.setenv("TITER_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match="TITER_DATA"):
        find_dataset("breast_biopsies")
    monkeypatch.setenv("TITER_DATA", "")
    assert data_root() is None


def test_an_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(DataError, match="to be readable, got Permission denied; change its rights"):
        find_dataset(tmp_path)


def test_a_file_that_no_reader_takes(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\0\1")
    with pytest.raises(DataError, match=r"readers are edf: .*table_csv"):
        find_dataset(tmp_path / "x.bin")
    with pytest.raises(PlanError, match="did you mean 'images'"):
        find_dataset(tmp_path / "x.bin", reader="image")


def test_two_readers_ask_for_a_choice(outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ward7  # type: ignore[import-not-found]

    monkeypatch.setattr(ward7.Ward7Files, "accepts", lambda self, path: True)
    (tmp_path / "x.csv").write_text("label,v\na,1\nb,2\na,3\nb,4\n")
    with pytest.raises(DataError, match="choose with the option 'reader'"):
        find_dataset(tmp_path / "x.csv")
    assert len(find_dataset(tmp_path / "x.csv", reader="table_csv").cases) == 4


def test_finding_names_imports_nothing_heavy() -> None:
    code = (
        "import sys; from titer.registry import DATASETS, READERS; DATASETS.names(); READERS.names();"
        "import titer.cases.find, titer.cases.splits, titer.cases.leakage, titer.cases.card;"
        "[DATASETS.find(n) for n in DATASETS.names()]; [READERS.find(n) for n in READERS.names()];"
        "heavy = {'torch', 'scipy', 'pandas', 'sklearn', 'PIL', 'pydicom', 'wfdb', 'pyedflib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.npz", b"PK\x03\x04 and nothing more", "damaged file"),
        ("empty.npz", b"", "damaged file"),
        ("empty.csv", b"", "an empty file"),
        ("blank.csv", b"\n\n", "an empty file"),
        ("empty.tsv", b"", "an empty file"),
        ("late.csv", b"\na,label\n1,x\n", "an empty first line"),
        ("head.csv", b"a,label\n", "column names alone"),
        ("binary.csv", bytes(range(128, 256)), "damaged file"),
        ("other.csv", b"a,b\n1,2\n", "columns a, b"),
        ("cut.csv.gz", b"\x1f\x8b\x08\x00", "damaged file"),
        ("cut.zip", b"PK", "damaged file"),
    ],
)
def test_a_damaged_file_is_called_damaged_and_no_unknown_format(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_dataset(str(tmp_path / name))
    assert said in caught.value.got
    assert "readers are" not in str(caught.value)
    assert name in str(caught.value) or name.endswith(".zip")


def test_an_archive_of_other_arrays_is_told_what_was_looked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    with pytest.raises(DataError, match=r"train_images.*pixels"):
        find_dataset(str(tmp_path / "other.npz"))

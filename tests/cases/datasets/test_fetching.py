"""Sets that are fetched with the library of their community; the libraries are played here, the network is not used."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases_made import rng, wfdb_beats, wfdb_record

from titer.cases.datasets import _mitbih, adrenalmnist3d, breastmnist, ecg_mitbih
from titer.cases.datasets._local import cache_folder
from titer.cases.find import find_dataset
from titer.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TITER_DATA", raising=False)
    return tmp_path / "cache" / "data"


def test_where_the_cache_is(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == own_cache
    monkeypatch.delenv("TITER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/titer/data")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "titer" / "data"


def play_medmnist(monkeypatch: pytest.MonkeyPatch, name: str, file: str, content: Any) -> list[dict[str, Any]]:
    """A package `medmnist` whose class saves a file, as the real one does."""
    calls: list[dict[str, Any]] = []

    def download(**settings: Any) -> None:
        calls.append(settings)
        if isinstance(content, Exception):
            raise content
        (Path(settings["root"]) / file).write_bytes(content)

    module = ModuleType("medmnist")
    setattr(module, name, download)
    monkeypatch.setitem(sys.modules, "medmnist", module)
    return calls


def published(path: Path, shape: tuple[int, ...]) -> bytes:
    arrays = {}
    for part, size in (("train", 6), ("val", 4), ("test", 4)):
        arrays[f"{part}_images"] = rng(size).integers(0, 256, (size, *shape)).astype(np.uint8)
        arrays[f"{part}_labels"] = np.arange(size)[:, None] % 2
    np.savez(path, **arrays)
    return path.read_bytes()


def renamed(subset: Any, content: bytes) -> Any:
    from dataclasses import replace

    return replace(subset, md5=hashlib.md5(content, usedforsecurity=False).hexdigest())


def test_medmnist_is_fetched_once(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = published(tmp_path / "x.npz", (28, 28))
    monkeypatch.setattr(breastmnist, "_SUBSET", renamed(breastmnist._SUBSET, content))
    calls = play_medmnist(monkeypatch, "BreastMNIST", "breastmnist.npz", content)
    assert len(find_dataset("breastmnist").cases) == 14
    assert len(find_dataset("breastmnist", root=tmp_path).cases) == 14
    assert calls == [{"split": "train", "download": True, "root": str(own_cache / "medmnist"), "size": 28}]


def test_the_published_file_in_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "medmnist").mkdir()
    content = published(tmp_path / "medmnist" / "breastmnist.npz", (28, 28))
    monkeypatch.setattr(breastmnist, "_SUBSET", renamed(breastmnist._SUBSET, content))
    assert len(find_dataset("breastmnist", root=tmp_path).cases) == 14


def test_large_volumes_are_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = published(tmp_path / "x.npz", (64, 64, 64))
    monkeypatch.setattr(adrenalmnist3d, "_SUBSET", renamed(adrenalmnist3d._SUBSET, content))
    play_medmnist(monkeypatch, "AdrenalMNIST3D", "adrenalmnist3d_64.npz", content)
    data = find_dataset("adrenalmnist3d")
    assert data.space.shape == (1, 32, 32, 32)
    first = np.load(tmp_path / "x.npz")["train_images"][0]
    assert np.round(data.cases.inputs[0, 0, 3, 4, 5] * 255) == first[6:8, 8:10, 10:12].max()


def test_damaged_downloads_and_failures(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play_medmnist(monkeypatch, "BreastMNIST", "breastmnist.npz", b"half a file")
    with pytest.raises(DataError, match="with MD5 750601b1"):
        find_dataset("breastmnist")
    assert not (own_cache / "medmnist" / "breastmnist.npz").exists()
    play_medmnist(monkeypatch, "BreastMNIST", "breastmnist.npz", OSError("no network"))
    with pytest.raises(DataError, match=r"medmnist could not fetch them \(OSError\); set --data or TITER_DATA"):
        find_dataset("breastmnist")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medmnist", None)
    with pytest.raises(DataError, match=r"the package medmnist is not installed; .*pip install medmnist"):
        find_dataset("pneumoniamnist")
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(DataError, match=r"the package wfdb is not installed; .*pip install wfdb"):
        find_dataset("ecg_mitbih")


def record(folder: Path, number: int) -> None:
    """Ten minutes at 360 Hz in two leads, of which the second is MLII, with beats every second."""
    drawn = rng(number)
    values = np.zeros((360 * 600, 2))
    beats = np.arange(180, 360 * 600 - 360, 360)
    values[beats, 1] = 1.0
    values[:, 0] = drawn.normal(0, 0.01, len(values))
    symbols = drawn.choice(list("NNNNNNVA"), len(beats))
    symbols[:2] = ["N", "V"]
    wfdb_record(folder, str(number), values, fs=360, units="mV")
    header = folder / f"{number}.hea"
    header.write_text(header.read_text().replace("lead 0", "V5").replace("lead 1", "MLII"))
    wfdb_beats(folder, str(number), beats, symbols, fs=360)


def test_mit_bih_is_cut_from_its_records(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wfdb

    chosen = (101, 201, 202, 100)
    calls: list[Any] = []

    def fetch(database: str, target: str, **settings: Any) -> None:
        calls.append((database, settings["annotators"]))
        for number in chosen:
            record(Path(target), number)

    monkeypatch.setattr(wfdb, "dl_database", fetch)
    for module in (_mitbih, ecg_mitbih):
        monkeypatch.setattr(module, "RECORDS", chosen)
    monkeypatch.setattr(_mitbih.beats_of, "__defaults__", (chosen,))
    monkeypatch.setattr(_mitbih.strips_of, "__defaults__", (chosen,))
    data = find_dataset("ecg_mitbih")
    assert data.space.shape == (1, 180)
    assert len(np.unique(data.cases.patients)) == 3
    # The mark stands 0.4 s into the window: sample 72 of 180.
    assert np.argmax(np.abs(data.cases.inputs[:, 0]), axis=1) == pytest.approx(72, abs=1)
    normal = np.bincount(data.cases.patients[data.cases.targets == 0])
    assert normal.max() <= 2 * 320
    assert data.card.digests == {}
    assert find_dataset("ecg_mitbih").digest == data.digest
    strips = find_dataset("ecg_mitbih", task="strips")
    assert strips.space.shape == (1, 1250)
    assert len(strips.cases) == 4 * 30
    assert calls == [("mitdb", ["atr"])]


def test_mit_bih_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import wfdb

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(wfdb, "dl_database", fail)
    with pytest.raises(DataError, match=r"wfdb could not fetch them \(ConnectionError\)"):
        find_dataset("ecg_mitbih")

"""MedMNIST files: written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from titer.cases.find import find_dataset
from titer.errors import DataError, PlanError

SIZES = {"train": 6, "val": 4, "test": 5}


def arrays(shape: tuple[int, ...], labels: Any = None) -> dict[str, Any]:
    drawn = np.random.Generator(np.random.Philox(4))
    found: dict[str, Any] = {}
    for part, size in SIZES.items():
        found[f"{part}_images"] = drawn.integers(0, 256, (size, *shape)).astype(np.uint8)
        found[f"{part}_labels"] = (np.arange(size) % 2).astype(np.uint8)[:, None] if labels is None else labels(size)
    return found


def saved(path: Path, found: dict[str, Any]) -> Path:
    np.savez_compressed(path, **found)
    return path


@pytest.mark.parametrize(
    ("shape", "kind", "case", "options"),
    [
        ((8, 9), "image", (1, 8, 9), {}),
        ((8, 9, 3), "image", (3, 8, 9), {}),
        ((7, 8, 9), "volume", (1, 7, 8, 9), {}),
        ((7, 8, 3), "volume", (1, 7, 8, 3), {"volume": True}),
        ((7, 8, 9, 3), "volume", (3, 7, 8, 9), {}),
    ],
)
def test_round_trip(
    tmp_path: Path, shape: tuple[int, ...], kind: str, case: tuple[int, ...], options: dict[str, Any]
) -> None:
    found = arrays(shape)
    data = find_dataset(saved(tmp_path / "mine.npz", found), **options)
    assert (data.space.kind, data.space.shape) == (kind, case)
    assert data.classes == ("0", "1")
    images = np.concatenate([found[f"{part}_images"] for part in SIZES])
    back = np.round(data.cases.inputs * 255).astype(np.uint8)
    back = np.moveaxis(back, 1, -1) if case[0] == 3 and not options else back[:, 0]
    assert (back == images).all()
    assert data.official is not None
    assert data.official.tolist() == ["train"] * 6 + ["validation"] * 4 + ["test"] * 5
    assert data.card.digests


def test_names_of_classes_stand_in_the_order_of_numbers(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", arrays((8, 8)))
    data = find_dataset(path, classes=["malignant", "normal"], title="Mine", licence="CC0", citation="me")
    assert (data.classes, data.positive) == (("malignant", "normal"), (0,))
    assert (data.card.title, data.card.licence, data.card.citation) == ("Mine", "CC0", "me")
    with pytest.raises(DataError, match="labels of 0 to 0"):
        find_dataset(path, classes=["malignant"])


def test_findings(tmp_path: Path) -> None:
    drawn = np.random.Generator(np.random.Philox(1))
    found = arrays((8, 8), lambda size: drawn.integers(0, 2, (size, 3)).astype(np.uint8))
    data = find_dataset(saved(tmp_path / "mine.npz", found), classes=["a", "b", "c"])
    assert data.task == "multilabel"
    assert (data.cases.targets == np.concatenate([found[f"{part}_labels"] for part in SIZES])).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {**f, "train_images": f["train_images"][:, :4]}, "images of one shape"),
        (lambda f: {**f, "train_images": f["train_images"].astype(np.int32) + 300}, "whole numbers 0 to 255"),
        (lambda f: {**f, "train_images": f["train_images"].astype(float)}, "whole numbers 0 to 255"),
        (lambda f: {**f, "train_labels": f["train_labels"][:-1]}, "one per image"),
        (lambda f: {**f, "train_labels": np.array([["x"]] * 6)}, "labels of one shape|whole-number labels"),
        (lambda f: {**f, "train_images": np.array([{"evil": 1}] * 6, dtype=object)}, "numbers or words"),
        (lambda f: {key: value * 0 for key, value in f.items()}, "at least two classes"),
    ],
)
def test_wrong_contents(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **change(arrays((8, 8))))
    with pytest.raises(DataError, match=message):
        find_dataset(path)


def test_a_missing_array_and_an_unknown_option(tmp_path: Path) -> None:
    found = arrays((8, 8))
    del found["val_labels"]
    with pytest.raises(DataError, match="arrays train_images"):
        find_dataset(saved(tmp_path / "mine.npz", found))
    with pytest.raises(DataError, match="val_labels"):
        find_dataset(tmp_path / "mine.npz", reader="medmnist_npz")
    with pytest.raises(PlanError, match="did you mean 'classes'"):
        find_dataset(saved(tmp_path / "good.npz", arrays((8, 8))), clases=["a", "b"])

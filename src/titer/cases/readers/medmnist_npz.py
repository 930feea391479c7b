"""MedMNIST files: one npz with images and labels of three parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.files.bounds import check_size
from titer.cases.files.npz import npz_names, read_npz
from titer.cases.files.picture import GREY
from titer.cases.reader import Reader
from titer.cases.readers._common import About, Index, finish
from titer.cases.space import Kind, Space
from titer.errors import DataError

_PARTS = ("train", "val", "test")


class MedMnistNpz(Reader):
    """Grey, color or volume cases in the layout of MedMNIST.

    Arrays `train_images`, `val_images`, `test_images` are [n,H,W], [n,H,W,3], [n,D,H,W] or [n,D,H,W,C] whole numbers
    of 0 to 255, and become grey levels of 0 to 1; `*_labels` are [n] or [n,1] class numbers, or [n,K] findings.
    A last dimension of 3 is color, unless the option `volume` says that [n,D,H,3] is a volume.

    Options: `volume` (default false), and those of all readers (`title`, `licence`, `citation`, `classes`, `positive`,
    `task`). Class names stand in the order of the numbers; without names, the numbers stand for themselves.

    Source: Yang et al., MedMNIST v2, Scientific Data 10:41 (2023), doi 10.1038/s41597-022-01721-8.
    """

    name: ClassVar[str] = "medmnist_npz"
    formats: ClassVar[str] = "MedMNIST .npz (2-D, color, 3-D)"
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def accepts(self, path: Path) -> bool:
        if path.suffix.lower() != ".npz" or not path.is_file():
            return False
        return set(npz_names(path)) >= {f"{part}_{what}" for part in _PARTS for what in ("images", "labels")}

    def read(self, path: Path, *, volume: bool = False, **more: Any) -> Dataset:
        about = About.taken(more, self.read)
        names = tuple(f"{part}_{what}" for part in _PARTS for what in ("images", "labels"))
        arrays = read_npz(path, names)
        images = _joined([arrays[f"{part}_images"] for part in _PARTS], "images", path)
        labels = _joined([arrays[f"{part}_labels"] for part in _PARTS], "labels", path)
        splits = [part for part in _PARTS for _ in range(len(arrays[f"{part}_images"]))]
        if len(labels) != len(splits):
            raise DataError(f"{len(splits)} labels, one per image", str(len(labels)), "check the file")
        check_size(images.size * 4.0, path.name)
        inputs = as_channels(images, volume=volume, what=path.name)
        cells = _cells(labels, about.classes)
        task = "multilabel" if labels.ndim == 2 and labels.shape[1] > 1 and about.task == "classes" else about.task
        about = About(**{**about.__dict__, "task": task})
        kind: Kind = "volume" if inputs.ndim == 5 else "image"
        space = Space(kind, inputs.shape[1:], GREY)
        card = about.card(path, "MedMNIST file", keyed="", cautions=("parts are those of the file",))
        index = Index(splits, cells, None, splits, {})
        return finish(card, space, inputs, index, about.encoded(cells))


def as_channels(images: Array, *, volume: bool, what: str) -> Array:
    """Whole numbers of 0 to 255 as float32 grey levels of 0 to 1, channel first."""
    if images.dtype.kind not in "ui" or (images.size and (images.min() < 0 or images.max() > 255)):
        raise DataError(f"images of whole numbers 0 to 255 in {what}", str(images.dtype), "save them as uint8")
    scaled = images.astype(np.float32)
    scaled /= 255
    if images.ndim == 3 or (images.ndim == 4 and (images.shape[-1] != 3 or volume)):
        return scaled[:, None]
    if images.ndim in (4, 5) and images.shape[-1] in (1, 3):
        return np.ascontiguousarray(np.moveaxis(scaled, -1, 1))
    raise DataError(
        f"images [n,H,W], [n,H,W,3], [n,D,H,W] or [n,D,H,W,C] in {what}", str(list(images.shape)), "reshape them"
    )


def _joined(pieces: list[Array], what: str, path: Path) -> Array:
    if len({piece.shape[1:] for piece in pieces}) > 1 or any(piece.ndim == 0 for piece in pieces):
        shapes = ", ".join(str(list(piece.shape)) for piece in pieces)
        raise DataError(f"{what} of one shape in all parts of {path.name}", shapes, "resize them alike")
    return np.concatenate(pieces)


def _cells(labels: Array, classes: tuple[str, ...] | None) -> list[str]:
    """Labels as words; findings of one case are joined by `|`."""
    if labels.dtype.kind not in "uib":
        raise DataError("whole-number labels", str(labels.dtype), "encode labels as class numbers")
    if labels.ndim == 2 and labels.shape[1] > 1:
        names = classes or tuple(f"finding {k}" for k in range(labels.shape[1]))
        if len(names) != labels.shape[1]:
            raise DataError(f"{labels.shape[1]} names of findings", str(len(names)), "correct 'classes'")
        return ["|".join(name for name, one in zip(names, row, strict=True) if one) for row in labels]
    flat = labels.reshape(len(labels))
    if classes is None:
        return [str(number) for number in flat]
    if flat.min() < 0 or flat.max() >= len(classes):
        raise DataError(f"labels of 0 to {len(classes) - 1}", f"{flat.min()} to {flat.max()}", "correct 'classes'")
    return [classes[number] for number in flat]

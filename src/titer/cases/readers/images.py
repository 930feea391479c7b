"""Pictures in class folders, or listed in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.files.bounds import check_size, safe_name
from titer.cases.files.picture import SUFFIXES, Picture, read_picture
from titer.cases.files.store import Folder, Store, is_zip, open_store
from titer.cases.files.table import header, is_table, read_table
from titer.cases.labels import is_part
from titer.cases.options import height_width, number, one_of
from titer.cases.reader import Reader
from titer.cases.readers._common import About, Index, finish
from titer.cases.readers._index import index_of
from titer.cases.space import Space
from titer.errors import DataError, PlanError


class Images(Reader):
    """PNG, JPEG or DICOM pictures with labels.

    A folder (or zip file) holds one folder per class, or one per part (train, val, test) with one per class inside;
    or it holds `labels.csv`. A table has a row per picture: `path`, `label`, and if wanted `patient`, `split` and
    subgroups. Its pictures lie beside it, or in a zip file beside it.

    PNG and JPEG become grey levels of 0 to 1; computed tomography becomes HU; other DICOM grey levels as a viewer
    shows them. The patient key of DICOM files becomes a number at once.

    Options
        size: pixels per side, or [down, across]; needed where pictures differ in size.
        color: "grey" or "rgb"; default: as the pictures are, and grey where they differ.
        window: [center, width] for DICOM, in HU or the file's unit.
        path_column, label, patient, split: names of the columns. groups: names of subgroup columns.
        archive: name of the zip file beside the table, if there are several.
        title, licence, citation, source, task, classes, positive: as for all readers.
    """

    name: ClassVar[str] = "images"
    formats: ClassVar[str] = "PNG, JPEG, DICOM in class folders, a zip file or a CSV"
    suffixes: ClassVar[tuple[str, ...]] = (".zip",)

    def accepts(self, path: Path) -> bool:
        if is_table(path):
            return _lists_pictures(path, "path")
        if path.is_dir():
            if (path / "labels.csv").is_file():
                return _lists_pictures(path / "labels.csv", "path")
            return any(each.suffix.lower() in SUFFIXES for each in path.glob("*/*")) or any(
                each.suffix.lower() in SUFFIXES for each in path.glob("*/*/*")
            )
        return is_zip(path)

    def read(
        self,
        path: Path,
        *,
        size: Any = None,
        color: str | None = None,
        window: Any = None,
        path_column: str = "path",
        label: str = "label",
        patient: str = "patient",
        split: str = "split",
        groups: Any = None,
        archive: str | None = None,
        **more: Any,
    ) -> Dataset:
        about = About.taken(more, self.read)
        if color is not None:
            one_of(color, "color", ("grey", "rgb"))
        table = path / "labels.csv" if path.is_dir() and (path / "labels.csv").is_file() else path
        if is_table(table):
            frame = read_table(table)
            index = index_of(
                frame, table, name=path_column, label=label, patient=patient, split=split, groups=groups,
                options=("path_column", "label"),
            )  # fmt: skip
            find = _listed(table, index, archive)
            place: Callable[[int], str] = lambda row: f"the picture in line {row + 2} of {table.name}"  # noqa: E731
        else:
            store = open_store(path)
            index = _foldered(store, path)
            find = lambda row: store.read(index.names[row], f"picture {row + 1} (in name order)")  # noqa: E731
            place = lambda row: f"picture {row + 1} (in name order) of {path.name}"  # noqa: E731
        labels = about.encoded(index.cells)
        pictures = decode(len(index.names), find, place, size=height_width(size), color=color, window=_window(window))
        keys, keyed = _patients(index, pictures)
        index = Index(index.names, index.cells, keys, index.splits, index.groups)
        card = about.card(path, "pictures", keyed=keyed)
        return finish(card, space_of(pictures), stacked(pictures), index, labels)


def decode(
    count: int,
    find: Callable[[int], bytes],
    place: Callable[[int], str],
    *,
    size: tuple[int, int] | None = None,
    color: str | None = None,
    window: tuple[float, float] | None = None,
) -> list[Picture]:
    """All pictures, of one size, color and unit.

    Arguments
        count: number of pictures. find: bytes of the k-th. place: its name for messages.
    """
    pictures = []
    total = 0.0
    for row in range(count):
        picture = read_picture(find(row), place(row), window, color).resized(size)
        total += picture.values.size * 4.0
        check_size(total, "pictures")
        pictures.append(picture)
    if color is None and len({len(picture.values) for picture in pictures}) > 1:
        pictures = [picture.colored("grey") for picture in pictures]
    first = pictures[0]
    for row, picture in enumerate(pictures):
        if picture.values.shape != first.values.shape:
            raise DataError(
                "pictures of one size",
                f"{_by(first)} in {place(0)} and {_by(picture)} in {place(row)}",
                "set the option 'size'",
            )
        if (picture.unit, picture.low, picture.high) != (first.unit, first.low, first.high):
            raise DataError(
                f"pictures in one unit ({first.unit})", f"{picture.unit} in {place(row)}", "read them as two data sets"
            )
    return pictures


def stacked(pictures: list[Picture]) -> Array:
    """[n, C, H, W] as float32."""
    return np.stack([picture.values for picture in pictures]).astype(np.float32)


def space_of(pictures: list[Picture]) -> Space:
    """The space of decoded pictures; spacing where all agree."""
    first = pictures[0]
    shared = first.spacing if all(picture.spacing == first.spacing for picture in pictures) else None
    names = ("red", "green", "blue") if len(first.values) == 3 else ()
    return Space("image", first.values.shape, first.unit, first.low, first.high, names=names, spacing=shared)


def _by(picture: Picture) -> str:
    return f"{picture.values.shape[1]} x {picture.values.shape[2]}"


def _lists_pictures(table: Path, column: str) -> bool:
    if column not in header(table):
        return False
    cells = read_table(table, rows=1)[column]
    return len(cells) > 0 and Path(cells[0]).suffix.lower() in SUFFIXES


def _listed(table: Path, index: Index, archive: str | None) -> Callable[[int], bytes]:
    """Where the pictures of a table are: beside it, or in a zip file beside it."""
    what = [f"line {row + 2} of {table.name}" for row in range(len(index.names))]
    names = [safe_name(name, what[row]) for row, name in enumerate(index.names)]
    store: Store = Folder(table.parent)
    if archive is not None or not store.has(names[0]):
        zips = sorted(table.parent.glob("*.zip"))
        if archive is not None:
            zips = [each for each in zips if each.name == archive]
        holding = [each for each in zips if open_store(each).has(names[0])]
        if len(holding) != 1:
            found = ", ".join(each.name for each in (holding or zips)) or "no zip file"
            raise DataError(
                f"the pictures of {table.name} beside it, or in one zip file beside it",
                f"the first picture is not beside it, and not in exactly one zip file ({found})",
                "put them there, or name the zip file with the option 'archive'",
            )
        store = open_store(holding[0])

    def find(row: int) -> bytes:
        return store.read(names[row], f"the picture in {what[row]}")

    return find


def _foldered(store: Store, path: Path) -> Index:
    """Class folders, or part folders with class folders inside."""
    names = [name for name in store.names() if Path(name).suffix.lower() in SUFFIXES and name.count("/") >= 1]
    if not names:
        raise DataError(f"folders of PNG, JPEG or DICOM pictures in {path.name}", "none", "one folder per class")
    split = [name.split("/") for name in names]
    # Zip files often hold one folder that holds everything.
    while len({pieces[0] for pieces in split}) == 1 and min(map(len, split)) > 2:
        split = [pieces[1:] for pieces in split]
    if all(is_part(pieces[0]) and len(pieces) > 2 for pieces in split):
        return Index(names, [pieces[1] for pieces in split], None, [pieces[0] for pieces in split], {})
    return Index(names, [pieces[0] for pieces in split], None, None, {})


def _patients(index: Index, pictures: list[Picture]) -> tuple[list[str] | None, str]:
    if index.patients is not None:
        return index.patients, "patient column of the table"
    keys = [picture.patient for picture in pictures]
    if all(keys):
        return keys, "patient key of the DICOM files, as a number"
    return None, ""


def _window(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise PlanError("[center, width] for 'window'", repr(value), "correct 'window'")
    return number(value[0], "window", -1e6, 1e6), number(value[1], "window", 1.001, 1e6)

"""Data sets by name or by path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from titer.cases.dataset import Dataset
from titer.cases.files.table import header, is_table
from titer.cases.reader import Reader
from titer.errors import DataError, did_you_mean
from titer.registry import DATASETS, READERS


def data_root(root: Path | None = None) -> Path | None:
    """The folder of data sets: the given one, else the environment variable TITER_DATA, else none.

    A folder that is named and does not exist is refused (`DataError`).
    """
    told = root if root is not None else (Path(os.environ["TITER_DATA"]) if os.environ.get("TITER_DATA") else None)
    if told is None:
        return None
    if not told.is_dir():
        where = "--data" if root is not None else "TITER_DATA"
        raise DataError(f"a folder of data sets in {where}", f"{told}, which is none", f"correct {where}")
    return told


def find_dataset(name_or_path: str | Path, *, root: Path | None = None, **options: Any) -> Dataset:
    """A data set by its registered name, or from a file or folder that a reader understands.

    Arguments
        name_or_path: a name such as "chest_phantom"; else a path, as it is or below `root`. A name goes before a file
            of the same name; write `./NAME` for the file.
        root: folder of data sets; None takes TITER_DATA.
        options: those of the data set or the reader; `reader` chooses a reader by name.

    Errors: `DataError` where nothing is found, read or fit to use; `PlanError` for options that do not exist.

    >>> len(find_dataset("breast_biopsies").cases)
    569
    """
    folder = data_root(root)
    word = str(name_or_path)
    if isinstance(name_or_path, str) and word in DATASETS.names():
        dataset: Dataset = DATASETS.find(word)().load(folder, **options)
        return dataset
    path = _located(word, folder)
    reader = _reader(path, options.pop("reader", None))
    return reader.read(path, **options)


def _located(word: str, folder: Path | None) -> Path:
    told = Path(word).expanduser()
    places = [told] if folder is None or told.is_absolute() else [told, folder / told]
    for place in places:
        try:
            if place.is_dir():
                next(place.iterdir(), None)
                return place
            if place.exists():
                return place
        except OSError as error:
            raise DataError(f"{place} to be readable", error.strerror or "an error", "change its rights") from error
    hint = did_you_mean(word, DATASETS.names())
    unset = "; TITER_DATA is not set" if folder is None else ""
    looked = " and ".join(str(place) for place in places)
    raise DataError(
        "the name of a data set, or a path",
        f"{word!r} (looked for {looked}{unset})",
        f"{hint}known names: {', '.join(DATASETS.names())}",
    )


def _reader(path: Path, wanted: str | None) -> Reader:
    if wanted is not None:
        chosen: Reader = READERS.find(wanted)()
        return chosen
    readers: list[Reader] = [READERS.find(name)() for name in READERS.names()]
    fitting = [reader for reader in readers if reader.accepts(path)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DataError(
            f"one reader for {path.name}",
            f"{', '.join(reader.name for reader in fitting)} all accept it",
            "choose with the option 'reader'",
        )
    if path.is_file():
        owners = [reader for reader in readers if path.suffix.lower() in reader.suffixes]
        if len(owners) == 1:
            return owners[0]
        if is_table(path):
            raise DataError(
                f"columns of a known kind in {path.name}: 'label', and numbers, or 'text', 'path' or 'record'",
                f"columns {', '.join(header(path))}",
                "rename the columns, or choose a reader with the option 'reader' and name your columns in its options",
            )
    formats = "; ".join(f"{reader.name}: {reader.formats}" for reader in readers)
    raise DataError(
        f"a file or folder that a reader accepts in {path}",
        "an empty folder" if path.is_dir() and not any(path.iterdir()) else "another format, or other column names",
        f"readers are {formats}; choose one with the option 'reader' and name your columns in its options",
    )

"""EDF and BDF recordings in windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.files.bounds import check_size, reading, safe_name
from titer.cases.files.edf import SUFFIXES, read_edf
from titer.cases.files.recording import Recording, check_alike
from titer.cases.files.table import header, is_table, numbers, read_table
from titer.cases.options import number, words
from titer.cases.reader import Reader
from titer.cases.readers._common import About, Index, finish
from titer.cases.readers._index import index_of
from titer.cases.space import Space
from titer.errors import DataError


class Edf(Reader):
    """EEG and other EDF(+) or BDF(+) recordings, in uV.

    A table lists recordings: `path`, `label`, and if wanted `start` and `end` in seconds (one row per labeled
    stretch), `patient`, `split` and subgroups. A folder holds recordings and such a `labels.csv`.

    Options
        seconds: length of consecutive windows; default: whole stretches, which must then have one length.
        rate: samples per second to resample to. channels: names of channels; default: all in volts.
        path_column, label, patient, split: names of the columns. groups: names of subgroup columns.
        title, licence, citation, source, task, classes, positive: as for all readers.

    Without a patient column, the patient code of the files is used where every file has one, else each file counts as
    one patient.
    """

    name: ClassVar[str] = "edf"
    formats: ClassVar[str] = "EDF and BDF recordings listed in a CSV"

    def accepts(self, path: Path) -> bool:
        table = path / "labels.csv" if path.is_dir() else path
        if path.suffix.lower() in SUFFIXES and path.is_file():
            return True
        if path.is_dir() and not table.is_file():
            return any(each.suffix.lower() in SUFFIXES for each in path.glob("*"))
        if not is_table(table) or "path" not in header(table):
            return False
        cells = read_table(table, rows=1)["path"]
        return len(cells) > 0 and Path(cells[0]).suffix.lower() in SUFFIXES

    def read(
        self,
        path: Path,
        *,
        seconds: float | None = None,
        rate: float | None = None,
        channels: Any = None,
        path_column: str = "path",
        label: str = "label",
        patient: str = "patient",
        split: str = "split",
        groups: Any = None,
        **more: Any,
    ) -> Dataset:
        about = About.taken(more, self.read)
        for key, value in (("seconds", seconds), ("rate", rate)):
            if value is not None:
                number(value, key, 1e-3, 1e6)
        table = path / "labels.csv" if path.is_dir() else path
        if not is_table(table):
            raise DataError(f"labels for {path.name}", "a recording alone", "write labels.csv with 'path' and 'label'")
        frame = read_table(table)
        index = index_of(
            frame, table, name=path_column, label=label, patient=patient, split=split, groups=groups,
            options=("path_column", "label"),
        )  # fmt: skip
        spans = [_span(frame, key, table) for key in ("start", "end")]
        wanted = None if channels is None else words(channels, "channels")
        opened: dict[str, Recording] = {}
        for row, name in enumerate(index.names):
            if name not in opened:
                opened[name] = _opened(table, name, row, wanted).at_rate(rate)
                check_size(sum(each.values.size for each in opened.values()) * 4.0, "recordings")
        found = [opened[name] for name in index.names]
        check_alike(found, "recordings")
        pieces = [
            each.windows(seconds, 0.0 if np.isnan(start) else start, None if np.isnan(end) else end)
            for each, start, end in zip(found, *spans, strict=True)
        ]
        return _assembled(about, path, index, found, pieces)


def _span(frame: Any, key: str, table: Path) -> Array:
    if key not in frame.columns:
        return np.full(len(frame), np.nan)
    values = numbers(frame, key, table.name)
    if (values < 0).any():
        raise DataError(f"times of at least 0 s in column {key!r}", f"{values.min():g}", "correct the table")
    return values


def _opened(table: Path, name: str, row: int, wanted: tuple[str, ...] | None) -> Recording:
    what = f"the recording in line {row + 2} of {table.name}"
    with reading(what):
        target = (table.parent / safe_name(name, what)).resolve()
        if not target.is_relative_to(table.parent.resolve()):
            raise DataError(f"{what} inside its folder", "a link that leads out of it", "copy the file into the folder")
    return read_edf(target, what, wanted)


def _assembled(about: About, path: Path, index: Index, found: list[Recording], pieces: list[Array]) -> Dataset:
    if len({piece.shape[1:] for piece in pieces}) > 1:
        raise DataError("stretches of one length", "several lengths", "set the option 'seconds'")
    inputs = np.concatenate(pieces).astype(np.float32)
    if not len(inputs) or not inputs.shape[2]:
        raise DataError("at least one window", "stretches that are shorter than it", "make 'seconds' smaller")
    keyed = "patient column of the table"
    if index.patients is None:
        codes = [each.patient for each in found]
        known = all(codes)
        keyed = "patient code of the files, as a number" if known else "each file counts as one patient"
        index = Index(index.names, index.cells, codes if known else index.names, index.splits, index.groups)
    many = index.repeated(np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces]))
    low, high = min(each.low for each in found), max(each.high for each in found)
    space = Space("signal", inputs.shape[1:], "uV", low, high, names=found[0].names, rate=found[0].rate)
    return finish(about.card(path, "EDF recordings", keyed=keyed), space, inputs, many, about.encoded(many.cells))

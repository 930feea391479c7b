"""WFDB records: whole records, windows, or annotated heart beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.files.bounds import check_size, reading, safe_name
from titer.cases.files.recording import Recording, check_alike
from titer.cases.files.table import header, is_table, read_table
from titer.cases.files.wfdb import LIMIT_MV, read_record
from titer.cases.files.wfdb_marks import read_beats
from titer.cases.options import number, words
from titer.cases.reader import Reader
from titer.cases.readers._beats import AAMI, cut_beats
from titer.cases.readers._common import About, Index, finish
from titer.cases.readers._index import index_of
from titer.cases.space import Space
from titer.errors import DataError, PlanError


class WfdbRecords(Reader):
    """ECG records in the format of PhysioNet, in mV.

    A table lists records: `record` (path of the header, with or without `.hea`), `label`, and if wanted `patient`,
    `split` and subgroups. A folder holds records and such a `labels.csv`; without one, labels come from header
    comments (option `comment`) or from annotated beats (option `beats`). One `.hea` file works with `beats`.

    Options
        seconds: length of consecutive windows; default: whole records, which must then have one length.
        rate: samples per second to resample to. channels: names of channels; default: all.
        beats: ending of the annotation file, for example "atr": one case per beat, labeled by the classes of
            ANSI/AAMI EC57 (N, S, V, F, Q), `before` (0.4) to `after` (0.6) seconds around its mark.
        comment: label from the header comment that begins with this word, for example "Reason for admission".
        low, high: valid range in mV (-10 to 10).
        record, label, patient, split: names of the columns. groups: names of subgroup columns.
        title, licence, citation, source, task, classes, positive: as for all readers.

    Without a patient column each record counts as one patient, and its windows and beats stay together.
    """

    name: ClassVar[str] = "wfdb_records"
    formats: ClassVar[str] = "WFDB records (.hea with .dat), a folder or a CSV of them"

    def accepts(self, path: Path) -> bool:
        if is_table(path):
            return "record" in header(path)
        if path.is_dir():
            table = path / "labels.csv"
            return ("record" in header(table)) if table.is_file() else any(path.glob("*.hea"))
        return path.suffix.lower() == ".hea" and path.is_file()

    def read(
        self,
        path: Path,
        *,
        seconds: float | None = None,
        rate: float | None = None,
        channels: Any = None,
        beats: str | None = None,
        before: float = 0.4,
        after: float = 0.6,
        comment: str | None = None,
        low: float = -LIMIT_MV,
        high: float = LIMIT_MV,
        record: str = "record",
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
        if table.suffix.lower() != ".hea" and table.is_file():
            frame = read_table(table)
            if beats is not None and label not in frame.columns:
                frame[label] = "beat"
            index = index_of(
                frame, table, name=record, label=label, patient=patient, split=split, groups=groups,
                options=("record", "label"),
            )  # fmt: skip
            lines = [f"line {row + 2} of {table.name}" for row in range(len(index.names))]
            bases = [_base(table.parent, name, line) for name, line in zip(index.names, lines, strict=True)]
        else:
            headers = sorted(path.glob("*.hea")) if path.is_dir() else [path]
            bases = [each.with_suffix("") for each in headers]
            index = Index([base.name for base in bases], [""] * len(bases), None, None, {})
        keyed = "patient column of the table" if index.patients is not None else "each record counts as one patient"
        if index.patients is None:
            index = Index(index.names, index.cells, [str(base) for base in bases], index.splits, index.groups)
        wanted = None if channels is None else words(channels, "channels")
        found = [_opened(base, row, wanted, low, high) for row, base in enumerate(bases)]
        natural = [each.rate for each in found]
        found = [each.at_rate(rate) for each in found]
        check_alike(found, "records")
        if beats is not None:
            pieces, cells = _beat_cases(bases, found, natural, beats, before, after)
        else:
            pieces = [each.windows(seconds) for each in found]
            cells = [[cell] * len(piece) for cell, piece in zip(_cells(index, found, comment), pieces, strict=True)]
        return _assembled(about, path, index, found[0], pieces, cells, keyed, (low, high))


def _opened(base: Path, row: int, wanted: tuple[str, ...] | None, low: float, high: float) -> Recording:
    what = f"record {row + 1}"
    recording = read_record(base, what, number(low, "low", -1e4, 1e4), number(high, "high", -1e4, 1e4))
    return recording if wanted is None else recording.chosen(wanted, what)


def _base(folder: Path, name: str, what: str) -> Path:
    with reading(what):
        target = folder / safe_name(name.removesuffix(".hea"), what)
        if not target.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"a record inside the folder in {what}", "a link that leads out of it", "copy the record")
        return target


def _cells(index: Index, found: list[Recording], comment: str | None) -> list[str]:
    if comment is None:
        if not any(index.cells):
            raise DataError("labels of the records", "none", "add labels.csv, or set the option 'comment' or 'beats'")
        return index.cells
    cells = []
    for row, each in enumerate(found):
        lines = [line.partition(":")[2].strip() for line in each.comments if line.strip().startswith(comment)]
        if not lines or not lines[0]:
            raise DataError(f"a comment {comment!r} in every header", f"none in record {row + 1}", "correct 'comment'")
        cells.append(lines[0])
    return cells


def _beat_cases(
    bases: list[Path], found: list[Recording], natural: list[float], beats: str, before: float, after: float
) -> tuple[list[Array], list[list[str]]]:
    number(before, "before", 0, 10)
    if number(after, "after", 0, 10) + before <= 0:
        raise PlanError("a window longer than 0", "before and after of 0", "correct 'before' and 'after'")
    pieces, cells = [], []
    for row, (base, each) in enumerate(zip(bases, found, strict=True)):
        marks = read_beats(base, beats, f"record {row + 1}")
        windows, kept = cut_beats(each, marks, rate=natural[row], before=before, after=after)
        pieces.append(windows)
        cells.append([AAMI[symbol] for symbol in marks.symbols[kept]])
    return pieces, cells


def _assembled(
    about: About,
    path: Path,
    index: Index,
    first: Recording,
    pieces: list[Array],
    cells: list[list[str]],
    keyed: str,
    ends: tuple[float, float],
) -> Dataset:
    if len({piece.shape[1:] for piece in pieces}) > 1:
        raise DataError("records of one length", "several lengths", "set the option 'seconds'")
    check_size(sum(piece.size for piece in pieces) * 4.0, "records")
    inputs = np.concatenate(pieces).astype(np.float32)
    if not len(inputs):
        raise DataError("at least one window", "records that are shorter than it", "make 'seconds' smaller")
    many = index.repeated(np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces]))
    labels = about.encoded([cell for each in cells for cell in each])
    space = Space("signal", inputs.shape[1:], "mV", ends[0], ends[1], names=first.names, rate=first.rate)
    return finish(about.card(path, "WFDB records", keyed=keyed), space, inputs, many, labels)

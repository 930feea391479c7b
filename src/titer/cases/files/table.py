"""Tables of text: CSV and TSV, plain or compressed."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from titer.cases.case import Array
from titer.cases.files.bounds import MOST_BYTES, check_size, reading
from titer.errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIXES = (".csv", ".tsv", ".txt")
_HEAD = 1 << 18
_OPEN: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


def is_table(path: Path) -> bool:
    """Whether a file is named like a table."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    plain = [suffix for suffix in suffixes if suffix not in _OPEN]
    return path.is_file() and bool(plain) and plain[-1] in SUFFIXES


def read_table(path: Path, *, rows: int | None = None) -> DataFrame:
    """All cells as text; an empty cell is the empty text.

    Arguments
        path: `.csv` (comma or semicolon) or `.tsv`, also with `.gz`, `.xz` or `.bz2`.
        rows: read no more than these.
    """
    import pandas

    what = f"a table ({path.name})"
    with reading(what), _stream(path) as stream:
        data = stream.read(MOST_BYTES + 1) if rows is None else _whole_lines(stream.read(_HEAD))
        check_size(len(data), what)
        text = io.StringIO(data.decode("utf-8-sig"))
        first = text.readline()
        if not first.strip():
            came = "an empty file" if not text.read().strip() else "an empty first line"
            raise DataError(f"a first line of column names in {path.name}", came, "write the table again")
        separator = _separator(first, path)
        _check_names(first, separator, path)
        text.seek(0)
        frame = pandas.read_csv(
            text, sep=separator, dtype=str, keep_default_na=False, nrows=rows, skipinitialspace=True, index_col=False
        )
    frame.columns = [str(name).strip() for name in frame.columns]
    if not len(frame):
        raise DataError(f"cases in {path.name}", "column names alone", "write the table again")
    return frame


def header(path: Path) -> list[str]:
    """Column names."""
    return list(read_table(path, rows=1).columns)


def numbers(frame: DataFrame, column: str, what: str) -> Array:
    """A column as numbers [n]; an empty cell becomes NaN, a word is refused with its line."""
    import pandas

    cells = frame[column].str.strip()
    values = pandas.to_numeric(cells.where(cells != ""), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    blank = cells.str.lower().isin(["", "nan", "na"]).to_numpy()
    wrong = np.flatnonzero(np.isnan(values) & ~blank)
    if len(wrong):
        raise DataError(
            f"numbers in column {column!r} of {what}",
            f"a word in line {wrong[0] + 2} ({len(wrong)} lines in all)",
            "correct the cells, or leave the column out",
        )
    return values


def need(frame: DataFrame, column: str, path: Path, option: str) -> None:
    """Refuse a table without a column; `option` is the reader's option that names it."""
    if column not in frame.columns:
        raise DataError(
            f"a column {column!r} in {path.name}",
            ", ".join(map(str, frame.columns)),
            f"rename the column, or name yours with the option {option!r}",
        )


def _stream(path: Path) -> IO[bytes]:
    opened: IO[bytes] = _OPEN.get(path.suffix.lower(), open)(path, "rb")
    return opened


def _check_names(first: str, separator: str, path: Path) -> None:
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])]
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if not any(names) or twice:
        came = f"{twice[0]!r} twice" if twice else "none"
        raise DataError(f"column names that differ in the first line of {path.name}", came, "correct the first line")


def _whole_lines(data: bytes) -> bytes:
    return data if len(data) < _HEAD else data[: data.rfind(b"\n") + 1]


def _separator(first: str, path: Path) -> str:
    if ".tsv" in [suffix.lower() for suffix in path.suffixes] or ("\t" in first and "," not in first):
        return "\t"
    return ";" if first.count(";") > first.count(",") else ","

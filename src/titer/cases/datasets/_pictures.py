"""Named picture sets whose files are listed in `labels.csv` and lie in `images.zip`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from titer.cases.case import Array
from titer.cases.files.store import Archive
from titer.cases.files.table import read_table
from titer.cases.options import height_width
from titer.cases.readers.images import decode, space_of, stacked
from titer.cases.space import Space


def read_listed(folder: Path, size: object) -> tuple[dict[str, list[str]], Array, Space]:
    """Columns of the table, grey pictures [n, 1, H, W] and their space."""
    frame = read_table(folder / "labels.csv")
    store = Archive(folder / "images.zip")
    names = frame["path"].tolist()
    place: Callable[[int], str] = lambda row: f"the picture in line {row + 2} of labels.csv"  # noqa: E731
    pictures = decode(
        len(names), lambda row: store.read(names[row], place(row)), place, size=height_width(size), color="grey"
    )
    return {str(name): frame[name].tolist() for name in frame.columns}, stacked(pictures), space_of(pictures)

"""The table that lists files, records or notes with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.cases.files.table import need
from titer.cases.options import words
from titer.cases.readers._common import GROUPS, Index
from titer.errors import DataError, PlanError

if TYPE_CHECKING:
    from pandas import DataFrame


def index_of(
    frame: DataFrame,
    path: Path,
    *,
    name: str,
    label: str,
    patient: str,
    split: str,
    groups: Any,
    options: tuple[str, str] = ("path", "label"),
) -> Index:
    """Columns of a table as an index.

    Arguments
        frame: all cells as text. path: where it came from, for messages.
        name, label: columns that must be there. patient, split: columns that may be there.
        groups: names of subgroup columns; None takes those of `GROUPS` that are there.
        options: names of the options behind `name` and `label`, for messages.
    """
    need(frame, name, path, options[0])
    need(frame, label, path, options[1])
    if not len(frame):
        raise DataError(f"at least one row in {path.name}", "none", "check the table")
    if patient != "patient":
        need(frame, patient, path, "patient")
    if split != "split":
        need(frame, split, path, "split")
    return Index(
        frame[name].tolist(),
        frame[label].tolist(),
        frame[patient].tolist() if patient in frame.columns else None,
        frame[split].tolist() if split in frame.columns else None,
        group_columns(frame, groups, path),
    )


def group_columns(frame: DataFrame, groups: Any, path: Path) -> dict[str, list[str]]:
    """Subgroup columns as words; a missing one is refused."""
    if groups is None:
        return {name: frame[name].tolist() for name in frame.columns if name.lower() in GROUPS}
    if groups in ([], ()):
        return {}
    for name in words(groups, "groups"):
        if name not in frame.columns:
            raise PlanError(f"'groups' among the columns of {path.name}", repr(name), ", ".join(frame.columns))
    return {name: frame[name].tolist() for name in words(groups, "groups")}

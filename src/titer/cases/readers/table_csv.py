"""Measurements in a table: one row per case, one number per feature."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.files.table import header, is_table, need, numbers, read_table
from titer.cases.options import one_of, words
from titer.cases.reader import Reader
from titer.cases.readers._common import About, finish
from titer.cases.readers._index import index_of
from titer.cases.space import Space
from titer.errors import DataError, PlanError

if TYPE_CHECKING:
    from pandas import DataFrame

_UNIT = re.compile(r"^(.*?)\s*[\[(]([^\])]+)[\])]\s*$")
# One unit cannot stand for age in years and potassium in mmol/l; each feature's own stands in its name.
MIXED = "unit of the feature"


class TableCsv(Reader):
    """Numbers with labels: a column `label`, features, and if wanted `patient`, `split` and subgroups.

    A column name may end with the unit, for example `age [years]`. Limits are in standard deviations of each feature.
    A feature's range is what occurs in the table unless `range` says otherwise: an attacker may then write no value
    that the table does not know.

    Options
        features: names of columns; default: all others that hold numbers alone.
        range: feature -> [low, high], in its unit.
        missing: "refuse" (default) or "drop" rows with empty cells.
        label, patient, split: names of the columns. groups: names of subgroup columns.
        task: "classes", "anomaly", or "regression" of the label.
        title, licence, citation, source, classes, positive: as for all readers.
    """

    name: ClassVar[str] = "table_csv"
    formats: ClassVar[str] = "CSV or TSV of measurements, also .gz and .xz"

    def accepts(self, path: Path) -> bool:
        names = set(header(path)) if is_table(path) else set()
        return "label" in names and not names & {"path", "record", "text"}

    def read(
        self,
        path: Path,
        *,
        features: Any = None,
        range: Any = None,  # noqa: A002 - the word that plans use
        missing: str = "refuse",
        label: str = "label",
        patient: str = "patient",
        split: str = "split",
        groups: Any = None,
        **more: Any,
    ) -> Dataset:
        about = About.taken(more, self.read)
        one_of(missing, "missing", ("refuse", "drop"))
        frame = read_table(path)
        need(frame, label, path, "label")
        given = None if groups is None else ([] if groups in ([], ()) else list(words(groups, "groups")))
        others = {label, patient, split, *(given or [])}
        names = _features(frame, features, others, path)
        values = np.stack([numbers(frame, name, path.name) for name in names], axis=1)
        whole = np.isfinite(values).all(axis=1)
        if not whole.all():
            if missing == "refuse":
                row, column = np.argwhere(~np.isfinite(values))[0]
                raise DataError(
                    f"a number in every cell of {path.name}",
                    f"none in line {row + 2}, column {names[column]!r} ({(~whole).sum()} rows)",
                    "fill the cells, or set the option missing: drop",
                )
            frame, values = frame[whole], values[whole]
        index = index_of(
            frame, path, name=label, label=label, patient=patient, split=split, groups=groups,
            options=("label", "label"),
        )  # fmt: skip
        keyed = "patient column of the table" if index.patients is not None else ""
        space = table_space(values, names, range or {})
        labels = about.encoded(index.cells, quantity=label)
        card = about.card(path, "measurements", keyed=keyed)
        return finish(card, space, values.astype(np.float32), index, labels)


def table_space(values: Array, names: list[str], ranges: Any) -> Space:
    """Features with their range and standard deviation; a feature that never changes is refused."""
    if not isinstance(ranges, dict) or any(name not in names for name in ranges):
        raise PlanError(f"'range' of features {', '.join(names)}", repr(ranges), "write {feature: [low, high]}")
    spread = values.std(axis=0)
    if (spread <= 0).any():
        raise DataError(
            "features that differ between cases",
            f"{names[int(np.argmin(spread))]!r} never does",
            "leave it out of 'features'",
        )
    # A margin of one part in a million keeps values inside when they are stored in single precision.
    margin = 1e-6 * np.maximum(np.abs(values).max(axis=0), spread)
    low, high = values.min(axis=0) - margin, values.max(axis=0) + margin
    for name, ends in ranges.items():
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise PlanError(f"[low, high] for feature {name!r}", repr(ends), "correct 'range'")
        low[names.index(name)], high[names.index(name)] = float(ends[0]), float(ends[1])
    units = {match.group(2) for name in names if (match := _UNIT.match(name))}
    bare = not all(_UNIT.match(name) for name in names)
    return Space(
        "table",
        (len(names),),
        units.pop() if len(units) == 1 and not bare else MIXED,
        tuple(map(float, low)),
        tuple(map(float, high)),
        tuple(map(float, spread)),
        "SD",
        tuple(names),
    )


def _features(frame: DataFrame, wanted: Any, others: set[str], path: Path) -> list[str]:
    if wanted is not None:
        names = list(words(wanted, "features"))
        for name in names:
            need(frame, name, path, "features")
        return names
    names = []
    for name in frame.columns:
        if name in others or name.lower() in ("id", "row", "index", "case"):
            continue
        try:
            values = numbers(frame, name, path.name)
        except DataError:
            continue
        if np.isfinite(values).any() and np.nanstd(values) > 0:
            names.append(name)
    if not names:
        raise DataError(f"columns of numbers in {path.name}", ", ".join(frame.columns), "name them in 'features'")
    return names

"""Refusals shared by all routines: shapes, kinds and ranges, before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from titer.errors import DataError, PlanError

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]


def floats(name: str, values: npt.ArrayLike, *, at_least: int = 1) -> Floats:
    """A finite one-dimensional column of at least so many numbers."""
    column = _numeric(name, values)
    if column.ndim != 1:
        raise DataError(
            f"{name} as one number per case", f"an array of shape {column.shape}", "pass one one-dimensional column"
        )
    if column.size < at_least:
        raise DataError(f"at least {at_least} values of {name}", f"{column.size}", "add cases or trials")
    if not np.isfinite(column).all():
        bad = int(np.flatnonzero(~np.isfinite(column))[0])
        raise DataError(f"finite {name}", f"{column[bad]} at position {bad}", "remove or repair that entry")
    return column


def bools(name: str, values: npt.ArrayLike) -> Bools:
    """A one-dimensional column of yes or no, given as booleans or as 0 and 1."""
    column = np.asarray(values)
    if column.ndim != 1:
        raise DataError(
            f"{name} as one yes or no per case", f"an array of shape {column.shape}", "pass one one-dimensional column"
        )
    if column.dtype == np.bool_:
        return column
    wrong = [value for value in np.unique(column).tolist() if value not in (0, 1)]
    if wrong:
        raise DataError(
            f"{name} as booleans or 0 and 1", f"the value {wrong[0]!r}", "compare with a class or threshold"
        )
    return np.asarray(column == 1)


def labels(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """A one-dimensional column of class or patient labels of any kind that can be compared."""
    column = np.asarray(values)
    if column.ndim != 1 or column.size == 0:
        raise DataError(
            f"{name} as one label per case", f"an array of shape {column.shape}", "pass one one-dimensional column"
        )
    return column


def same_length(**columns: npt.NDArray[Any]) -> int:
    """The number of cases, which all columns must share."""
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{size} of {name}" for name, size in sizes.items())
        raise DataError("columns with one entry per case each", listed, "pass columns of the same cases")
    return next(iter(sizes.values()))


def table(values: npt.ArrayLike) -> Floats:
    """A complete table of outcomes, trials down and methods across: at least 2 of each."""
    cells = _numeric("the table", values)
    if cells.ndim != 2 or min(cells.shape) < 2:
        raise DataError(
            "a table of at least 2 trials (rows) by 2 methods (columns)",
            f"shape {cells.shape}",
            "run more trials, or compare two columns with a paired test",
        )
    if not np.isfinite(cells).all():
        trial, method = np.argwhere(~np.isfinite(cells))[0]
        raise DataError(
            "a table without missing cells",
            f"{cells[trial, method]} in trial {trial}, method {method}",
            "use the mixed model when cells are missing",
        )
    return cells


def method_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The names as given, or 'method 1', 'method 2' and so on."""
    if names is None:
        return tuple(f"method {position + 1}" for position in range(count))
    if len(names) != count or len(set(names)) != count:
        raise DataError(f"{count} distinct names", f"{list(names)!r}", "give one name per column")
    return tuple(names)


def fraction(name: str, value: float) -> float:
    """A number strictly between 0 and 1, such as a confidence or a significance level."""
    if not 0.0 < value < 1.0:
        raise PlanError(f"{name} strictly between 0 and 1", f"{value}", "give 0.95 for 95 %")
    return float(value)


def _numeric(name: str, values: npt.ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"numbers for {name}", str(error), "pass a rectangular array of numbers") from error

"""Refusals shared by all routines: shapes, kinds and ranges, before any work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from titer.errors import DataError, PlanError

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]

INDEPENDENT = "assumes independent trials"


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


def groups(outcomes: Mapping[str, npt.ArrayLike]) -> tuple[tuple[str, ...], list[Floats]]:
    """The names of at least two methods, and each one's trials; the numbers of trials may differ."""
    names = tuple(outcomes)
    if len(names) < 2:
        raise DataError("at least two methods to compare", f"{list(names)!r}", "pass {name: outcomes of its trials}")
    return names, [floats(f"outcomes of {name!r}", outcomes[name], at_least=2) for name in names]


def summary(means: npt.ArrayLike, sds: npt.ArrayLike, n: int | Sequence[int]) -> tuple[Floats, Floats, Floats]:
    """Means, standard deviations and numbers of trials (methods,) of a published table."""
    mean, sd = floats("means", means, at_least=2), floats("sds", sds, at_least=2)
    size = _numeric("n", n)
    size = np.full(mean.size, size) if size.ndim == 0 else size
    same_length(means=mean, sds=sd, n=size)
    if sd.min() < 0 or size.min() < 2:
        raise DataError("standard deviations >= 0 of at least 2 trials", f"sds {sd}, n {size}", "check the table")
    return mean, sd, size


def blocks(outcomes: Mapping[str, npt.ArrayLike]) -> tuple[tuple[str, ...], Floats]:
    """The names of the methods and the complete table (trials, methods) of methods that share their trials."""
    names, columns = groups(outcomes)
    sizes = {name: column.size for name, column in zip(names, columns, strict=True)}
    if len(set(sizes.values())) > 1:
        raise DataError(
            "the same trials for every method",
            f"{sizes}",
            "use the mixed model when some trials of a method are missing",
        )
    return names, np.column_stack(columns)


def sparse_blocks(outcomes: Mapping[str, npt.ArrayLike]) -> tuple[tuple[str, ...], Floats]:
    """Like `blocks`, with NaN in cells that are missing; every method has at least one outcome."""
    names = tuple(outcomes)
    columns = [_numeric(f"outcomes of {name!r}", outcomes[name]) for name in names]
    shapes = {name: column.shape for name, column in zip(names, columns, strict=True)}
    if len(names) < 2 or len(set(shapes.values())) > 1 or columns[0].ndim != 1:
        raise DataError(
            "at least two methods with one entry per trial each", f"{shapes}", "put NaN where an outcome is missing"
        )
    table = np.column_stack(columns)
    if np.isinf(table).any():
        raise DataError("finite outcomes or NaN", "an infinite one", "remove or repair that entry")
    empty = [name for name, column in zip(names, columns, strict=True) if np.isnan(column).all()]
    if empty:
        raise DataError("at least one outcome of every method", f"none of {empty[0]!r}", "leave that method out")
    return names, table


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

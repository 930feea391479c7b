"""Words of a table as targets, patient codes and parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import TaskKind
from titer.errors import DataError, PlanError

# Labels that mean "no disease" in public data sets, in small letters without signs.
HEALTHY = frozenset(
    {"normal", "healthy", "negative", "control", "controls", "benign", "none", "no", "absent", "nofinding", "notumor",
     "nodisease", "nolesion", "norm", "0", "0.0"}
)  # fmt: skip
_PARTS = {
    "train": "train", "training": "train", "development": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
MOST_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Labels:
    """Targets with the names behind them; see `titer.cases.dataset.Dataset`."""

    task: TaskKind
    targets: Array
    classes: tuple[str, ...]
    positive: tuple[int, ...]


def is_healthy(label: str) -> bool:
    """Whether a label says that there is no disease.

    >>> is_healthy("No Finding"), is_healthy("pneumonia")
    (True, False)
    """
    return "".join(ch for ch in label.lower() if ch.isalnum() or ch == ".") in HEALTHY


def encode(
    cells: Sequence[str],
    *,
    task: TaskKind = "classes",
    classes: tuple[str, ...] | None = None,
    positive: tuple[str, ...] | None = None,
    quantity: str = "value",
) -> Labels:
    """Targets from words.

    Arguments
        cells: one label per case; for "multilabel" findings joined by `|`; for "regression" a number.
        task: "classes", "multilabel", "regression", or "anomaly" (healthy labels are 0, all others 1).
        classes: names in the wanted order; labels outside are refused. Default: those that occur, sorted.
        positive: names that mean disease. Default: all but those that mean health (normal, healthy, no finding ...),
            where there is such a label, else none.
        quantity: for "regression", what is predicted.

    >>> encode(["normal", "pneumonia", "normal"])
    Labels(task='classes', targets=array([0, 1, 0]), classes=('normal', 'pneumonia'), positive=(1,))
    """
    stripped = [str(cell).strip() for cell in cells]
    empty = [row for row, cell in enumerate(stripped) if not cell]
    if empty and task != "multilabel":
        raise DataError("a label for every case", f"none for case {empty[0]} ({len(empty)} in all)", "add or drop them")
    if task == "regression":
        return Labels(task, _numbers(stripped), (quantity,), ())
    if task == "anomaly":
        return _anomaly(stripped, positive)
    if task == "multilabel":
        return _findings(stripped, classes)
    names = _names(stripped, classes)
    index = {name: number for number, name in enumerate(names)}
    targets = np.array([index[cell] for cell in stripped], dtype=np.int64)
    return Labels(task, targets, names, _positive(names, positive))


def patient_codes(keys: Sequence[str] | Array) -> Array:
    """Whole numbers that equal keys share; the keys themselves are given up.

    >>> patient_codes(["P7", "P3", "P7"])
    array([1, 0, 1])
    """
    words = np.asarray([str(key).strip() for key in keys])
    if (words == "").any():
        row = int(np.flatnonzero(words == "")[0])
        raise DataError("a patient key for every case", f"none for case {row}", "fill the column, or leave it out")
    return np.unique(words, return_inverse=True)[1].astype(np.int64)


def parts(cells: Sequence[str], what: str) -> Array:
    """Names of parts as "train", "validation" and "test", from the usual spellings; an empty cell stays out of all.

    >>> parts(["train", "val", "TEST"], "a table").tolist()
    ['train', 'validation', 'test']
    """
    found = []
    for row, cell in enumerate(cells):
        word = str(cell).strip().lower()
        if word and word not in _PARTS:
            raise DataError(f"train, val or test as parts of {what}", f"{word!r} for case {row}", "rename the part")
        found.append(_PARTS.get(word, ""))
    return np.array(found, dtype="U10")


def is_part(word: str) -> bool:
    """Whether a folder is named like a part of a split."""
    return word.lower() in _PARTS


def _names(cells: Sequence[str], classes: tuple[str, ...] | None) -> tuple[str, ...]:
    found = set(cells)
    if classes is not None:
        outside = sorted(found - set(classes))
        if outside:
            raise DataError(f"labels among {', '.join(classes)}", repr(outside[0]), "correct 'classes' or the labels")
        return classes
    if len(found) < 2:
        raise DataError("at least two classes", f"only {', '.join(found) or 'none'}", "check the column of labels")
    if len(found) > MOST_CLASSES:
        raise DataError(
            f"at most {MOST_CLASSES} classes",
            f"{len(found)} different labels",
            "check the column of labels, or set task: regression",
        )
    try:
        return tuple(sorted(found, key=float))
    except ValueError:
        return tuple(sorted(found))


def _positive(names: tuple[str, ...], positive: tuple[str, ...] | None) -> tuple[int, ...]:
    if positive is None:
        sick = tuple(number for number, name in enumerate(names) if not is_healthy(name))
        return sick if len(sick) < len(names) else ()
    wrong = [name for name in positive if name not in names]
    if wrong:
        raise PlanError(f"'positive' among {', '.join(names)}", repr(wrong[0]), "correct 'positive'")
    return tuple(number for number, name in enumerate(names) if name in positive)


def _anomaly(cells: list[str], positive: tuple[str, ...] | None) -> Labels:
    sick = [cell in positive if positive is not None else not is_healthy(cell) for cell in cells]
    if all(sick):
        raise DataError(
            "cases labeled normal, to learn from",
            f"only {', '.join(sorted(set(cells))[:5])}",
            "name the anomalies in 'positive'",
        )
    return Labels("anomaly", np.array(sick, dtype=np.int64), ("normal", "abnormal"), (1,))


def _findings(cells: list[str], classes: tuple[str, ...] | None) -> Labels:
    sets = [{part.strip() for part in cell.split("|") if part.strip() and not is_healthy(part)} for cell in cells]
    found = set().union(*sets)
    names = classes if classes is not None else tuple(sorted(found))
    outside = sorted(found - set(names))
    if outside or not names:
        raise DataError(
            f"findings among {', '.join(names) or 'at least one'}",
            repr(outside[0]) if outside else "none",
            "correct 'classes' or the labels",
        )
    targets = np.array([[name in each for name in names] for each in sets], dtype=np.int64)
    return Labels("multilabel", targets, names, tuple(range(len(names))))


def _numbers(cells: list[str]) -> Array:
    try:
        values = np.array([float(cell) for cell in cells], dtype=np.float64)
    except ValueError as error:
        raise DataError(
            "numbers to predict", "a word among the labels", "correct the column, or set task: classes"
        ) from error
    return values

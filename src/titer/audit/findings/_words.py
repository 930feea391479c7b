"""Words and columns that findings, traps and pictures share: limits as people say them, right answers per trial."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from titer.audit.limits import Radius
from titer.audit.report.formats import spoken
from titer.audit.results import CellResults
from titer.audit.table import Array


def limit_words(radius: Radius) -> str:
    """A limit with its unit.

    >>> limit_words(Radius(0.05, "0.05", "mV")), limit_words(Radius(9.0, "2 %", "values"))
    ('0.05 mV', '2 % of values')
    """
    share = radius.label.endswith("%")
    return f"{radius.label} of {radius.unit}" if share else f"{radius.label} {spoken(radius.unit)}".strip()


def where(cell: CellResults) -> str:
    """A cell in words: model, attack, limit, threat."""
    return f"{cell.subject.name}, {cell.attack} at {limit_words(cell.radius)} ({cell.threat.id})"


def elsewhere(names: Sequence[str]) -> str:
    """Why nothing can be said about the training cases of models that were handed over.

    >>> elsewhere(["A"])
    'A was trained elsewhere; Titer cannot know on which cases.'
    """
    verb = "was" if len(names) == 1 else "were"
    return f"{' and '.join(names)} {verb} trained elsewhere; Titer cannot know on which cases."


def outcome(cell: CellResults) -> str:
    """What the share of right answers is called for the task of a cell."""
    return {
        "regression": "the share of answers within tolerance",
        "multilabel": "the share of cases with all findings right",
        "segmentation": "the share of maps that reach the tolerance",
    }.get(cell.task.kind, "accuracy")


def percent_before(cell: CellResults) -> Array:
    """[trials] percentage of right answers before the attack."""
    return np.array([100.0 * float(trial.right_before.mean()) for trial in cell.trials])


def percent_after(cell: CellResults) -> Array:
    """[trials] percentage of right answers under attack."""
    return np.array([100.0 * float(trial.right_after.mean()) for trial in cell.trials])


def seeds(cell: CellResults) -> tuple[int, ...]:
    """The trials of a cell, by seed."""
    return tuple(trial.trial.seed for trial in cell.trials)


def finite(value: float) -> float | None:
    """A number that JSON can carry; None where none exists.

    >>> finite(float("nan")), finite(2.0)
    (None, 2.0)
    """
    return float(value) if math.isfinite(value) else None


def reach(low: float, high: float) -> dict[str, float | None]:
    """The ends of an interval as a report carries them; none where it does not exist or has no width.

    >>> reach(0.0, 2.0), reach(1.0, 1.0)
    ({'low': 0.0, 'high': 2.0}, {'low': None, 'high': None})
    """
    known = math.isfinite(low) and math.isfinite(high) and low < high
    return {"low": float(low) if known else None, "high": float(high) if known else None}


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "case"), counted(3, "case")
    ('1 case', '3 cases')
    """
    return f"{n:,} {noun if n == 1 else noun + 's'}"

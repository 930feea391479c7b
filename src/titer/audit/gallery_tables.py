"""Rows of a table: the most changed features."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.audit.report.schema import FeatureRow
from titer.audit.table import Array
from titer.cases.readers.table_csv import MIXED
from titer.cases.space import Space

MOST_FEATURES = 12


def table_fields(clean: Array, attacked: Array, space: Space) -> tuple[dict[str, Any], str]:
    """Fields of a `TableItem`, and what the caption must add: the most changed features, in units of their scale.

    Arguments
        clean, attacked: [D] in the unit of the space.
    """
    before, after = clean.astype(np.float64), attacked.astype(np.float64)
    moved = np.abs(after - before) / space.per_channel(space.scale)
    order = np.argsort(-moved, kind="stable")
    shown = [int(k) for k in order if moved[k] > 0][:MOST_FEATURES] or [int(k) for k in order[:MOST_FEATURES]]
    names = space.names or tuple(f"feature {k + 1}" for k in range(space.shape[0]))
    # One word for the units of all features says nothing about any of them.
    unit = "" if space.unit == MIXED else space.unit
    scaled = space.radius_unit != space.unit
    steps = (after - before) / space.per_channel(space.scale)
    rows = tuple(
        FeatureRow(
            feature=names[k], unit=unit, clean=_short(before[k]), adversarial=_short(after[k]),
            moved=_short(steps[k]) if scaled else None, moved_unit=space.radius_unit if scaled else "",
        )
        for k in shown
    )  # fmt: skip
    changed = int((moved > 0).sum())
    more = f"Shown: {len(rows)} of {space.shape[0]} features, most changed first; {changed} changed."
    return {"kind": "table", "rows": rows}, more


def _short(value: float) -> float:
    return float(f"{float(value):.5g}")

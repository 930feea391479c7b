"""Rows of a table: the most changed features."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.audit.report.schema import FeatureRow
from titer.audit.table import Array
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
    rows = tuple(
        FeatureRow(feature=names[k], unit=space.unit, clean=_short(before[k]), adversarial=_short(after[k]))
        for k in shown
    )
    changed = int((moved > 0).sum())
    more = f"Shown: {len(rows)} of {space.shape[0]} features, most changed first; {changed} changed."
    return {"kind": "table", "rows": rows}, more


def _short(value: float) -> float:
    return float(f"{float(value):.5g}")

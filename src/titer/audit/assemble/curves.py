"""Robustness over growing limits: one curve per attack, and the worst case over all attacks."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from titer.audit.assemble.numbers import Array, share
from titer.audit.report.schema import Curve, CurvePoint, Limit, Measure
from titer.audit.results import CellResults, Results


def limit_of(cell: CellResults) -> Limit:
    """The radius of a cell as the report writes it."""
    return Limit(value=cell.radius.value, unit=cell.radius.unit, label=cell.radius.label)


def curves(results: Results, threat_names: dict[tuple[int, str], str]) -> tuple[Curve, ...]:
    """Curves of every model under every threat; the envelope counts a case as lost once any attack at any radius up
    to there has fooled the model, because a small change is also within a larger limit.
    """
    made = []
    for number in range(len(results.prepared.plan.subjects)):
        cells = results.of(number)
        for threat_id, group in groupby(sorted(cells, key=lambda c: c.threat.id), key=lambda c: c.threat.id):
            members = list(group)
            threat = threat_names[number, threat_id]
            for attack in dict.fromkeys(cell.attack for cell in members):
                made.append(_one(results, [c for c in members if c.attack == attack], attack, threat))
            made.append(_envelope(results, [c for c in members if not c.control], threat))
    return tuple(made)


def _one(results: Results, cells: list[CellResults], attack: str, threat: str) -> Curve:
    ordered = sorted(cells, key=lambda c: c.radius.value)
    points = [_start(results, ordered[0])]
    for cell in ordered:
        hit = cell.pooled(lambda t: t.right_after)
        points.append(CurvePoint(limit=limit_of(cell), measure=_share(results, cell, hit), cell=cell.name))
    lost = [~cell.pooled(lambda t: t.right_after) for cell in ordered]
    return Curve(
        model=ordered[0].subject.name,
        dataset=ordered[0].dataset.card.name,
        attack=attack,
        threat=threat,
        measure=_measured(ordered[0]),
        points=tuple(_rising(points)),
        median_minimal_radius=_median(ordered, lost),
    )


def _envelope(results: Results, cells: list[CellResults], threat: str) -> Curve:
    radii = sorted({cell.radius.value for cell in cells})
    first = cells[0]
    points = [_start(results, first)]
    lost = ~first.pooled(lambda t: t.right_before)
    history, ordered = [], []
    for radius in radii:
        here = [cell for cell in cells if cell.radius.value == radius]
        for cell in here:
            lost = lost | ~cell.pooled(lambda t: t.right_after)
        history.append(lost.copy())
        ordered.append(here[0])
        points.append(CurvePoint(limit=limit_of(here[0]), measure=_share(results, here[0], ~lost)))
    return Curve(
        model=first.subject.name,
        dataset=first.dataset.card.name,
        attack="worst case",
        threat=threat,
        envelope=True,
        measure=_measured(first),
        points=tuple(_rising(points)),
        median_minimal_radius=_median(ordered, history),
    )


def _measured(cell: CellResults) -> str:
    return {
        "regression": "share within tolerance",
        "multilabel": "share with all findings right",
        "segmentation": "share of maps that reach the tolerance",
    }.get(cell.task.kind, "robust accuracy")


def _start(results: Results, cell: CellResults) -> CurvePoint:
    unit = cell.radius.unit
    clean = _share(results, cell, cell.pooled(lambda t: t.right_before))
    return CurvePoint(limit=Limit(value=0.0, unit=unit, label="0"), measure=clean)


def _rising(points: list[CurvePoint]) -> list[CurvePoint]:
    """Without a radius of 0 run by the plan beside the clean point."""
    return [point for place, point in enumerate(points) if place == 0 or point.limit.value > 0] or points[:1]


def _share(results: Results, cell: CellResults, hit: Array) -> Measure:
    found = share(hit, cell.pooled(lambda t: t.patients), results.prepared.plan.resamples)
    return found or Measure(value=0.0, n=0, method="no cases")


def _median(cells: list[CellResults], lost: list[Array]) -> Measure | None:
    """Median over initially right cases of the smallest radius that fooled the model; None if most withstood all."""
    right = cells[0].pooled(lambda t: t.right_before)
    smallest = np.full(len(right), np.inf)
    for cell, gone in zip(reversed(cells), reversed(lost), strict=True):
        smallest[gone] = cell.radius.value
    kept = np.sort(smallest[right])
    if len(kept) == 0 or not np.isfinite(kept[len(kept) // 2]):
        return None
    from scipy.stats import binom

    first, last = (int(binom.ppf(q, len(kept), 0.5)) for q in (0.025, 0.975))
    top, value = kept[min(last, len(kept) - 1)], float(kept[len(kept) // 2])
    # A case that falls at a radius tried may have fallen anywhere above the next smaller one.
    tried = [0.0, *(cell.radius.value for cell in cells)]
    below = max((radius for radius in tried if radius < kept[max(first - 1, 0)]), default=0.0)
    ends = {"low": below, "high": float(top)} if np.isfinite(top) else {}
    return Measure(
        value=value, n=len(kept), unit=cells[0].radius.unit, **ends,
        method=f"smallest of {len(cells)} radii tried; order-statistic interval, from the next smaller radius on",
    )  # fmt: skip

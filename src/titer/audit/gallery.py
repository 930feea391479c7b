"""The gallery: single cases before and after, one kind of item for each kind of input.

For every model and threat, at the main limit: cases that the strongest attack of the first trial turned from right
to wrong. Items carry no name, number or group of a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from titer.audit.gallery_images import picture_fields
from titer.audit.gallery_notes import note_fields
from titer.audit.gallery_signals import signal_fields
from titer.audit.gallery_tables import table_fields
from titer.audit.gallery_words import caption, prediction, truth
from titer.audit.report.schema import GalleryItem, ImageItem, Limit, NoteItem, SignalItem, TableItem
from titer.audit.results import CellResults, Measured, Results
from titer.audit.table import Array
from titer.audit.withhold import shared_words
from titer.errors import StoreError


def gallery(results: Results) -> tuple[GalleryItem, ...]:
    """Cases of every model and threat, at most as many as the plan's `gallery` says.

    Changes that no real input can have (embeddings) are left out, and so are threats under which no case was turned.
    Equal results give equal bytes. Refuses pictures whose bytes do not fit their stated shape (StoreError).
    """
    items: list[GalleryItem] = []
    for number in range(len(results.prepared.plan.subjects)):
        threats: dict[str, list[CellResults]] = {}
        for cell in results.of(number):
            if cell.is_main and not cell.control and cell.threat.change.exact:
                threats.setdefault(cell.threat.id, []).append(cell)
        for cells in threats.values():
            items.extend(_of_threat(cells, results.prepared.plan.gallery))
    return tuple(items)


def _of_threat(cells: list[CellResults], most: int) -> list[GalleryItem]:
    """Items of the strongest attack that has pictures."""
    for cell in sorted(cells, key=lambda cell: -int(cell.trials[0].after["fooled"].sum())):
        shown = [item for row in _pictured(cell.trials[0]) if (item := _item(cell, row)) is not None][:most]
        if shown:
            return shown
    return []


def _pictured(trial: Measured) -> Iterator[int]:
    pictures = trial.after.columns.get("picture")
    for row in range(0 if pictures is None else len(pictures)):
        if pictures is not None and pictures[row] is not None:
            yield row


def _item(cell: CellResults, row: int) -> GalleryItem | None:
    """One case; None where there is nothing to show (a note without words)."""
    trial, space = cell.trials[0], cell.dataset.space
    clean = cell.dataset.cases.inputs[trial.before["row"][row]]
    attacked = attacked_case(trial, row)
    common: dict[str, Any] = {
        "cell": cell.name,
        "unit": space.unit,
        "true_label": truth(trial.task, trial.targets[row]),
        "clean": prediction(trial.task, trial.before["scores"][row]),
        "adversarial": prediction(trial.task, trial.after["scores"][row]),
        "cost": float(f"{float(trial.after['cost'][row]):.6g}"),
        "limit": Limit(value=cell.radius.value, unit=cell.radius.unit, label=cell.radius.label),
    }
    if space.kind in ("image", "volume"):
        fields, more = picture_fields(clean, attacked, space, _maps(cell, row))
        return ImageItem(**common, caption=caption(cell, more), **fields)
    if space.kind == "signal":
        fields, more = signal_fields(clean, attacked, space)
        return SignalItem(**common, caption=caption(cell, more), **fields)
    if space.kind == "table":
        fields, more = table_fields(clean, attacked, space)
        return TableItem(**common, caption=caption(cell, more), **fields)
    tokens = note_fields(clean, attacked, space, shared_words(cell.dataset))
    return None if tokens is None else NoteItem(**common, caption=caption(cell, ""), **tokens)


def _maps(cell: CellResults, row: int) -> tuple[Array, Array, Array] | None:
    """True map, and what the model marked before and after; None for answers that are no maps."""
    trial = cell.trials[0]
    if "map" not in trial.after.columns:
        return None
    true = cell.dataset.cases.targets[trial.before["row"][row]]
    said = []
    for name in ("map_clean", "map"):
        raw = trial.after[name][row]
        if len(raw) != true.size:
            raise StoreError(f"a map of {true.size} bytes", f"{len(raw)} bytes", "delete the result and run again")
        said.append(np.frombuffer(raw, dtype=np.uint8).reshape(true.shape))
    return true, said[0], said[1]


def attacked_case(trial: Measured, row: int) -> Array:
    """The attacked case that a result table keeps, in the shape of its space."""
    facts, raw = trial.after.facts, trial.after["picture"][row]
    kind, shape = np.dtype(facts["dtype"]), tuple(facts["shape"])
    if kind.kind not in "fiu" or len(raw) != kind.itemsize * int(np.prod(shape)):
        raise StoreError(
            f"an attacked case of shape {list(shape)} in {kind}", f"{len(raw)} bytes", "delete the result and run again"
        )
    return np.frombuffer(raw, dtype=kind).reshape(shape)

"""Single cases before and after, as much as fits."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from titer.audit.report.charts.strips import MOST_CHANNELS, strip_chart
from titer.audit.report.formats import limit_text, significant
from titer.audit.report.schema import (
    Draft,
    FeatureRow,
    GalleryItem,
    ImageItem,
    NoteItem,
    Prediction,
    SignalItem,
    TableItem,
)
from titer.audit.report.view.table import Column, Entry, Group, Table, head


@dataclass(frozen=True)
class CaseView:
    """One gallery item, ready to be laid out."""

    item: GalleryItem
    anchor: str
    title: str
    before: str
    after: str
    cost: str
    magnified: str = ""
    chart: Markup | None = None
    hidden_channels: int = 0
    table: Table | None = None


def cases(report: Draft, *, room: int) -> tuple[tuple[CaseView, ...], int]:
    """The cases that fit into a number of bytes, in order, and how many do not."""
    cells = {cell.id: cell for cell in report.cells}
    made: list[CaseView] = []
    for index, item in enumerate(report.gallery):
        room -= _weight(item)
        if room < 0:
            break
        cell = cells[item.cell]
        title = f"{cell.model} under {cell.attack} at {limit_text(item.limit)}"
        made.append(_view(index, item, title))
    return tuple(made), len(report.gallery) - len(made)


def _weight(item: GalleryItem) -> int:
    """About how many bytes the item takes on the page."""
    if isinstance(item, ImageItem):
        drawn = item.outlines
        more = 0 if drawn is None else len(drawn.clean_png) + len(drawn.adversarial_png)
        return len(item.clean_png) + len(item.perturbation_png) + len(item.adversarial_png) + more + 2000
    if isinstance(item, SignalItem):
        return 45_000 * min(len(item.channels), MOST_CHANNELS)
    if isinstance(item, NoteItem):
        return sum(len(token.text) + len(token.replacement or "") + 90 for token in item.tokens)
    return 600 * len(item.rows) + 2000


def _view(index: int, item: GalleryItem, title: str) -> CaseView:
    anchor = f"case-{index}"
    cost = _cost(item)
    before, after = _said(item.clean), _said(item.adversarial)
    if isinstance(item, SignalItem):
        chart = strip_chart(item, name=f"strip-{index}")
        hidden = max(0, len(item.channels) - MOST_CHANNELS)
        factor = significant(item.perturbation_scale)
        return CaseView(item, anchor, title, before, after, cost, factor, chart, hidden)
    if isinstance(item, TableItem):
        return CaseView(item, anchor, title, before, after, cost, table=_rows(index, item))
    magnified = significant(item.perturbation_scale) if isinstance(item, ImageItem) else ""
    return CaseView(item, anchor, title, before, after, cost, magnified)


def _cost(item: GalleryItem) -> str:
    """How much of the limit was used."""
    if item.cost is None or item.limit.value == 0:
        return ""
    return f"{100 * item.cost / item.limit.value:.0f}% of the limit, {limit_text(item.limit)}"


def _said(prediction: Prediction) -> str:
    if prediction.confidence is None:
        return prediction.label
    return f"{prediction.label} ({100 * prediction.confidence:.1f}%)"


def _difference(row: FeatureRow) -> str:
    """How a feature changed: by how much, or that it did."""
    if row.clean == row.adversarial:
        return "unchanged"
    if isinstance(row.clean, str) or isinstance(row.adversarial, str):
        return "changed"
    change = row.adversarial - row.clean
    said = f"changed by {'+' if change > 0 else ''}{significant(change)}"
    if row.moved is None:
        return said
    return f"{said}, that is {'+' if row.moved > 0 else ''}{significant(row.moved)} {row.moved_unit}"


def _rows(index: int, item: TableItem) -> Table:
    rows = []
    for row in item.rows:
        values = [value if isinstance(value, str) else significant(value) for value in (row.clean, row.adversarial)]
        before, after = Entry(values[0], numeric=True), Entry(values[1], small=_difference(row), numeric=True)
        rows.append((head(row.feature, small=row.unit), before, after))
    columns = (Column("Feature"), Column("Recorded", numeric=True), Column("Attacked", numeric=True))
    return Table(f"row-{index}", "Features before and after.", columns, (Group(tuple(rows)),))

"""The first table of the report, and the tables that say what was tested and what decided the verdict."""

from __future__ import annotations

from dataclasses import replace

from pydantic import JsonValue

from titer.audit.report.charts.forest import forest_axis, forest_row
from titer.audit.report.formats import bare, limit_text
from titer.audit.report.headlines import Headline, headlines
from titer.audit.report.schema import Cell, Draft, Measure
from titer.audit.report.view.table import ABSENT, Column, Entry, Group, Numbers, Table, head, methods, shown, unit_note
from titer.audit.report.vocabulary import LEADING, leading, measure_of


def glance(report: Draft, numbers: Numbers) -> Table:
    """One row per model, data set and threat: before and under the most damaging attack."""
    found = headlines(report)
    cells = [report.cells[headline.cell] for headline in found]
    columns = (
        Column("Model"),
        Column("No attack", numeric=True),
        Column("Under attack", numeric=True),
        Column("Without ● and under ○ attack", drawing=forest_axis()),
        Column("Sensitivity", numeric=True),
        Column("Specificity", numeric=True),
        Column("Most damaging attack"),
    )
    number = numbers.table()
    named = [
        (label, m) for cell in cells for label, m in zip(("no attack", "under attack"), leading(cell), strict=True)
    ]
    notes = (
        "Sensitivity and specificity: without → under attack, interval of the latter. " + methods(named),
        "The attack is the one that does most harm at the limit the plan names as its main one.",
    )
    rows = tuple(_glance_row(report, headline) for headline in found)
    return Table("glance", "The models at a glance.", columns, (Group(rows),), notes, number)


def _glance_row(report: Draft, headline: Headline) -> tuple[Entry, ...]:
    cell = report.cells[headline.cell]
    clean, attacked = leading(cell)
    model = report.models[headline.model]
    kind = LEADING[cell.metrics.kind].name + unit_note(clean)
    drawn = clean.unit in ("proportion", "score")
    return (
        head(cell.model, small=f"{model.family}, {cell.dataset}: {kind}"),
        _strong(clean),
        _strong(attacked),
        Entry(drawing=forest_row(clean, attacked)) if drawn else Entry(),
        _both(cell, "sensitivity"),
        _both(cell, "specificity"),
        Entry(
            text=cell.attack,
            small=f"at {limit_text(cell.limit)}",
            href=f"#cell-{headline.cell}",
            flag="suspect" if cell.suspect else "",
        ),
    )


def _strong(measure: Measure) -> Entry:
    return replace(shown(measure, with_n=True), strong=True)


def _both(cell: Cell, name: str) -> Entry:
    before, after = (measure_of(cell.metrics, f"{name}_{when}") for when in ("clean", "attacked"))
    if before is None or after is None:
        return ABSENT
    low = shown(after)
    return Entry(
        text=bare(before.value, before.unit), after=low.text, small=f"{low.small}, n {after.n:,}", numeric=True
    )


def model_table(report: Draft, numbers: Numbers) -> Table:
    """The models under audit."""
    columns = (
        Column("Model"),
        Column("Decides"),
        Column("Threshold"),
        Column("Access"),
        Column("Parameters", numeric=True),
        Column("Digest"),
    )
    rows = []
    for card in report.models:
        task = card.task
        what = ", ".join(f"{name} (+)" if name in task.positive_classes else name for name in task.classes) or task.unit
        threshold = "–" if task.threshold is None else f"{task.threshold:g}"
        if task.tolerance is not None:
            threshold = f"tolerance {task.tolerance:g} {task.unit}".strip()
        rows.append(
            (
                head(card.name, small=card.family),
                Entry(text=task.kind, small=what),
                Entry(text=threshold, small=task.threshold_source),
                Entry(text=card.access),
                Entry(text="–" if card.parameters is None else f"{card.parameters:,}", numeric=True),
                Entry(text=card.digest[:16], small=card.note),
            )
        )
    notes = (
        ("(+) marks classes that count as diseased.",) if any(c.task.positive_classes for c in report.models) else ()
    )
    return Table("models", "Models under audit.", columns, (Group(tuple(rows)),), notes, numbers.table())


def data_table(report: Draft, numbers: Numbers) -> Table:
    """The data, with sizes of the parts."""
    names = tuple(dict.fromkeys(split.split for card in report.datasets for split in card.splits))
    columns = (
        Column("Data set"),
        Column("Cases", numeric=True),
        *[Column(name.capitalize(), numeric=True) for name in names],
        Column("Values"),
        Column("License"),
        Column("Digest"),
    )
    rows = []
    for card in report.datasets:
        parts = []
        for name in names:
            part = next((split for split in card.splits if split.split == name), None)
            small = "" if part is None else ", ".join(f"{label} {n:,}" for label, n in part.per_class.items())
            parts.append(ABSENT if part is None else Entry(text=f"{part.n:,}", small=small, numeric=True))
        shape = " × ".join("any" if side < 0 else str(side) for side in card.shape)
        rows.append(
            (
                head(card.name, small="generated" if card.synthetic else "recorded"),
                Entry(
                    f"{card.n:,}", small="" if card.patients is None else f"{card.patients:,} patients", numeric=True
                ),
                *parts,
                Entry(text=card.unit, small=shape),
                Entry(text=card.license),
                Entry(text=card.digest[:16]),
            )
        )
    return Table("datasets", "Data the models were examined on.", columns, (Group(tuple(rows)),), (), numbers.table())


def attack_table(report: Draft, numbers: Numbers) -> Table:
    """The attacks with their settings."""
    rows = tuple(
        (
            head(card.name, small="control" if card.control else ""),
            Entry(text=card.title, small=card.reference),
            Entry(text=_settings(card.settings) or "no settings"),
        )
        for card in report.attacks
    )
    columns = (Column("Name"), Column("Attack"), Column("Settings"))
    return Table("attacks", "Attacks and controls.", columns, (Group(rows),), (), numbers.table())


def _settings(settings: dict[str, JsonValue]) -> str:
    """Settings in words: switches as with and without, unset ones left out; the name stands beside them already."""

    def word(value: JsonValue) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, list):
            return " and ".join(word(part) for part in value)
        if isinstance(value, dict):
            return f"({said(value)})"
        return "none" if value is None else str(value)

    def said(found: dict[str, JsonValue]) -> str:
        parts = []
        for key, value in found.items():
            name = key.replace("_", " ")
            if isinstance(value, bool):
                parts.append(f"{'with' if value else 'without'} {name}")
            elif value is not None and key != "name":
                parts.append(f"{name} {word(value)}")
        return ", ".join(parts)

    return said(settings)


def rule_table(report: Draft, numbers: Numbers) -> Table | None:
    """The limits of the plan, judged."""
    if not report.limits.rules:
        return None
    columns = (
        Column("Must not happen"),
        Column("Measured", numeric=True),
        Column("Line", numeric=True),
        Column("Verdict"),
    )
    places = {cell.id: position for position, cell in enumerate(report.cells)}
    rows = tuple(
        (
            head(rule.rule, small=rule.scope, href=f"#cell-{places[rule.cell]}" if rule.cell else ""),
            Entry(text="–" if rule.measured is None else bare(rule.measured, rule.unit), numeric=True),
            Entry(text=bare(rule.limit, rule.unit), numeric=True),
            Entry(
                text=rule.status,
                small=rule.reason,
                flag={"held": "held", "broken": "broken"}.get(rule.status, "open"),
            ),
        )
        for rule in report.limits.rules
    )
    return Table("rules", "Limits of the plan.", columns, (Group(rows),), (), numbers.table())

"""The results: one table per model and data set, and the detail of every cell."""

from __future__ import annotations

from dataclasses import dataclass

from titer.audit.report.formats import bare, limit_text
from titer.audit.report.schema import Cell, Draft, Measure, MultiLabelMetrics
from titer.audit.report.view.comparisons import described
from titer.audit.report.view.table import (
    ABSENT,
    Column,
    Entry,
    Group,
    Numbers,
    Table,
    head,
    lowered,
    methods,
    shown,
    unit_note,
)
from titer.audit.report.vocabulary import measure_of

COLUMNS: dict[str, tuple[tuple[str, str | None, str], ...]] = {
    "classification": (
        ("Accuracy", "clean_accuracy", "robust_accuracy"),
        ("Drop (points)", None, "accuracy_drop"),
        ("Success rate", None, "attack_success_rate"),
        ("Sensitivity", "sensitivity_clean", "sensitivity_attacked"),
        ("Specificity", "specificity_clean", "specificity_attacked"),
        ("AUROC", "auroc_clean", "auroc_attacked"),
        ("Confidence", "confidence_clean", "confidence_attacked"),
        ("Confidence in errors", None, "confidence_on_errors"),
    ),
    "multilabel": (
        ("Macro AUROC", "macro_auroc_clean", "macro_auroc_attacked"),
        ("All labels right", "exact_match_clean", "exact_match_attacked"),
        ("Success rate", None, "attack_success_rate"),
    ),
    "segmentation": (
        ("Dice", "dice_clean", "dice_attacked"),
        ("Drop (points)", None, "dice_drop"),
        ("IoU", "iou_clean", "iou_attacked"),
        ("Reach the tolerance", "within_tolerance_clean", "within_tolerance_attacked"),
        ("Success rate", None, "attack_success_rate"),
    ),
    "regression": (
        ("RMSE", "rmse_clean", "rmse_attacked"),
        ("MAE", "mae_clean", "mae_attacked"),
        ("Within tolerance", "within_tolerance_clean", "within_tolerance_attacked"),
        ("Success rate", None, "attack_success_rate"),
    ),
}
EFFORT = (("Mean cost", "mean_cost"), ("Queries", "queries_per_case"), ("Passes", "passes_per_case"))


@dataclass(frozen=True)
class Detail:
    """Everything about one cell that the table has no room for."""

    anchor: str
    title: str
    facts: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
    labels: Table | None
    suspect: tuple[str, ...]
    rerun: str


@dataclass(frozen=True)
class Block:
    """The results of one model on one data set."""

    title: str
    table: Table
    details: tuple[Detail, ...]


def blocks(report: Draft, numbers: Numbers) -> tuple[Block, ...]:
    """The results in the order of the report, grouped by model and data set."""
    grouped: dict[tuple[str, str], list[tuple[int, Cell]]] = {}
    for position, cell in enumerate(report.cells):
        grouped.setdefault((cell.model, cell.dataset), []).append((position, cell))
    traps = {trap.id: trap.name for trap in report.traps}
    return tuple(
        Block(f"{model} on {dataset}", _table(model, dataset, cells, numbers), tuple(_detail(*c, traps) for c in cells))
        for (model, dataset), cells in grouped.items()
    )


def _table(model: str, dataset: str, cells: list[tuple[int, Cell]], numbers: Numbers) -> Table:
    kind = cells[0][1].metrics.kind
    present = [
        column
        for column in COLUMNS[kind]
        if any(measure_of(cell.metrics, name) for _, cell in cells for name in column[1:] if name)
    ]
    effort = [(label, name) for label, name in EFFORT if any(getattr(cell, name) for _, cell in cells)]
    sizes = {label: _sizes(cells, clean, attacked) for label, clean, attacked in present}
    columns = [Column("Attack"), Column("Limit", numeric=True)]
    for label, _, attacked in present:
        one = f"n {next(iter(sizes[label])):,}" if len(sizes[label]) == 1 else ""
        unit = next((unit_note(m) for _, cell in cells if (m := measure_of(cell.metrics, attacked))), "")
        columns.append(Column(f"{label}{unit}", small=one, numeric=True))
    columns += [Column(label, numeric=True) for label, _ in effort]
    groups = []
    for first, members in _by_clean(cells, present):
        groups.append(Group((_clean_row(first, present, sizes, len(effort)),)))
        attacks = dict.fromkeys(cell.attack for _, cell in members)
        for attack in attacks:
            same = [pair for pair in members if pair[1].attack == attack]
            groups.append(Group(tuple(_row(*pair, present, sizes, effort) for pair in same)))
    named = [(lowered(label), measure_of(cell.metrics, name)) for _, cell in cells for label, _, name in present]
    notes = [methods(named), _cost_note(cells), _size_note(cells)]
    if any(cell.suspect for _, cell in cells):
        notes.append("Suspect: a trap that touches this result failed; the true loss may be larger.")
    number = numbers.table()
    caption = f"{model} on {dataset}: before and after each attack."
    return Table(f"results-{number}", caption, tuple(columns), tuple(groups), tuple(n for n in notes if n), number)


def _sizes(cells: list[tuple[int, Cell]], clean: str | None, attacked: str) -> set[int]:
    found = (measure_of(cell.metrics, name) for _, cell in cells for name in (clean, attacked) if name)
    return {measure.n for measure in found if measure is not None}


Present = list[tuple[str, str | None, str]]


def _by_clean(cells: list[tuple[int, Cell]], present: Present) -> list[tuple[Cell, list[tuple[int, Cell]]]]:
    """Cells that share their clean numbers, so that those are printed once above them.

    Intervals made by resampling may differ in the last digit from cell to cell; the first cell's are shown.
    """
    grouped: dict[tuple[tuple[float, int] | None, ...], list[tuple[int, Cell]]] = {}
    for position, cell in cells:
        found = [measure_of(cell.metrics, clean) for _, clean, _ in present if clean]
        key = tuple((measure.value, measure.n) if measure else None for measure in found)
        grouped.setdefault(key, []).append((position, cell))
    return [(members[0][1], members) for members in grouped.values()]


def _clean_row(cell: Cell, present: Present, sizes: dict[str, set[int]], effort: int) -> tuple[Entry, ...]:
    entries = [head("No attack"), ABSENT]
    for label, clean, _ in present:
        entries.append(shown(measure_of(cell.metrics, clean), with_n=len(sizes[label]) > 1) if clean else ABSENT)
    return (*entries, *[ABSENT] * effort)


def _row(
    position: int, cell: Cell, present: Present, sizes: dict[str, set[int]], effort: list[tuple[str, str]]
) -> tuple[Entry, ...]:
    flag = "suspect" if cell.suspect else ""
    entries = [head(cell.attack, href=f"#cell-{position}", flag=flag), Entry(text=cell.limit.label, numeric=True)]
    for label, _, attacked in present:
        entries.append(shown(measure_of(cell.metrics, attacked), with_n=len(sizes[label]) > 1))
    return (*entries, *[_effort(getattr(cell, name)) for _, name in effort])


def _effort(measure: Measure | None) -> Entry:
    """Cost and effort without their intervals, which stand in report.json."""
    return ABSENT if measure is None else Entry(text=bare(measure.value, measure.unit), numeric=True)


def _cost_note(cells: list[tuple[int, Cell]]) -> str:
    units = sorted({cell.limit.unit for _, cell in cells})
    return f"Limit and cost in {' or '.join(units)}. Queries and passes are means per case."


def _size_note(cells: list[tuple[int, Cell]]) -> str:
    def spread(values: set[int]) -> str:
        return f"{min(values):,}" if len(values) == 1 else f"{min(values):,} to {max(values):,}"

    patients = {cell.n_patients for _, cell in cells if cell.n_patients is not None}
    of = f" of {spread(patients)} patients" if patients else ""
    trials = spread({cell.n_trials for _, cell in cells})
    noun = "trial" if trials == "1" else "trials"
    return f"{spread({cell.n_cases for _, cell in cells})} cases{of}, {trials} {noun} per row."


def _detail(position: int, cell: Cell, traps: dict[str, str]) -> Detail:
    patients = "" if cell.n_patients is None else f" of {cell.n_patients:,} patients"
    values = ", ".join(f"{trial.seed}: {trial.clean:.3f} → {trial.attacked:.3f}" for trial in cell.trials)
    facts = (
        ("Cases", f"{cell.n_cases:,}{patients}; trials: {cell.n_trials}"),
        ("Trials (seed: before → after)", values),
    )
    labels = _labels(position, cell.metrics) if isinstance(cell.metrics, MultiLabelMetrics) else None
    return Detail(
        anchor=f"cell-{position}",
        title=f"{cell.attack} at {limit_text(cell.limit)}",
        facts=facts,
        tests=tuple(described(test) for test in cell.tests),
        labels=labels,
        suspect=tuple(traps[name] for name in cell.suspect_traps),
        rerun=cell.rerun,
    )


def _labels(position: int, metrics: MultiLabelMetrics) -> Table:
    rows = tuple((head(row.label), shown(row.auroc_clean), shown(row.auroc_attacked)) for row in metrics.labels)
    columns = (Column("Label"), Column("AUROC before", numeric=True), Column("AUROC after", numeric=True))
    return Table(f"labels-{position}", "AUROC of each label.", columns, (Group(rows),))

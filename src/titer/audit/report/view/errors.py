"""Tables of misses and false alarms, of subgroups, and of the published figures beside ours."""

from __future__ import annotations

from titer.audit.report.charts.forest import forest_axis, forest_row
from titer.audit.report.formats import bare, ends, interval, limit_text, number, p_text
from titer.audit.report.schema import (
    Draft,
    ErrorShift,
    Harm,
    Measure,
    SubgroupRow,
    SubgroupTable,
    Table1Row,
    TestResult,
)
from titer.audit.report.view.table import ABSENT, Column, Entry, Group, Numbers, Table, head, methods, shown


def shift_table(report: Draft, numbers: Numbers) -> Table | None:
    """Misses and false alarms before and after, with counts, shifts, tests and harm."""
    if not report.error_shifts:
        return None
    columns = (
        Column("Attack"),
        Column("Missed", small="of diseased", numeric=True),
        Column("Miss rate (FNR)", numeric=True),
        Column("Shift (points)", numeric=True),
        Column("False alarms", small="of healthy", numeric=True),
        Column("False alarm rate (FPR)", numeric=True),
        Column("Shift (points)", numeric=True),
        Column("Harm per 1,000 patients", small=_harm_unit(report), numeric=True),
    )
    cells = {cell.id: (position, cell) for position, cell in enumerate(report.cells)}
    grouped: dict[str, list[tuple[Entry, ...]]] = {}
    for shift in report.error_shifts:
        position, cell = cells[shift.cell]
        flag = "suspect" if cell.suspect else ""
        first = head(cell.attack, small=limit_text(cell.limit), href=f"#cell-{position}", flag=flag)
        heading = f"{cell.model}: diseased means {shift.positive}; threshold {shift.threshold}"
        grouped.setdefault(heading, []).append((first, *_shift_row(shift)))
    named: list[tuple[str, Measure | None]] = []
    for shift in report.error_shifts:
        named += [("rates", shift.fnr_attacked), ("shifts", shift.fnr_shift)]
        named.append(("harm", shift.harm.per_thousand if shift.harm else None))
    tests = dict.fromkeys(
        test.method + (f", {test.adjustment}" if test.adjustment else "")
        for s in report.error_shifts
        for test in (s.mcnemar_diseased, s.mcnemar_healthy)
        if test
    )
    notes = [methods(named), "p values: " + "; ".join(tests) + "." if tests else "", _costs(report)]
    groups = tuple(Group(tuple(rows), heading) for heading, rows in grouped.items())
    caption = "Misses and false alarms: before → after, at a threshold fixed in advance."
    return Table("shifts", caption, columns, groups, tuple(note for note in notes if note), numbers.table())


def _shift_row(shift: ErrorShift) -> tuple[Entry, ...]:
    sick, well = shift.clean.tp + shift.clean.fn, shift.clean.tn + shift.clean.fp
    return (
        Entry(text=f"{shift.clean.fn:,}", after=f"{shift.attacked.fn:,}", small=f"of {sick:,}", numeric=True),
        _change(shift.fnr_clean, shift.fnr_attacked),
        _tested(shift.fnr_shift, shift.mcnemar_diseased),
        Entry(text=f"{shift.clean.fp:,}", after=f"{shift.attacked.fp:,}", small=f"of {well:,}", numeric=True),
        _change(shift.fpr_clean, shift.fpr_attacked),
        _tested(shift.fpr_shift, shift.mcnemar_healthy),
        ABSENT if shift.harm is None else _harm(shift.harm),
    )


def _change(before: Measure, after: Measure) -> Entry:
    text = bare(before.value, before.unit)
    return Entry(text=text, after=bare(after.value, after.unit), small=interval(after), numeric=True)


def _tested(shift: Measure, test: TestResult | None) -> Entry:
    entry = shown(shift)
    if test is None:
        return entry
    best = test.p_adjusted if test.p_adjusted is not None else test.p
    p = "" if best is None else f"{', ' if entry.small else ''}{p_text(best)}"
    return Entry(text=entry.text, small=entry.small + p, numeric=True)


def _harm_unit(report: Draft) -> str:
    units = dict.fromkeys(shift.harm.per_thousand.unit for shift in report.error_shifts if shift.harm)
    return ", ".join(units)


def _harm(harm: Harm) -> Entry:
    """Weighted errors, with what they are made of below."""
    misses, alarms = (bare(part.value, part.unit) for part in (harm.extra_misses, harm.extra_alarms))
    entry = shown(harm.per_thousand)
    parts = f"{misses} missed, {alarms} false alarms"
    return Entry(text=entry.text, small=f"{entry.small}; {parts}" if entry.small else parts, numeric=True)


def _costs(report: Draft) -> str:
    stated = dict.fromkeys(
        f"A miss counts {harm.cost_fn:g} and a false alarm {harm.cost_fp:g}, in {harm.unit}, among patients of whom "
        f"{number(harm.prevalence, 'proportion')} are diseased. {harm.note}".strip()
        for harm in (shift.harm for shift in report.error_shifts)
        if harm is not None
    )
    what = "missed patients and false alarms more than without the attack, per 1,000 patients, weighted and added up."
    return f"Harm: {what} {' '.join(stated)}" if stated else ""


def subgroup_tables(report: Draft, numbers: Numbers) -> tuple[Table, ...]:
    """Results per group; withheld groups say so and nothing else."""
    cells = {cell.id: cell for cell in report.cells}
    made = []
    for table in report.subgroups:
        cell = cells[table.cell]
        names = tuple(dict.fromkeys(name for row in table.rows for name in row.measures))
        drawn = len(names) >= 2 and all(m.unit == "proportion" for row in table.rows for m in row.measures.values())
        columns = [Column(table.column.capitalize()), Column("Cases", numeric=True)]
        if drawn:
            columns.append(Column(f"{names[0]} ●, {names[1]} ○".capitalize(), drawing=forest_axis()))
        columns += [Column(name.capitalize(), numeric=True) for name in names]
        rows = tuple(_group_row(row, names, drawn=drawn) for row in table.rows)
        caption = f"{cell.model} by {table.column}: {cell.attack} at {limit_text(cell.limit)}."
        notes = tuple(note for note in (_group_methods(table), table.note) if note)
        number = numbers.table()
        made.append(Table(f"groups-{number}", caption, tuple(columns), (Group(rows),), notes, number))
    return tuple(made)


def _group_methods(table: SubgroupTable) -> str:
    return methods((name, measure) for row in table.rows for name, measure in row.measures.items())


def _group_row(row: SubgroupRow, names: tuple[str, ...], *, drawn: bool) -> tuple[Entry, ...]:
    if row.suppressed:
        return (head(row.value), *[Entry(text="withheld", numeric=True)] * (1 + len(names) + drawn))
    entries = [head(row.value), Entry(text=f"{row.n:,}", numeric=True)]
    if drawn:
        pair = [row.measures.get(name) for name in names[:2]]
        entries.append(Entry(drawing=forest_row(pair[0], pair[1])) if pair[0] and pair[1] else ABSENT)
    return (*entries, *[shown(row.measures.get(name)) for name in names])


def published_table(report: Draft, numbers: Numbers) -> Table | None:
    """Mean accuracy drop per model and attack, ours beside the published one (the literature's Table 1)."""
    if not report.table1:
        return None
    with_paper = any(row.published for row in report.table1)
    columns = [
        Column("Attack"),
        Column("Limit", numeric=True),
        Column("Drop, ours (points)", small="mean ± SD", numeric=True),
    ]
    if with_paper:
        columns += [Column("Published (points)", small="mean ± SD", numeric=True), Column("Why they differ")]
    places = {cell.id: position for position, cell in enumerate(report.cells)}
    grouped: dict[str, list[tuple[Entry, ...]]] = {}
    for row in report.table1:
        href = f"#cell-{places[row.cell]}" if row.cell else ""
        entries = [head(row.attack, href=href), Entry(text=limit_text(row.limit) if row.limit else "–", numeric=True)]
        entries.append(_ours(row))
        if with_paper:
            entries += [_published(row), Entry(text=row.difference, small=" ".join(row.inconsistencies))]
        grouped.setdefault(f"{row.model} ({row.family}) on {row.dataset}", []).append(tuple(entries))
    how = dict.fromkeys(f"{row.ours.method}, n {row.ours.n}" for row in report.table1 if row.ours)
    sources = dict.fromkeys(row.published.source for row in report.table1 if row.published)
    labels = dict.fromkeys(row.published.label for row in report.table1 if row.published)
    notes = ["Means and their intervals: " + "; ".join(how) + "." if how else ""]
    if sources:
        notes.append(f"Published: {'; '.join(sources)}; {'; '.join(labels)}. Context, not a target.")
    groups = tuple(Group(tuple(rows), heading) for heading, rows in grouped.items())
    caption = "Mean accuracy drop under each attack."
    return Table("drops", caption, tuple(columns), groups, tuple(n for n in notes if n), numbers.table())


def _ours(row: Table1Row) -> Entry:
    if row.ours is None:
        return Entry(text="not measured", small=row.missing)
    spread = "" if row.ours.sd is None else f" ± {bare(row.ours.sd, 'points')}"
    known = row.ours.low is not None and row.ours.high is not None
    small = ends(row.ours.low or 0.0, row.ours.high or 0.0, "points") if known else ""
    return Entry(text=bare(row.ours.mean, "points") + spread, small=small, numeric=True)


def _published(row: Table1Row) -> Entry:
    if row.published is None:
        return ABSENT
    spread = "" if row.published.sd is None else f" ± {row.published.sd:g}"
    return Entry(text=f"{row.published.value:g}{spread}", numeric=True)

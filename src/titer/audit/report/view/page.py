"""The whole page in reading order, so that tables and figures are numbered as they are met."""

from __future__ import annotations

import json
from dataclasses import dataclass

from markupsafe import Markup, escape

from titer.audit.report.schema import Paragraph, Report, Trap
from titer.audit.report.view import cases, comparisons, errors, figures, overview, requirements, results
from titer.audit.report.view.table import Figure, Numbers, Table


@dataclass(frozen=True)
class Page:
    """Everything the template lays out besides the report itself."""

    glance: Table
    models: Table
    datasets: Table
    attacks: Table
    curves: Figure | None
    radii: Figure | None
    bars: Figure | None
    drops: Table | None
    results: tuple[results.Block, ...]
    shifts: Table | None
    groups: tuple[Table, ...]
    comparisons: tuple[tuple[str, Table], ...]
    cases: tuple[cases.CaseView, ...]
    cases_left_out: int
    rules: Table | None
    traps: tuple[Trap, ...]
    places: dict[str, int]
    trap_places: dict[str, int]
    index: requirements.IndexView
    plan: str


def page(report: Report, *, room: int) -> Page:
    """Prepare the page.

    Arguments
        report: the report.
        room: bytes that pictures and strips of single cases may take.
    """
    numbers = Numbers()
    shown, left_out = cases.cases(report, room=room)
    return Page(
        glance=overview.glance(report, numbers),
        models=overview.model_table(report, numbers),
        datasets=overview.data_table(report, numbers),
        attacks=overview.attack_table(report, numbers),
        curves=figures.curve_figure(report, numbers),
        radii=figures.radius_figure(report, numbers),
        bars=figures.bar_figure(report, numbers),
        drops=errors.published_table(report, numbers),
        results=results.blocks(report, numbers),
        shifts=errors.shift_table(report, numbers),
        groups=errors.subgroup_tables(report, numbers),
        comparisons=comparisons.comparison_tables(report, numbers),
        cases=shown,
        cases_left_out=left_out,
        rules=overview.rule_table(report, numbers),
        traps=tuple(sorted(report.traps, key=lambda trap: ("failed", "passed", "not applicable").index(trap.status))),
        places={cell.id: position for position, cell in enumerate(report.cells)},
        trap_places={trap.id: position for position, trap in enumerate(report.traps)},
        index=requirements.index_view(report),
        plan=json.dumps(report.identity.plan.resolved, indent=2, sort_keys=True, ensure_ascii=False),
    )


def sourced(paragraph: Paragraph) -> Markup:
    """A paragraph in which each number carries its JSON path, for machines and the curious.

    >>> from titer.audit.report.schema import Reference
    >>> sourced(Paragraph(text="All 6 held.", references=(Reference(text="6", path="$.n"),)))
    Markup('All <data value="$.n">6</data> held.')
    """
    parts, rest = [], paragraph.text
    for reference in paragraph.references:
        before, found, rest = rest.partition(reference.text)
        parts += [escape(before), Markup('<data value="{}">{}</data>').format(reference.path, found)]
    return Markup("").join([*parts, escape(rest)])

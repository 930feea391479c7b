"""The figures, each with its data as tables."""

from __future__ import annotations

from markupsafe import Markup

from titer.audit.report.charts.bars import bar_panel
from titer.audit.report.charts.curves import curve_panel
from titer.audit.report.charts.radii import radius_panel
from titer.audit.report.charts.styles import styles, swatch
from titer.audit.report.formats import limit_text, significant, spoken
from titer.audit.report.schema import Curve, Draft, Figure1Group, MinimalRadii
from titer.audit.report.view.table import (
    ABSENT,
    Column,
    Entry,
    Figure,
    Group,
    Numbers,
    Panel,
    Table,
    head,
    methods,
    shown,
)


def curve_figure(report: Draft, numbers: Numbers) -> Figure | None:
    """Robustness over growing limits, one panel per model, data set, threat and unit."""
    if not report.curves:
        return None
    number, looks = numbers.figure(), styles(report)
    grouped: dict[tuple[str, str, str | None, str, str], list[Curve]] = {}
    for curve in report.curves:
        key = (curve.model, curve.dataset, curve.threat, curve.points[0].limit.unit, curve.measure)
        grouped.setdefault(key, []).append(curve)
    panels, data = [], []
    for index, ((model, dataset, *_), curves) in enumerate(grouped.items()):
        title = f"{model} on {dataset}"
        chart = curve_panel(
            tuple(curves), looks, name=f"curves-{index}", title=f"{title}: {curves[0].measure} over the limit"
        )
        panels.append(Panel(title, chart, _same(curves)))
        data.append(_curve_table(index, title, curves))
    names = tuple(dict.fromkeys(curve.attack for curve in report.curves))
    caption = (
        "How much is left as the attacker may go further. Each line is one attack, bands are intervals; "
        "‘worst case’ counts for each case the worst of all attacks."
    )
    caption += _radii(report)
    return Figure(number, caption, tuple(panels), _legend(names, looks), tuple(data))


def _same(curves: list[Curve]) -> str:
    """Which lines hide each other, since they are equal at every limit."""
    groups: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for curve in curves:
        places = tuple((point.limit.value, round(point.measure.value, 9)) for point in curve.points)
        groups.setdefault(places, []).append(curve.attack)
    hidden = [" and ".join(names) for names in groups.values() if len(names) > 1]
    return f"On one line: {'; '.join(hidden)}." if hidden else ""


def _radii(report: Draft) -> str:
    """Median minimal radii, where they were measured: between the limits tried, for nothing else was."""
    found = []
    for curve in report.curves:
        if curve.median_minimal_radius is not None:
            value = curve.median_minimal_radius.value
            below = max((p.limit for p in curve.points if p.limit.value < value), key=lambda limit: limit.value)
            at = next(p.limit for p in curve.points if p.limit.value == value)
            found.append(f"{curve.model} under {curve.attack}: between {below.label} and {limit_text(at)}")
    return f" The smallest limit at which half of the cases have fallen lies: {'; '.join(found)}." if found else ""


def _curve_table(index: int, title: str, curves: list[Curve]) -> Table:
    limits = {point.limit.value: point.limit for curve in curves for point in curve.points}
    columns = [Column("Limit")] + [Column(curve.attack, numeric=True) for curve in curves]
    rows = []
    for value, limit in sorted(limits.items()):
        at = [next((p.measure for p in curve.points if p.limit.value == value), None) for curve in curves]
        rows.append((head(limit.label), *[shown(measure, with_n=True) for measure in at]))
    note = methods((curve.attack, point.measure) for curve in curves for point in curve.points)
    unit = curves[0].points[0].limit.unit
    caption = f"{title}: {curves[0].measure} at each limit ({unit})."
    return Table(f"curve-data-{index}", caption, tuple(columns), (Group(tuple(rows)),), (note,) if note else ())


def radius_figure(report: Draft, numbers: Numbers) -> Figure | None:
    """What withstands every limit, from the smallest one that each case falls at; one panel per model and threat."""
    if not report.minimal_radii:
        return None
    number = numbers.figure()
    panels, rows, data = [], [], []
    for index, found in enumerate(report.minimal_radii):
        title = f"{found.model} on {found.dataset}, {found.threat.rpartition('/')[2]}"
        panels.append(Panel(title, radius_panel(found, name=f"radii-{index}", title=f"{title}: minimal radii")))
        rows.append(_radius_row(title, found))
        data.append(_radius_points(index, title, found))
    columns = (
        Column("Model and threat"), Column("Attack"), Column("Median radius", numeric=True), Column("Unit"),
        Column("Needed nothing", numeric=True), Column("Never turned", numeric=True), Column("Passes", numeric=True),
    )  # fmt: skip
    named = [(word, measure) for found in report.minimal_radii for word, measure in (
        ("median", found.median), ("needed nothing", found.needed_nothing), ("never turned", found.never)
    )]  # fmt: skip
    note = methods(named)
    caption = "The smallest limit at which a case falls: median over the cases that had to be turned."
    table = Table("radii-data", caption, columns, (Group(tuple(rows)),), (note,) if note else ())
    told = (
        "What withstands each limit, from one search for the smallest limit at which each case falls. The band is the "
        "interval, the dotted line the median of the cases that had to be turned. "
    )
    return Figure(number, told + " ".join(map(radius_words, report.minimal_radii)), tuple(panels), (), (table, *data))


def radius_words(found: MinimalRadii) -> str:
    """The median in a sentence, or what is known of it where it lies above the widest limit."""
    name, unit = f"{found.model} under {found.attack}", spoken(found.high.unit)
    if found.median is None:
        least = "" if found.at_least is None else f" (95% interval from {significant(found.at_least)})"
        return f"{name}: the median lies above {limit_text(found.high)}{least}."
    if found.median.low is not None and found.median.high is not None:
        more = f" (95% interval {significant(found.median.low)} to {significant(found.median.high)})"
    else:
        more = "" if found.at_least is None else f" (95% interval from {significant(found.at_least)} on)"
    return f"{name}: {significant(found.median.value)} {unit}{more}."


def _radius_row(title: str, found: MinimalRadii) -> tuple[Entry, ...]:
    above = Entry(text=f"above {found.high.label}", numeric=True)
    return (
        head(title), Entry(text=found.attack), above if found.median is None else shown(found.median, with_n=True),
        Entry(text=found.high.unit), shown(found.needed_nothing, with_n=True), shown(found.never, with_n=True),
        shown(found.passes_per_case),
    )  # fmt: skip


def _radius_points(index: int, title: str, found: MinimalRadii) -> Table:
    rows = tuple((head(significant(point.limit)), shown(point.measure)) for point in found.points)
    columns = (Column("Limit"), Column("Withstand it", numeric=True))
    caption = f"{title}: share of cases that withstand each limit ({found.high.unit})."
    return Table(f"radius-points-{index}", caption, columns, (Group(rows),))


def bar_figure(report: Draft, numbers: Numbers) -> Figure | None:
    """Accuracy before and after each attack, one panel per model (the literature's Figure 1)."""
    if not report.figure1:
        return None
    number, looks = numbers.figure(), styles(report)
    panels = []
    for index, group in enumerate(report.figure1):
        title, own = _title(group), _bar_looks(report, group, looks)
        panels.append(Panel(title, bar_panel(group, own, name=f"bars-{index}", title=f"{title}: accuracy")))
    names = tuple(dict.fromkeys(bar.condition for group in report.figure1 for bar in group.bars))
    columns = (Column("Model"), *[Column(name, numeric=True) for name in names])
    rows = tuple((head(_title(group)), *[_bar_entry(group, name) for name in names]) for group in report.figure1)
    note = methods((bar.condition, bar.accuracy) for group in report.figure1 for bar in group.bars)
    data = Table("bar-data", "Accuracy under each condition.", columns, (Group(rows),), (note,) if note else ())
    return Figure(number, "Accuracy before and after each attack, with intervals.", tuple(panels), (), (data,))


def _bar_looks(report: Draft, group: Figure1Group, looks: dict[str, str]) -> dict[str, str]:
    """The look of each bar: its attack's, whatever the condition is called."""
    attacks = {cell.id: cell.attack for cell in report.cells}
    named = {bar.condition: attacks.get(bar.cell or "", bar.condition) for bar in group.bars}
    return {condition: looks.get(attack, "s0") for condition, attack in named.items()}


def _bar_entry(group: Figure1Group, name: str) -> Entry:
    found = next((bar for bar in group.bars if bar.condition == name), None)
    return ABSENT if found is None else shown(found.accuracy, with_n=True)


def _title(group: Figure1Group) -> str:
    return f"{group.model} ({group.family}) on {group.dataset}"


def _legend(names: tuple[str, ...], looks: dict[str, str]) -> tuple[tuple[Markup, str], ...]:
    return tuple((swatch(looks.get(name, "s0")), name) for name in names)

"""Tables and figures as plain data, numbered in the order in which they stand on the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from markupsafe import Markup

from titer.audit.report.formats import bare, interval
from titer.audit.report.schema import Measure


@dataclass(frozen=True)
class Entry:
    """One table cell: a value, what it became, small print below, a drawing, a link."""

    text: str = ""
    after: str = ""
    small: str = ""
    href: str = ""
    flag: str = ""
    drawing: Markup | None = None
    header: bool = False
    numeric: bool = False
    strong: bool = False

    @property
    def look(self) -> str:
        """The class of the cell on the page."""
        if self.drawing is not None:
            return "draw"
        if self.numeric:
            return "num strong" if self.strong else "num"
        return "long" if len(self.text) > 30 or len(self.small) > 40 else ""


@dataclass(frozen=True)
class Column:
    """One column head."""

    label: str
    small: str = ""
    numeric: bool = False
    drawing: Markup | None = None


@dataclass(frozen=True)
class Group:
    """Rows that belong together, under a heading of their own where one is given."""

    rows: tuple[tuple[Entry, ...], ...]
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """A table with caption and notes."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()
    number: int | None = None


@dataclass(frozen=True)
class Panel:
    """One chart of a figure."""

    title: str
    chart: Markup
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """Charts side by side with one legend, one caption, and the same data as tables."""

    number: int
    caption: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[Markup, str], ...] = ()
    data: tuple[Table, ...] = ()


@dataclass
class Numbers:
    """Hands out the numbers of tables and figures."""

    tables: Iterator[int] = field(default_factory=lambda: count(1))
    figures: Iterator[int] = field(default_factory=lambda: count(1))

    def table(self) -> int:
        """The next table's number."""
        return next(self.tables)

    def figure(self) -> int:
        """The next figure's number."""
        return next(self.figures)


ABSENT = Entry(text="–", numeric=True)


def shown(measure: Measure | None, *, with_n: bool = False) -> Entry:
    """A measure as a table cell: the value, its interval below, and n where the column does not say it."""
    if measure is None:
        return ABSENT
    small = interval(measure)
    if with_n:
        small = f"{small}, n {measure.n:,}" if small else f"n {measure.n:,}"
    return Entry(text=bare(measure.value, measure.unit), small=small, numeric=True)


def methods(named: Iterable[tuple[str, Measure | None]]) -> str:
    """How the intervals of a table were made: 'Intervals: 95%; Wilson score (accuracy, sensitivity); ...'."""
    found: dict[str, list[str]] = {}
    levels: list[str] = []
    for name, measure in named:
        if measure is None or measure.low is None:
            continue
        level = f"{100 * measure.level:g}%"
        if level not in levels:
            levels.append(level)
        names = found.setdefault(measure.method, [])
        if name not in names:
            names.append(name)
    if not found:
        return ""
    how = "; ".join(f"{method} ({', '.join(names)})" for method, names in found.items())
    return f"Intervals: {' and '.join(levels)}. {how[0].upper()}{how[1:]}."


def unit_note(measure: Measure) -> str:
    """The unit of a measure where its number does not show it: ' in years', or nothing.

    >>> unit_note(Measure(value=5.3, n=200, method="mean", unit="years"))
    ' in years'
    """
    return "" if measure.unit in ("proportion", "points", "score", "count") else f" in {measure.unit}"


def lowered(label: str) -> str:
    """A column's name inside a sentence: abbreviations stay, remarks in brackets go.

    >>> lowered("Drop (points)"), lowered("AUROC"), lowered("Success rate")
    ('drop', 'AUROC', 'success rate')
    """
    word = label.partition(" (")[0]
    return word if word[1:2].isupper() else word[:1].lower() + word[1:]


def head(text: str, *, small: str = "", href: str = "", flag: str = "") -> Entry:
    """The cell that names its row."""
    return Entry(text=text, small=small, href=href, flag=flag, header=True)

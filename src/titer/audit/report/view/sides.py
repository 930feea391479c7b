"""The tables of a comparison: per model and data set the matched cells, first and second audit and the difference."""

from __future__ import annotations

from titer.audit.report.compare import Comparison, Match
from titer.audit.report.differences import Difference
from titer.audit.report.formats import bare, ends, limit_text
from titer.audit.report.view.table import Column, Entry, Group, Numbers, Table, head, shown

WORDS = {
    "better": "▲ better",
    "worse": "▼ worse",
    "unclear": "no clear difference",
    "neutral": "neither is better",
    "no interval": "no interval",
}
COLUMNS = (
    Column("Measure"),
    Column("Second minus first", numeric=True),
    Column("For the defender"),
    Column("First", numeric=True),
    Column("Second", numeric=True),
)
CLEAN = ", no attack"


def side_tables(comparison: Comparison) -> tuple[tuple[str, Table], ...]:
    """Title and table of each model and data set that both audits have."""
    numbers = Numbers()
    grouped: dict[tuple[str, str], list[Match]] = {}
    for match in comparison.matches:
        grouped.setdefault((match.model, match.dataset), []).append(match)
    return tuple((f"{key[0]} on {key[1]}", _table(*key, found, numbers)) for key, found in grouped.items())


def _table(model: str, dataset: str, matches: list[Match], numbers: Numbers) -> Table:
    clean = dict.fromkeys(d for match in matches for d in match.differences if d.name.endswith(CLEAN))
    groups = [Group(tuple(_row(found) for found in clean), "No attack")] if clean else []
    places = [f"{match.attack} at {limit_text(match.limit)}" for match in matches]
    for match in matches:
        flag = " (suspect)" if match.suspect else ""
        rows = tuple(_row(found) for found in match.differences if not found.name.endswith(CLEAN))
        place = f"{match.attack} at {limit_text(match.limit)}"
        under = f" under {match.threat.rpartition('/')[2]}" if places.count(place) > 1 else ""
        groups.append(Group(rows, f"{place}{under}{flag}"))
    methods = dict.fromkeys(difference.method for match in matches for difference in match.differences)
    number = numbers.table()
    note = f"Intervals of the difference: {'; '.join(methods)}."
    return Table(f"sides-{number}", f"{model} on {dataset} in both audits.", COLUMNS, tuple(groups), (note,), number)


def _row(difference: Difference) -> tuple[Entry, ...]:
    known = difference.low is not None and difference.high is not None
    reach = ends(difference.low or 0.0, difference.high or 0.0, difference.unit) if known else ""
    unit = " points" if difference.unit == "points" else ""
    text = bare(difference.value, difference.unit) + unit
    sign = "+" if difference.value > 0 else ""
    return (
        head(difference.name.partition(", ")[0]),
        Entry(text=sign + text, small=reach, numeric=True, strong=True),
        Entry(text=WORDS[difference.meaning]),
        shown(difference.a, with_n=True),
        shown(difference.b, with_n=True),
    )

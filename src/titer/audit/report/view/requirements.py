"""The index of requirements, ready to be laid out: rows with their links, grouped and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from titer.audit.report.formats import limit_text
from titer.audit.report.schema import ItemState, Link, Report, RequirementState, SectionState, Technique
from titer.audit.report.schema.index import ClaimState

STATES = ("evidence", "partial", "not tested", "not applicable", "owner elsewhere")
LOOKS = {"evidence": "good", "carried": "good", "tested": "good", "partial": "warn", "refuted": "bad"}
MOST_LINKS = 4
SEEN = {"T": "text read", "S": "known from secondary sources", "N": "text not read"}

PLACES = {
    "summary": ("summary", "summary"), "models": ("tested", "models"), "datasets": ("tested", "data"),
    "threats": ("threats", "threats"), "attacks": ("threats", "attacks"), "cells": ("results", "results"),
    "curves": ("curves", "curves"), "error_shifts": ("errors", "misses and false alarms"),
    "subgroups": ("groups", "subgroups"), "comparisons": ("comparisons", "comparisons"), "gallery": ("cases", "cases"),
    "traps": ("traps", "checks"), "limits": ("limits", "limits of the plan"),
    "limitations": ("limitations", "what it cannot say"), "identity": ("again", "how it was made"),
    "index": ("requirements", "requirement index"), "gate": ("tested", "gate"),
    "figure1": ("drops", "before and after"),
    "table1": ("drops", "before and after"),
}  # fmt: skip


@dataclass(frozen=True)
class Where:
    """A link as the page has it."""

    href: str
    text: str


@dataclass(frozen=True)
class Row:
    """One row with its state, its reason and the first of its links."""

    of: RequirementState | SectionState | ItemState | ClaimState | Technique
    look: str
    links: tuple[Where, ...]
    more: int
    seen: str = ""


@dataclass(frozen=True)
class Part:
    """Rows under one heading, and how many are in which state."""

    name: str
    title: str
    rows: tuple[Row, ...]
    tally: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class IndexView:
    """Everything that the section of the index shows."""

    tally: tuple[tuple[str, str, int], ...]
    sections: Part
    regions: tuple[Part, ...]
    items: Part
    claims: Part
    coverage: tuple[Part, ...]


def index_view(report: Report, *, most: int = MOST_LINKS) -> IndexView:
    """The index of a report.

    Arguments
        most: links shown per row; the row of the kind of evidence shows all.
    """
    index, where = report.index, _where(report)

    def part(name: str, title: str, rows: Iterable[object], most: int = most) -> Part:
        made = tuple(_row(row, where, most) for row in rows)
        return Part(name, title, made, tally(row.of.state for row in made))

    regions = tuple(
        part(f"region-{number}", region, tuple(rows))
        for number, (region, rows) in enumerate(groupby(index.requirements, key=lambda row: row.region))
    )
    coverage = tuple(
        part(f"taxonomy-{number}", name, tuple(rows))
        for number, (name, rows) in enumerate(groupby(index.coverage, key=lambda row: row.taxonomy))
    )
    every = len(report.cells) + len(report.traps)
    return IndexView(
        tally(row.state for row in index.requirements),
        part("sections", "Sections of this report, R1 to R18", index.sections),
        regions,
        part("items", "Kinds of evidence, E01 to E30", index.items, most=every),
        part("claims", "Claims, and whether this report carries them", index.claims),
        coverage,
    )


def tally(states: Iterable[str]) -> tuple[tuple[str, str, int], ...]:
    """How many rows are in each state: state, look, number; the known states first, empty ones left out.

    >>> tally(["partial", "evidence", "partial"])
    (('evidence', 'good', 1), ('partial', 'warn', 2))
    """
    found = list(states)
    names = [*STATES, *dict.fromkeys(found)]
    return tuple((name, LOOKS.get(name, "other"), found.count(name)) for name in dict.fromkeys(names) if name in found)


def _row(row: object, where: Callable[[Link], Where], most: int) -> Row:
    assert isinstance(row, (RequirementState, SectionState, ItemState, ClaimState, Technique))
    seen = ", ".join(SEEN[mark] for mark in row.seen) if isinstance(row, RequirementState) else ""
    links = tuple(where(link) for link in row.links[:most])
    return Row(row, LOOKS.get(row.state, "other"), links, max(0, len(row.links) - most), seen)


def _where(report: Report) -> Callable[[Link], Where]:
    cells = {cell.id: (position, cell) for position, cell in enumerate(report.cells)}
    traps = {trap.id: (position, trap) for position, trap in enumerate(report.traps)}
    records = {record.id: (position, record) for position, record in enumerate(report.records)}

    def find(link: Link) -> Where:
        if link.to == "cell":
            position, cell = cells[link.name]
            return Where(f"#cell-{position}", f"{cell.model} under {cell.attack} at {limit_text(cell.limit)}")
        if link.to == "trap":
            position, trap = traps[link.name]
            return Where(f"#trap-{position}", trap.name)
        if link.to == "record":
            position, record = records[link.name]
            return Where(f"#record-{position}", record.file or record.id)
        anchor, text = PLACES[link.name]
        return Where(f"#{anchor}", text)

    return find

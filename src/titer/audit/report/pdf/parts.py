"""Tables, figures and single cases of the page as plain data for the document."""

from __future__ import annotations

import base64
from typing import Any

from markupsafe import Markup

from titer.audit.report.pdf.drawings import picture, words_of
from titer.audit.report.schema import ImageItem, NoteItem, SignalItem
from titer.audit.report.view.cases import CaseView
from titer.audit.report.view.requirements import Where
from titer.audit.report.view.table import Entry, Figure, Table

Tree = dict[str, Any]

# Sections of the document in which the blocks of the page stand.
HOMES = {
    "summary": "R1", "tested": "R2", "threats": "R4", "curves": "R7", "drops": "R7", "results": "R7", "errors": "R13",
    "groups": "R6", "comparisons": "R11", "cases": "R7", "traps": "R12", "limits": "R5", "limitations": "R17",
    "again": "R16", "requirements": "R18",
}  # fmt: skip


class Files:
    """Pictures that the document needs, each under a name."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}

    def add(self, data: bytes, ending: str) -> str:
        """The name of a picture; equal ones are kept once."""
        known = next((name for name, kept in self.found.items() if kept == data), None)
        name = known or f"picture-{len(self.found)}.{ending}"
        self.found[name] = data
        return name

    def drawing(self, drawing: Markup) -> str:
        """The name of a drawing."""
        return self.add(picture(drawing).encode(), "svg")


class Parts:
    """Makes parts of the document and keeps the pictures that they need."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def table(self, table: Table, *, labeled: bool = False) -> Tree:
        columns = [
            {
                "label": column.label,
                "small": column.small,
                "numeric": column.numeric,
                "weight": 0 if column.numeric or column.drawing is not None else _weight(table, place),
                "drawing": None if column.drawing is None else self.files.drawing(column.drawing),
            }
            for place, column in enumerate(table.columns)
        ]
        groups = [
            {"heading": group.heading, "rows": [[self._entry(entry, labeled) for entry in row] for row in group.rows]}
            for group in table.groups
        ]
        size = 7.8 if len(columns) > 8 else 8.2
        return {"kind": "table", "number": table.number, "caption": table.caption, "columns": columns, "groups": groups,
                "notes": [note for note in table.notes if note], "size": size}  # fmt: skip

    def _entry(self, entry: Entry, labeled: bool) -> Tree:
        made: Tree = {"text": entry.text, "small": entry.small, "header": entry.header, "strong": entry.strong}
        if entry.after:
            made["text"] = f"{entry.text} → {entry.after}"
        if labeled and entry.flag:
            made["label"] = entry.flag
        elif entry.flag in ("held", "broken", "open"):
            made |= {"tag": entry.text, "look": {"held": "good", "broken": "bad"}.get(entry.flag, "warn"), "text": ""}
        elif entry.flag:
            made |= {"tag": entry.flag, "look": "warn"}
        if entry.drawing is not None:
            made["drawing"] = self.files.drawing(entry.drawing)
        if entry.href:
            made["to"] = place_of(entry.href)
        return made

    def figure(self, figure: Figure) -> Tree:
        panels = [
            {
                "title": panel.title,
                "file": self.files.drawing(panel.chart),
                "alt": words_of(panel.chart),
                "note": panel.note,
            }
            for panel in figure.panels
        ]
        legend = [{"file": self.files.drawing(sample), "text": word} for sample, word in figure.legend]
        return {
            "kind": "figure",
            "number": figure.number,
            "caption": figure.caption,
            "panels": panels,
            "legend": legend,
        }

    def case(self, case: CaseView) -> list[Tree]:
        item = case.item
        answers = f"Truth: {item.true_label}. Before: {case.before}. After: {case.after}."
        made: list[Tree] = [
            title(case.title),
            {"kind": "lead", "text": f"{item.caption} {answers} {case.cost}".strip()},
        ]
        if isinstance(item, ImageItem):
            shown = (
                (item.clean_png, "As recorded", f"As recorded. {item.caption}"),
                (item.perturbation_png, f"Change × {case.magnified}", f"The change, magnified {case.magnified} times."),
                (item.adversarial_png, "As attacked", f"As attacked; the model says {item.adversarial.label}."),
            )
            pictures = []
            for uri, caption, alt in shown:
                data = base64.b64decode(uri.partition(",")[2])
                pictures.append({"file": self.files.add(data, "png"), "caption": caption, "alt": alt})
            made.append({"kind": "pictures", "pictures": pictures})
        elif isinstance(item, SignalItem) and case.chart is not None:
            made.append({"kind": "strip", "file": self.files.drawing(case.chart), "alt": words_of(case.chart)})
        elif isinstance(item, NoteItem):
            tokens = [{"op": token.op, "text": token.text, "new": token.replacement or ""} for token in item.tokens]
            made.append({"kind": "note", "tokens": tokens})
        elif case.table is not None:
            made.append(self.table(case.table))
        return made


def text(words: str) -> Tree:
    """A paragraph."""
    return {"kind": "text", "text": words}


def title(words: str) -> Tree:
    """A heading within a section."""
    return {"kind": "title", "text": words[:1].upper() + words[1:]}


def bullets(lines: list[str]) -> Tree:
    """A list."""
    return {"kind": "bullets", "lines": lines}


def pairs(facts: list[list[str]]) -> Tree:
    """Names with what is said of each."""
    return {"kind": "pairs", "pairs": facts}


def code(words: str) -> Tree:
    """Text in letters of equal width, line by line."""
    return {"kind": "code", "text": words}


def _weight(table: Table, place: int) -> int:
    """How wide a column of words should be beside others: by the longest of its texts."""
    longest = max(
        (len(row[place].text) + len(row[place].small) // 2 for group in table.groups for row in group.rows), default=1
    )
    return min(6, max(2, longest // 12))


def place_of(href: str) -> str:
    """The label in the document of a place on the page."""
    anchor = href.removeprefix("#")
    return anchor if anchor.startswith(("cell-", "trap-", "record-")) else f"sec-{HOMES[anchor]}"


def target(link: Where) -> str:
    """The label in the document of a link of the index."""
    return "sec-R3" if link.text == "data" else place_of(link.href)

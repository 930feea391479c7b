"""The index of requirements as tables of the document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from titer.audit.report.schema import ClaimState, ItemState, RequirementState, SectionState, Technique
from titer.audit.report.view.requirements import Part, Row, Where

Tree = dict[str, Any]
Target = Callable[[Where], str]

HEADS: dict[type, tuple[str, ...]] = {
    RequirementState: ("Section", "What must be answered", "State", "Where"),
    SectionState: ("Section", "What belongs there", "State", "Where"),
    ItemState: ("Evidence", "Made by, shown as", "State", "Where"),
    ClaimState: ("Claim", "State", "Rests on"),
    Technique: ("Identifier", "Technique", "State", "Where"),
}
WIDTHS = {3: (3, 4, 3), 4: (2, 3, 4, 2)}


def index_table(part: Part, target: Target) -> Tree:
    """A part of the index; the document that asks stands once over its rows.

    Arguments
        part: rows of one kind. target: the label in the document of a link.
    """
    heads = HEADS[type(part.rows[0].of)]
    groups: list[Tree] = []
    for row in part.rows:
        heading = _heading(row)
        if not groups or groups[-1]["heading"] != heading:
            groups.append({"heading": heading, "rows": []})
        groups[-1]["rows"].append(_cells(row, target))
    columns = [
        {"label": label, "numeric": False, "weight": weight}
        for label, weight in zip(heads, WIDTHS[len(heads)], strict=True)
    ]
    return {
        "kind": "table", "number": None, "caption": part.title, "columns": columns, "groups": groups, "notes": [],
        "size": 7.2,
    }  # fmt: skip


def _heading(row: Row) -> str:
    of = row.of
    if not isinstance(of, RequirementState):
        return ""
    return f"{of.source} ({of.year}). {of.status}; status looked up {of.checked}."


def _cells(row: Row, target: Target) -> list[Tree]:
    """The cells of a row: what is asked, the state with its reason, where it stands."""
    of = row.of
    links = [{"text": link.text, "to": target(link)} for link in row.links]
    where: Tree = {"links": links, "small": f"and {row.more} more" if row.more else ""}
    state: Tree = {"tag": of.state, "look": row.look}
    if not isinstance(of, Technique):
        state["small"] = of.reason
    if isinstance(of, RequirementState):
        where["text"] = ", ".join(of.evidence) if len(of.evidence) < 30 else "all evidence"
        places = [{"text": place, "to": f"sec-{place}"} for place in of.place] if len(of.place) < 18 else []
        where["links"] = [*places, *links]
        first = {"text": of.section, "small": f"{row.seen}. {of.note}".strip(), "header": True}
        return [first, {"text": of.question}, state, where]
    if isinstance(of, SectionState):
        return [{"text": f"{of.id} {of.title}", "header": True}, {"text": of.content}, state, where]
    if isinstance(of, ItemState):
        return [{"text": f"{of.id} {of.name}", "header": True}, {"text": of.maker, "small": of.form}, state, where]
    if isinstance(of, ClaimState):
        return [{"text": of.claim, "header": True}, state, where]
    return [{"text": of.id, "header": True}, {"text": of.name}, state, where]

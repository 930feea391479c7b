"""What was found of one kind of evidence, and small questions that several kinds share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from titer.audit.report.schema import Cell, Draft, Link, Threat
from titer.audit.report.schema.index import State


@dataclass(frozen=True)
class Seen:
    """How far a kind of evidence is there, why, and where it stands."""

    state: State
    reason: str
    links: tuple[Link, ...] = ()


def absent(reason: str) -> Seen:
    """Nothing of it is in this report."""
    return Seen("not tested", reason)


def block(*names: str) -> tuple[Link, ...]:
    """Links to blocks of the report."""
    return tuple(Link(to="block", name=name) for name in names)


def cells(found: Iterable[Cell]) -> tuple[Link, ...]:
    """Links to results: the first of each model, threat and attack, which stand beside the others of their kind."""
    first: dict[tuple[str, str, str], Cell] = {}
    for cell in found:
        first.setdefault((cell.model, cell.threat, cell.attack), cell)
    return tuple(Link(to="cell", name=cell.id) for cell in first.values())


def threats(draft: Draft, *natures: str) -> dict[str, Threat]:
    """Threats of these natures by identifier."""
    return {threat.id: threat for threat in draft.threats if threat.nature in natures}


def attacked(draft: Draft, *natures: str) -> list[Cell]:
    """Results of real attacks, controls left out, under threats of these natures; of all natures but `natural` where
    none is given.
    """
    controls = {card.name for card in draft.attacks if card.control}
    under = threats(draft, *(natures or ("values", "semantic", "placed")))
    return [cell for cell in draft.cells if cell.threat in under and cell.attack not in controls]


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    every = list(dict.fromkeys(names))
    return " and ".join(filter(None, [", ".join(every[:-1]), *every[-1:]]))

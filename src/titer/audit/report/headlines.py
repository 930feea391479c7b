"""Which results the summary speaks of: for each model, data set and threat the most damaging attack."""

from __future__ import annotations

from dataclasses import dataclass

from titer.audit.report.schema import Cell, Draft
from titer.audit.report.vocabulary import harm_done


@dataclass(frozen=True)
class Headline:
    """A result worth leading with, by position in the report.

    `cell` is the most damaging attack at the main limit, `largest` that at the largest one where it is another limit.
    """

    cell: int
    model: int
    dataset: int
    attack: int
    envelope: tuple[int, int] | None
    largest: int | None
    control: int | None
    error_shift: int | None
    radius: int | None


def headlines(draft: Draft) -> tuple[Headline, ...]:
    """One headline per model, data set and threat, at the threat's main limit.

    Controls such as noise never lead. Among attacks the one that moves the leading measure furthest is taken;
    of equals the first.
    """
    places: dict[tuple[str, str, str], list[int]] = {}
    controls = {card.name for card in draft.attacks if card.control}
    for position, cell in enumerate(draft.cells):
        places.setdefault((cell.model, cell.dataset, cell.threat), []).append(position)
    chosen = []
    for positions in places.values():
        attacks = [p for p in positions if draft.cells[p].attack not in controls]
        if attacks:
            limit = _main_limit(draft, [draft.cells[p] for p in attacks])
            at_limit = [p for p in attacks if draft.cells[p].limit.value == limit]
            chosen.append(_headline(draft, _worst(draft, at_limit), positions, controls))
    return tuple(chosen)


def _worst(draft: Draft, positions: list[int]) -> int:
    return max(positions, key=lambda p: harm_done(draft.cells[p]))


def _main_limit(draft: Draft, cells: list[Cell]) -> float:
    """The threat's main limit if it was measured, else the largest limit measured."""
    named = next(threat.main_limit for threat in draft.threats if threat.id == cells[0].threat)
    measured = {cell.limit.value for cell in cells}
    return named.value if named is not None and named.value in measured else max(measured)


def _headline(draft: Draft, position: int, positions: list[int], controls: set[str]) -> Headline:
    cell = draft.cells[position]
    same = [
        (i, curve)
        for i, curve in enumerate(draft.curves)
        if (curve.model, curve.dataset) == (cell.model, cell.dataset) and curve.threat in (None, cell.threat)
    ]
    envelope = [
        (i, j)
        for i, curve in same
        if curve.envelope
        for j, point in enumerate(curve.points)
        if point.limit.value == cell.limit.value
    ]
    radius = [i for i, curve in same if curve.attack == cell.attack and curve.median_minimal_radius is not None]
    attacks = [p for p in positions if draft.cells[p].attack not in controls]
    top = max(draft.cells[p].limit.value for p in attacks)
    beyond = [p for p in attacks if draft.cells[p].limit.value == top > cell.limit.value]
    noise = [p for p in positions if draft.cells[p].attack in controls and draft.cells[p].limit == cell.limit]
    shifts = [i for i, shift in enumerate(draft.error_shifts) if shift.cell == cell.id]
    return Headline(
        cell=position,
        model=next(i for i, card in enumerate(draft.models) if card.name == cell.model),
        dataset=next(i for i, card in enumerate(draft.datasets) if card.name == cell.dataset),
        attack=next(i for i, card in enumerate(draft.attacks) if card.name == cell.attack),
        envelope=envelope[0] if envelope else None,
        largest=_worst(draft, beyond) if beyond else None,
        control=noise[0] if noise else None,
        error_shift=shifts[0] if shifts else None,
        radius=radius[0] if radius else None,
    )

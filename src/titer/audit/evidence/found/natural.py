"""Evidence without an attacker: natural changes, proofs, subgroups."""

from __future__ import annotations

from titer.audit.evidence.seen import Seen, absent, attacked, block, cells, threats
from titer.audit.report.schema import Draft


def e08(draft: Draft) -> Seen:
    """Natural corruptions by severity."""
    under = threats(draft, "natural")
    found = [cell for cell in draft.cells if cell.threat in under]
    if not found:
        return absent("No natural corruption was examined.")
    if any(len({cell.limit.value for cell in found if cell.threat == name}) < 2 for name in under):
        return Seen("partial", "Natural corruptions at one severity only.", cells(found))
    return Seen("evidence", "Natural corruptions at growing severity.", cells(found))


def e09(draft: Draft) -> Seen:
    """Proofs: attacks whose failure proves that nothing within the limit fools the model."""
    proving = {card.name for card in draft.attacks if card.proves}
    found = [cell for cell in attacked(draft) if cell.attack in proving]
    if not found:
        return absent("No exact search and no formal bound was run; a failed attack proves nothing.")
    why = (
        "An exact search within each limit: cases it did not fool are proved to withstand, unless it ran out of nodes."
    )
    return Seen("evidence", why, cells(found))


def e12(draft: Draft) -> Seen:
    """Results by subgroup."""
    if not draft.subgroups:
        return absent("The data name no groups, or no group was large enough to be shown.")
    shown = [row for table in draft.subgroups for row in table.rows if not row.suppressed]
    if not shown:
        return Seen("partial", "All groups are withheld, because they are small.", block("subgroups"))
    return Seen("evidence", "Results by group, before and under attack.", block("subgroups"))

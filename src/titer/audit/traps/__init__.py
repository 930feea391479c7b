"""Traps: whether the evaluation itself is sound, asked of every table. One trap per file.

A package of yours adds one through an entry point of the group `titer.traps`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from titer.errors import PlanError, did_you_mean
from titer.registry import TRAPS

if TYPE_CHECKING:
    from titer.audit.report.schema import Trap
    from titer.audit.results import Results
    from titer.audit.traps.check import Check

__all__ = ["TRAPS", "check_explanations", "check_traps"]


def check_traps(results: Results) -> tuple[Trap, ...]:
    """Every trap, asked of all results: the eight lines that bind every attack table first, then further ones.

    A failed trap carries the plan's explanation, if there is one, and the names of all cells it touches.
    Refuses explanations of traps that do not exist (PlanError).
    """
    explain = results.prepared.plan.explain
    check_explanations(explain)
    return tuple(check.ask(results, explain.get(check.name)) for check in _checks())


@lru_cache(maxsize=1)
def _checks() -> tuple[Check, ...]:
    """All traps in the order of the report; installed packages are searched once per process."""
    found = (TRAPS.find(name)() for name in TRAPS.names())
    return tuple(sorted(found, key=lambda check: (check.place, check.name)))


def check_explanations(explain: Iterable[str]) -> None:
    """Refuse explanations of traps that do not exist; the nearest name is given.

    >>> check_explanations(["noise_smal"])
    Traceback (most recent call last):
    titer.errors.PlanError: expected the name of a trap in 'explain', got 'noise_smal'; did you mean 'noise_small'? ...
    """
    for name in explain:
        if name not in (names := TRAPS.names()):
            hint = did_you_mean(name, names)
            raise PlanError("the name of a trap in 'explain'", repr(name), f"{hint}known: {', '.join(names)}")

"""Check-up: doubts about a single model before anything is attacked. One doubt per file.

A package of yours adds one through an entry point of the group `titer.checkup`.
"""

from __future__ import annotations

from titer.audit.checkup.doubt import Doubt, Finding
from titer.audit.checkup.exam import Exam
from titer.registry import Family

DOUBTS = Family("checkup", "titer.audit.checkup", "titer.audit.checkup.doubt:Doubt", ("doubt", "exam"))


def check_model(exam: Exam) -> tuple[Finding, ...]:
    """Every doubt, asked of one model on a few cases, those that the others rest on first."""
    doubts: list[Doubt] = sorted((DOUBTS.find(name)() for name in DOUBTS.names()), key=lambda each: each.place)
    return tuple(doubt.ask(exam) for doubt in doubts)

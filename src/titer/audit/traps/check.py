"""Check: one question about the soundness of an evaluation; a subclass per file in this folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from titer.audit.report.schema import Trap
from titer.audit.report.schema.subjects import Status
from titer.audit.results import CellResults, Results


@dataclass(frozen=True)
class Seen:
    """What a check saw: its answer, the evidence in one sentence, and the cells that it touches."""

    status: Status
    evidence: str
    cells: tuple[str, ...] = ()


def clear(evidence: str) -> Seen:
    """Nothing wrong was seen."""
    return Seen("passed", evidence)


def sprung(evidence: str, cells: Iterable[CellResults]) -> Seen:
    """Something wrong was seen in these cells."""
    return Seen("failed", evidence, tuple(dict.fromkeys(cell.name for cell in cells)))


def skipped(why: str) -> Seen:
    """The question does not apply here."""
    return Seen("not applicable", why)


class Check(ABC):
    """Base of all traps.

    Attributes
        name: the file's name; plans explain a failure under it.
        title: short name for readers. question: what is asked.
        meaning: what a failure would mean. remedy: what to do about one.
        place: where the trap stands in the report; 1 to 8 are the lines that bind every attack table.
        clean: whether a failure puts the numbers without an attack in doubt too.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    meaning: ClassVar[str]
    remedy: ClassVar[str]
    place: ClassVar[int] = 100
    clean: ClassVar[bool] = False

    @abstractmethod
    def look(self, results: Results) -> Seen:
        """Ask all results."""

    def ask(self, results: Results, explanation: str | None) -> Trap:
        """The trap as the report shows it; an explanation belongs to a failure only."""
        seen = self.look(results)
        return Trap(
            id=self.name,
            name=self.title,
            question=self.question,
            status=seen.status,
            evidence=seen.evidence,
            meaning=self.meaning,
            remedy=self.remedy,
            cells=seen.cells,
            explanation=explanation if seen.status == "failed" else None,
        )

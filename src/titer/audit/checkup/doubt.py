"""Doubt: one question about a model that decides how far attacks on it can be believed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from titer.audit.checkup.exam import Exam


@dataclass(frozen=True)
class Finding:
    """What became of one doubt.

    Arguments
        name, title: of the doubt. status: "clear", "raised" or "not applicable". evidence: what was seen, with numbers.
        meaning: what a raised doubt means. done: what Titer does about it, and what is left to do.
    """

    name: str
    title: str
    status: Literal["clear", "raised", "not applicable"]
    evidence: str
    meaning: str = ""
    done: str = ""


class Doubt(ABC):
    """Base of all doubts.

    Attributes
        name: the file's name. title: short name for readers.
        meaning: what it means when it is raised. done: what was done about it, and what is left to do.
        place: where it stands in the table.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str]
    done: ClassVar[str]
    place: ClassVar[int] = 100

    @abstractmethod
    def look(self, exam: Exam) -> tuple[bool | None, str]:
        """Whether it is raised (None: the question does not apply), and the evidence in one sentence."""

    def ask(self, exam: Exam) -> Finding:
        """The doubt as the table shows it."""
        raised, evidence = self.look(exam)
        if raised:
            return Finding(self.name, self.title, "raised", evidence, self.meaning, self.done)
        return Finding(self.name, self.title, "not applicable" if raised is None else "clear", evidence)

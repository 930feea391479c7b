"""Does the model give the same answer when it is asked the same again?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam


class RandomAnswers(Doubt):
    """The same case gets the same scores under other random numbers.

    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420), on stochastic gradients.
    """

    name: ClassVar[str] = "random_answers"
    title: ClassVar[str] = "Answers are not random"
    meaning: ClassVar[str] = (
        "The model draws random numbers in service. A single answer per case measures luck, and gradients of single "
        "draws lead astray."
    )
    done: ClassVar[str] = (
        "Every question is now the mean of 16 draws, and what was found is judged by 40 other ones; audits do the same "
        "by themselves."
    )
    place: ClassVar[int] = 2

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        if exam.raw.remote:
            return None, "An endpoint is not asked twice, since each question counts."
        if not exam.sound:
            return None, "The model gives NaN."
        return exam.random, (
            f"{len(exam.cases)} cases were asked twice, with other random numbers: the answers "
            f"{'differ' if exam.random else 'are the same'}."
        )

"""Are all answers numbers?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam


class Numbers(Doubt):
    """No answer is NaN."""

    name: ClassVar[str] = "numbers"
    title: ClassVar[str] = "Answers are numbers"
    meaning: ClassVar[str] = "The model breaks on valid cases; whatever an attack finds there is no measurement."
    done: ClassVar[str] = "Nothing else was asked, and audits refuse the model. Check its preprocessing and weights."
    place: ClassVar[int] = 1

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        broken = np.asarray(np.isnan(exam.scores)).reshape(len(exam.scores), -1).any(axis=1)
        return bool(broken.any()), f"NaN for {int(broken.sum())} of {len(exam.scores)} cases."

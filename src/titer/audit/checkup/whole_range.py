"""Is everybody fooled where everything is allowed?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.attacks.pgd import PGD
from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam
from titer.audit.traps._cells import allowed


class WholeRange(Doubt):
    """Where every valid input is allowed, PGD fools every case of a model that has more than one answer.

    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420): unbounded attacks reach 100 %.
    """

    name: ClassVar[str] = "whole_range"
    title: ClassVar[str] = "Without a limit everybody falls"
    meaning: ClassVar[str] = "The attack cannot find inputs that are known to exist; nor can it at small limits."
    done: ClassVar[str] = "Nothing. See the other doubts for the cause; read robust accuracy as an upper bound."
    place: ClassVar[int] = 9

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        if not exam.attackable or exam.model.task.kind == "segmentation":
            return None, "Needs measurements, gradients and one decision per case."
        space, count = exam.model.space, len(exam.batch)
        if exam.model.task.kind != "regression" and len(np.unique(exam.batch.targets, axis=0)) < 2:
            return None, "The model is right about one kind of case only."
        low, high = space.bounds()
        fooled = int(exam.attacked(PGD(), float(np.max((high - low) / space.per_channel(space.scale)))).fooled.sum())
        return count - fooled > allowed(count), f"{fooled} of {count} cases fall where every valid input is allowed."

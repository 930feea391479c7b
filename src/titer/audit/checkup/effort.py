"""Do more steps help the attacker?"""

from __future__ import annotations

from typing import ClassVar

from titer.attacks.pgd import PGD
from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam
from titer.audit.traps._cells import allowed


class Effort(Doubt):
    """PGD with 40 steps fools no fewer cases than with 5, and leaves no more margin.

    Source: Carlini et al. 2019 (arXiv 1902.06705).
    """

    name: ClassVar[str] = "effort"
    title: ClassVar[str] = "More steps help"
    meaning: ClassVar[str] = "The search goes astray: its result says how it was tuned, not how robust the model is."
    done: ClassVar[str] = (
        "Nothing. Use several restarts and losses, and smaller limits beside it to see where it breaks."
    )
    place: ClassVar[int] = 8

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        if not exam.attackable:
            return None, "Needs measurements and gradients."
        few, many = (int(exam.attacked(PGD(steps=steps, restarts=1)).fooled.sum()) for steps in (5, 40))
        count = len(exam.batch)
        return few - many > allowed(count), f"At {exam.label}, 5 steps fool {few} and 40 steps {many} of {count} cases."

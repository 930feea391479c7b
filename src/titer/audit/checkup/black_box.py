"""Does an attack that sees no gradients do better than one that does?"""

from __future__ import annotations

from typing import ClassVar

from titer.attacks.pgd import PGD
from titer.attacks.square import Square
from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam
from titer.audit.traps._cells import allowed


class BlackBox(Doubt):
    """Square, which asks for scores only, fools no more cases than PGD, which sees gradients.

    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420); Carlini et al. 2019 (arXiv 1902.06705).
    """

    name: ClassVar[str] = "black_box"
    title: ClassVar[str] = "Gradients beat guessing"
    meaning: ClassVar[str] = "Gradients mislead: the model is as weak as the black box shows, not as PGD says."
    done: ClassVar[str] = "Keep 'square' in the plan; the worst attack counts, case by case. Look for a masking step."
    place: ClassVar[int] = 7

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        if not exam.attackable:
            return None, "Needs measurements and gradients."
        white, black = (int(exam.attacked(each).fooled.sum()) for each in (PGD(), Square(queries=200)))
        count = len(exam.batch)
        return black - white > allowed(count), (
            f"At {exam.label}, PGD fools {white} and Square (200 questions) {black} of {count} cases."
        )

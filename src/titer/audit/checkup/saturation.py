"""Do losses still see what the margin sees?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam

# Cross-entropy whose slope is less than this part of the margin's is blind in float32 arithmetic.
_LEAST = 1e-5
_SHARE = 0.1


class Saturation(Doubt):
    """Cross-entropy has a slope where the margin has one, on at least nine cases of ten.

    The slope of cross-entropy is that of the margin times one minus the probability of the truth; large logits make the
    probability 1 in float32.

    Source: Carlini and Wagner 2017 (arXiv 1608.04644), Croce and Hein 2020 (arXiv 2003.01690).
    """

    name: ClassVar[str] = "saturation"
    title: ClassVar[str] = "Logits are not saturated"
    meaning: ClassVar[str] = "Attacks by cross-entropy alone leave the model standing that a margin loss brings down."
    done: ClassVar[str] = (
        "PGD climbs the margin in every second restart anyway. Keep 'margin' or 'dlr' among its losses, and at least 2 "
        "restarts; do not believe FGSM here."
    )
    place: ClassVar[int] = 5

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        if not exam.sees:
            return None, f"The model gives {exam.raw.access}, on {len(exam.batch)} cases that are right."
        if exam.model.task.kind in ("regression", "anomaly"):
            return None, "The loss is the score itself."
        margin, entropy = (exam.slopes(name).double().flatten(1).norm(dim=1) for name in ("margin", "ce"))
        seen = margin > 0
        blind = seen & (entropy < _LEAST * margin)
        return bool(blind.sum() > _SHARE * max(1, int(seen.sum()))), (
            f"Cross-entropy is blind on {int(blind.sum())} of {int(seen.sum())} cases where the margin has a slope."
        )

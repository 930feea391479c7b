"""Are the scores logits, not probabilities?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam


class Probabilities(Doubt):
    """Scores are logits, or probabilities whose logarithm is taken.

    Source: Carlini and Wagner 2017 (arXiv 1608.04644): a softmax in front of the loss hides the gradient.
    """

    name: ClassVar[str] = "probabilities"
    title: ClassVar[str] = "Scores are logits"
    meaning: ClassVar[str] = (
        "The model ends in a softmax or sigmoid, and its probabilities are read as logits: losses are squashed twice, "
        "their gradients all but vanish, and a threshold of 0 means always positive."
    )
    done: ClassVar[str] = "Nothing. Set 'probabilities: true' in the model's settings, and the logarithm is taken."
    place: ClassVar[int] = 3

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        task, scores = exam.raw.task, exam.scores
        if task.kind in ("regression", "anomaly") or exam.raw.access == "labels" or not exam.sound:
            return None, "The scores are no logits by their nature."
        found = [note for note in exam.raw.notes if note.startswith("probabilities found")]
        if found:
            return False, f"{found[0][0].upper()}{found[0][1:]}."
        inside = bool(((scores >= 0) & (scores <= 1)).all()) and len(np.unique(scores)) > 2
        joint = task.kind in ("classes", "segmentation") and scores.shape[1] > 1
        if joint and not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
            inside = False
        return inside, f"Scores run from {scores.min():.4g} to {scores.max():.4g}" + (
            " and sum to 1." if joint and inside else "."
        )

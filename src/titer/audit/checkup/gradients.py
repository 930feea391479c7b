"""Is there a gradient, and of what size?"""

from __future__ import annotations

from typing import ClassVar

import torch

from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam

# Gradients of cases that differ by more than this factor from the median do not come from ordinary layers.
_WILD = 1e6


class Gradients(Doubt):
    """The slope of the margin is neither zero everywhere, nor infinite, nor of a wild size, on any case.

    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420): shattered, vanishing and exploding gradients.
    """

    name: ClassVar[str] = "gradients"
    title: ClassVar[str] = "Gradients are there"
    meaning: ClassVar[str] = "Attacks that follow gradients walk blind, and robust accuracy would be overstated."
    done: ClassVar[str] = (
        "Such gradients count as zero and are reported per case. Name a stand-in for the part without a slope in the "
        "model's settings (backward: {part: identity}), and add 'square', which needs no gradient."
    )
    place: ClassVar[int] = 4

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        if not exam.sees:
            return None, f"The model gives {exam.raw.access}, on {len(exam.batch)} cases that are right."
        largest = exam.slopes().flatten(1).abs().amax(dim=1)
        broken = ~torch.isfinite(largest)
        flat = largest == 0
        alive = largest[~broken & ~flat]
        middle = float(alive.median()) if len(alive) else 0.0
        wild = int((alive > _WILD * middle).sum())
        count = len(largest)
        return bool(broken.any() or flat.any() or wild), (
            f"Zero everywhere for {int(flat.sum())}, no number for {int(broken.sum())}, a million times the median for "
            f"{wild} of {count} cases; median of the largest slopes {middle:.3g}."
        )

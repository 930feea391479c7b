"""Do gradients say what happens?"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from titer.audit.checkup.doubt import Doubt
from titer.audit.checkup.exam import Exam
from titer.threats.random import CaseRandom

# Steps in parts of the limit. A slope that is right at any of them is right: kinks and rounding spoil single ones.
_STEPS = (1.0, 0.1, 0.01)
_SHARE = 0.25


class FiniteDifferences(Doubt):
    """What a small step does to the margin is what the gradient says, on at least three cases of four.

    Along the steepest direction and along random signs, the slope must agree within a half with a central difference
    at one of three step sizes; differences that rounding could have made are not counted.

    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420): checking gradients numerically.
    """

    name: ClassVar[str] = "finite_differences"
    title: ClassVar[str] = "Gradients say what happens"
    meaning: ClassVar[str] = (
        "A step inside the model (rounding, thresholds, JPEG, a detached part) has another slope than the one it "
        "reports, or none. Attacks by gradients are weaker than an attacker would be."
    )
    done: ClassVar[str] = (
        "Nothing. Name a stand-in for the step in the model's settings (backward: {part: identity}), put it in front "
        "as titer.models.adapters.bpda.Through, or add 'square'."
    )
    place: ClassVar[int] = 6

    def look(self, exam: Exam) -> tuple[bool | None, str]:
        if not exam.sees or exam.random:
            return None, "Averages of draws differ from point to point." if exam.random else "No gradients are given."
        if getattr(exam.raw, "backward", None):
            return None, "Stand-ins are in place, whose slopes are other ones by design."
        # The margin of a map has the slope of the pixels that must fall, not its own.
        name = "ce" if exam.model.task.kind == "segmentation" else "margin"
        slope = torch.nan_to_num(exam.slopes(name), nan=0.0, posinf=0.0, neginf=0.0)
        size = exam.limit * self._scale(exam)
        luck = CaseRandom.of("check-up", exam.batch.ids).signs(tuple(slope.shape[1:]), 0, slope.dtype)
        wrong = asked = 0
        with exam.model.ready(), torch.no_grad():
            for direction in (slope.sign(), luck):
                real, agrees = self._compare(exam, name, slope, size * direction)
                asked += int(real.sum())
                wrong += int((real & ~agrees).sum())
        return wrong > _SHARE * max(1, asked), (
            f"{wrong} of {asked} differences that were large enough to measure disagree with the gradient."
        )

    def _compare(self, exam: Exam, name: str, slope: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        said = (slope.double() * step.double()).flatten(1).sum(dim=1)
        real = torch.zeros(len(said), dtype=torch.bool)
        agrees = torch.zeros(len(said), dtype=torch.bool)
        level = exam.values(exam.points, name).double().abs()
        for part in _STEPS:
            up, down = (exam.values(exam.points + way * part * step, name).double() for way in (1, -1))
            moved = (up - down) / 2
            told = part * said
            large = torch.maximum(moved.abs(), told.abs())
            here = large > 1e-4 * (1 + level)
            real |= here
            agrees |= here & ((moved - told).abs() <= 0.5 * large)
        return real, agrees

    def _scale(self, exam: Exam) -> Tensor:
        space = exam.model.space
        if space.kind == "tokens":
            return torch.tensor(0.01).to(exam.points)
        return torch.as_tensor(space.per_channel(space.scale)).to(exam.points)

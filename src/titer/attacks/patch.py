"""Adversarial patch: a sticker that works wherever it is laid, learned from a pool of cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from titer.attacks._placed import Placed, check_dimensions, checked_place, laid, patch_of
from titer.attacks._pushes import minibatches, toward, ways
from titer.attacks.attack import Attack, LearningAttack
from titer.attacks.losses import loss
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.threats.change import Change
from titer.threats.changes.patch import Patch, ends
from titer.threats.random import CaseRandom

# Adam's memory of slopes and of their squares, as its authors set it.
_MEMORY = (0.9, 0.999)


@dataclass(frozen=True)
class AdversarialPatch(LearningAttack):
    """max over p of the mean, over cases, places, slants and sizes, of the loss of the case with patch p.

    One patch per way of being wrong: per class, or up and down. Each step draws for every case of a batch a new place,
    slant and size (from `smallest` times the limit to the limit), and moves the content along the mean gradient by
    Adam (Kingma and Ba 2015, arXiv 1412.6980), in parts of the valid range, within it; the rate falls evenly to
    nothing. An attacked case gets, at its full limit and at a place and slant of its own, the patch of what it is not:
    of the class that the pool fell to most readily, or up or down.

    Source: Brown et al. 2017 (arXiv 1712.09665); in medical images Finlayson et al. 2019 (doi 10.1126/science.aaw4399,
    arXiv 1804.05296). Different from both: Adam instead of plain descent, and sizes that end at the limit.

    Arguments
        epochs: passes over the pool per way.
        batch: cases per step.
        rate: the first step, in parts of the valid range.
        smallest: the smallest size while learning, in parts of the limit.
        loss: "ce", "margin" or "dlr".
        place: None for patches that work anywhere; numbers of 0 to 1 per dimension for one that is learned and
            laid at that place alone, unslanted and at full size.
        pool: the most cases to learn from in an audit.

    >>> AdversarialPatch().fits(Patch())
    True
    """

    epochs: int = 30
    batch: int = 32
    rate: float = 0.1
    smallest: float = 0.7
    loss: str = "ce"
    place: tuple[float, ...] | None = None
    name: ClassVar[str] = "patch"
    reference: ClassVar[str] = "Brown et al. 2017, arXiv 1712.09665"
    searches: ClassVar[type[Change]] = Patch

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, epochs=self.epochs, batch=self.batch)
        self.require(0, rate=self.rate)
        if not 0 < self.smallest <= 1:
            raise AttackError("a smallest size above 0, up to 1", str(self.smallest), "correct 'smallest' of patch")
        object.__setattr__(self, "place", checked_place(self.place, self.name))
        loss(self.loss)

    def learn(self, problem: Problem, rng: CaseRandom) -> Attack:
        check_dimensions(self.place, problem, self.name)
        found = {}
        for way in ways(problem):
            single = toward(problem, way)
            canvas = self._ascend(single, rng)
            found[way] = canvas, self._worth(single, canvas, rng)
        # Of equals the first way stays first.
        order = sorted(found, key=lambda way: found[way][1], reverse=True)
        return _Learned({way: found[way][0] for way in order}, self.place)

    def _ascend(self, problem: Problem, rng: CaseRandom) -> Tensor:
        """The content of one way, [*shape]."""
        field, change = problem.field, patch_of(problem)
        low, high = (end[None] for end in ends(field))
        canvas = (low + high) / 2
        slope, square = torch.zeros_like(canvas), torch.zeros_like(canvas)
        steps, step = self.epochs * -(-len(problem) // self.batch), 0
        for epoch in range(self.epochs):
            for rows in minibatches(rng, self.batch, epoch):
                part, noise = problem.rows(rows), rng.rows(rows)
                params = laid(part, canvas, self._sizes(part, noise, epoch), self.place, noise, 4 * epoch + 3)
                gradient = change.content(part.field, part.slope(params, self.loss)[1]).mean(dim=0, keepdim=True)
                step += 1
                slope = _MEMORY[0] * slope + (1 - _MEMORY[0]) * gradient
                square = _MEMORY[1] * square + (1 - _MEMORY[1]) * gradient * gradient
                size = (square / (1 - _MEMORY[1] ** step)).sqrt().clamp_min(1e-30)
                ahead = slope / (1 - _MEMORY[0] ** step) / size
                rate = self.rate * (1 - (step - 1) / steps)
                canvas = torch.clamp(canvas + rate * (high - low) * ahead, low, high)
        return canvas[0]

    def _sizes(self, problem: Problem, rng: CaseRandom, epoch: int) -> Tensor:
        if self.place is not None:
            return problem.limit
        luck = rng.uniform((1,), 4 * epoch + 1, torch.float64)[:, 0]
        return problem.limit * (self.smallest + (1 - self.smallest) * luck).to(problem.limit)

    def _worth(self, problem: Problem, canvas: Tensor, rng: CaseRandom) -> tuple[int, float]:
        """How many of the pool the patch fools, and by how much in the mean."""
        gained = []
        for rows in torch.split(torch.arange(len(problem), device=problem.inputs.device), self.batch):
            part = problem.rows(rows)
            params = laid(part, canvas[None], part.limit, self.place, rng.rows(rows), 4 * self.epochs + 3)
            gained.append(part.advantage(part.scores(params)))
        every = torch.cat(gained)
        return int((every > 0).sum()), float(every.mean())


@dataclass(frozen=True, eq=False)
class _Learned(Placed):
    """The patches that `AdversarialPatch` learned. It asks nothing."""

    name: ClassVar[str] = AdversarialPatch.name
    reference: ClassVar[str] = AdversarialPatch.reference

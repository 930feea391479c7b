"""FGSM: one step along the sign of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.losses import loss
from titer.attacks.problem import Problem
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class FGSM(Attack):
    """One step of the full limit along the steepest direction of the loss.

    x' = clip(x + limit * steepest(gradient of L(f(x), y))); in L-infinity steepest is the sign, in L2 the gradient
    over its length. With a random start: a point of the ball first, then a step of 1.25 limits, projected.

    Source: Goodfellow, Shlens, Szegedy 2015 (arXiv 1412.6572); random start: Wong, Rice, Kolter 2020 (arXiv
    2001.03994).

    Arguments
        loss: "ce", "margin", "dlr", "target" or "dlr-target".
        random_start: begin at a random point of the ball.

    >>> FGSM().needs
    'gradients'
    """

    loss: str = "ce"
    random_start: bool = False
    name: ClassVar[str] = "fgsm"
    reference: ClassVar[str] = "Goodfellow, Shlens, Szegedy 2015, arXiv 1412.6572"
    iterative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        loss(self.loss)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        start = problem.sample(rng, draw=0) if self.random_start else problem.nothing()
        _, gradient, _ = problem.slope(start, self.loss)
        return problem.project(start + problem.step(gradient, 1.25 if self.random_start else 1.0))

"""Random noise of the same size: what chance does. A control, not an attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.errors import AttackError
from titer.models.model import Access
from titer.threats.change import BallChange, Change, SmoothChange, StepwiseChange
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class Noise(Attack):
    """A random change at the limit, unrelated to the model.

    "sign" puts every value at plus or minus the limit (L-infinity only; the strongest noise of that size), "ball" draws
    uniformly within the limit; counted changes take as many random edits as the limit allows. With `tries` above 1
    the best of several is kept, and it becomes a label-only attack.

    Source: the control that Madry et al. 2018 (arXiv 1706.06083) and every evaluation guide since ask for.

    Arguments
        kind: "sign" or "ball"; changes without signs always draw from the ball.
        tries: draws per case; the best is kept when above 1.

    >>> Noise().control
    True
    """

    kind: Literal["sign", "ball"] = "sign"
    tries: int = 1
    name: ClassVar[str] = "noise"
    reference: ClassVar[str] = "control: random change of the same size"
    needs: ClassVar[Access] = "labels"
    searches: ClassVar[type[Change]] = Change  # type: ignore[type-abstract]
    control: ClassVar[bool] = True
    iterative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.require(1, tries=self.tries)
        if self.kind not in ("sign", "ball"):
            raise AttackError("noise of kind 'sign' or 'ball'", repr(self.kind), "correct 'kind' of noise")

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        if self.tries == 1:
            return self._draw(problem, rng, 0)
        best = Best.of(problem)
        for attempt in range(self.tries):
            params = self._draw(problem, rng, attempt)
            best.offer(params, problem.advantage(problem.scores(params)))
        return best.params

    def fits(self, change: Change) -> bool:
        return isinstance(change, (SmoothChange, StepwiseChange))

    def _draw(self, problem: Problem, rng: CaseRandom, draw: int) -> Tensor:
        change = problem.change
        if self.kind == "sign" and isinstance(change, BallChange) and change.norm == "linf":
            signs = rng.signs(tuple(problem.field.clean.shape[1:]), draw, problem.field.clean.dtype)
            return problem.project(problem.step(signs, 1.0))
        return problem.sample(rng, draw)

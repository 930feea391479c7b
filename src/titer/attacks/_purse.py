"""A purse of questions for each case: what an attacker who sees no gradients has to live on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from titer.attacks.problem import Best, Problem

# Values in one question; many draws are asked together up to this size.
_TOGETHER = 1 << 22
# Half of what the engine forgives, so that nothing it would take back is kept.
_SLACK = 5e-7


@dataclass(eq=False)
class Purse:
    """Questions left to each case, and the best that was found with them inside the limit.

    Arguments
        problem: all cases. left: [n] questions that each may still ask. best: inside the limit only.
    """

    problem: Problem
    left: Int[Tensor, " n"]
    best: Best

    @classmethod
    def of(cls, problem: Problem, most: int) -> Purse:
        """`most` questions per case, or what the threat leaves of them."""
        left = torch.full((len(problem),), most, dtype=torch.int64, device=problem.inputs.device)
        if problem.budget is not None:
            left = (problem.budget - problem.meter.queries[problem.index]).clamp(min=0, max=most)
        return cls(problem, left, Best.of(problem))

    def able(self, questions: int = 1) -> Int[Tensor, " m"]:
        """The cases not fooled yet that can pay for so many questions."""
        able: Tensor = ~self.best.fooled & (self.left >= questions)
        return able.nonzero()[:, 0]

    def value(self, rows: Int[Tensor, " m"], params: Tensor) -> Float[Tensor, " m"]:
        """The attacker's margin, one question for each row; a case may stand in several."""
        if not len(rows):
            return torch.zeros(0, dtype=torch.float64, device=rows.device)
        part = self.problem.rows(rows)
        value: Tensor = part.advantage(part.scores(params))
        self.left = self.left - torch.bincount(rows, minlength=len(self.left))
        return value

    def offer(self, rows: Int[Tensor, " m"], params: Tensor) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Margin and cost, each case once; what is better than all before is kept if the limit allows it."""
        value, cost = self.value(rows, params), self.cost(rows, params)
        inside = cost <= self.limit(rows)
        self.best.offer(params[inside], value[inside], rows[inside])
        return value, cost

    def cost(self, rows: Int[Tensor, " m"], params: Tensor) -> Float[Tensor, " m"]:
        """What these parameters cost, in float64 as the engine compares it."""
        problem = self.problem
        paid: Tensor = problem.change.cost(problem.field.rows(rows), params).double()
        return paid

    def limit(self, rows: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
        """The largest cost that counts as within the limit."""
        most: Tensor = self.problem.limit[rows].double() * (1 + _SLACK)
        return most

    def together(self, rows: int) -> int:
        """Draws per case that make one question of reasonable size."""
        values = max(1, rows * self.problem.nothing()[:1].numel())
        return max(1, _TOGETHER // values)


def column(values: Tensor, like: Tensor) -> Tensor:
    """One number per case, shaped to broadcast against parameters."""
    return values.to(like.dtype).reshape(-1, *([1] * (like.dim() - 1)))

"""The cheapest parameters that fool, case by case; failing that, the best by the attacker's margin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.attacks.problem import Problem


@dataclass(eq=False)
class Cheapest:
    """What a search for few edits has found so far; `cost` is infinite where nothing fools yet."""

    params: Tensor
    cost: Float[Tensor, " n"]
    value: Float[Tensor, " n"]

    @classmethod
    def of(cls, problem: Problem) -> Cheapest:
        """Start from doing nothing, which is free."""
        value = problem.advantage(problem.clean)
        cost = torch.where(value > 0, 0.0, torch.inf).to(torch.float64)
        return cls(problem.nothing(), cost, value)

    def offer(
        self, problem: Problem, params: Tensor, scores: Float[Tensor, "m K ..."], rows: Int[Tensor, " m"]
    ) -> Bool[Tensor, " m"]:
        """Keep what is better for the cases in these rows, and tell which of the offers fool."""
        value = problem.advantage(scores)
        fooled = value > 0
        price = torch.where(fooled, problem.change.cost(problem.field, params).double(), torch.inf)
        before = self.cost[rows]
        better = (price < before) | (torch.isinf(before) & ~fooled & (value > self.value[rows]))
        chosen = rows[better]
        self.params = self.params.index_copy(0, chosen, params[better])
        self.cost = self.cost.index_copy(0, chosen, price[better])
        self.value = self.value.index_copy(0, chosen, value[better])
        return fooled

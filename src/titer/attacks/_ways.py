"""Ways of being fooled: each is a weighted sum of the scores that must rise above zero.

A linear model of a decision needs one border for each way: another class that overtakes the true one, a finding that
crosses its threshold, an answer that leaves its tolerance at the upper or at the lower end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from titer.attacks.problem import Problem


@dataclass(frozen=True, eq=False)
class Ways:
    """The nearest ways of each case, nearest first.

    Arguments
        weights: of the shifted scores; None where one way changes with the scores (a target that must lead over all).
        offsets: what is added to the sums.
    """

    weights: Float[Tensor, "n m K"] | None
    offsets: Float[Tensor, "n m"]

    @classmethod
    def of(cls, problem: Problem, most: int) -> Ways:
        """At most this many ways of each case, those that are nearest to being open on the clean case."""
        task, goal, count = problem.model.task, problem.goal, len(problem)
        clean = task.shifted(problem.clean.double())
        if goal.kind != "untargeted" or task.kind == "segmentation":
            return cls(None, clean.new_zeros(count, 1))
        if task.kind == "regression":
            signs = torch.tensor([[1.0], [-1.0]], dtype=torch.float64, device=clean.device)
            weights = signs.repeat(count, 1, 1)
            offsets = -weights[:, :, 0] * problem.truth[:, None] - float(task.tolerance or 0)
            # The side to which the clean answer already errs is nearer.
            return _nearest(weights, offsets, (weights * clean[:, None]).sum(dim=2) + offsets, most)
        each = torch.eye(clean.shape[1], dtype=torch.float64, device=clean.device).repeat(count, 1, 1)
        if task.kind == "classes":
            own = each[torch.arange(count, device=clean.device), problem.truth][:, None]
            gaps = clean.scatter(1, problem.truth[:, None], -torch.inf)
            return _nearest(each - own, torch.zeros_like(clean), gaps, min(most, clean.shape[1] - 1))
        side = 1 - 2 * problem.truth.double().reshape(clean.shape)
        return _nearest(each * side[:, :, None], torch.zeros_like(clean), side * clean, most)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def count(self) -> int:
        """Ways per case."""
        return self.offsets.shape[1]

    def rows(self, index: Tensor) -> Ways:
        """The ways of the cases at these row numbers."""
        return Ways(None if self.weights is None else self.weights[index], self.offsets[index])

    def only(self, rank: int) -> Ways:
        """One way of each case."""
        place = slice(rank, rank + 1)
        return Ways(None if self.weights is None else self.weights[:, place], self.offsets[:, place])

    def chosen(self, places: Int[Tensor, "n k"]) -> Ways:
        """The ways at these places of each case, in their order."""
        weights = self.weights
        if weights is not None:
            weights = weights.gather(1, places[:, :, None].expand(-1, -1, weights.shape[2]))
        return Ways(weights, self.offsets.gather(1, places))

    def look(self, problem: Problem, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [n, K], how far each way is open [n, m] (below 0: shut) and its slope [n, m, ...]; a pass per way."""
        if self.weights is None:
            value, slope, scores = problem.slope(params, "margin")
            return scores, value[:, None].double(), slope[:, None]
        scores, slopes = problem.slopes(params, self.weights)
        shifted = problem.model.task.shifted(scores.double())
        return scores, (self.weights * shifted[:, None]).sum(dim=2) + self.offsets, slopes


def _nearest(weights: Tensor, offsets: Tensor, gaps: Float[Tensor, "n m"], most: int) -> Ways:
    """The ways that are nearest to being open, nearest first."""
    order = gaps.argsort(dim=1, descending=True, stable=True)[:, :most]
    return Ways(weights.gather(1, order[:, :, None].expand(-1, -1, weights.shape[2])), offsets.gather(1, order))

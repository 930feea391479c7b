"""Problem: all that an attack sees. It asks, the problem counts; it proposes, the engine judges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from titer.attacks.losses import advantage, loss
from titer.errors import AttackError, BudgetError
from titer.models.model import Access, Model, allows
from titer.threats.change import Change, Field, SmoothChange
from titer.threats.goal import Goal
from titer.threats.random import CaseRandom

# From this many rows on, matrix products give each row the same bits whatever stands beside it (fewer rows take
# another path through the linear-algebra library). Smaller questions are filled up, so a case alone is bit-equal.
_ROWS = 8


class Meter:
    """What an attack spent, per case, and what its gradients looked like."""

    def __init__(self, count: int) -> None:
        self.queries = torch.zeros(count, dtype=torch.int64)
        self.passes = torch.zeros(count, dtype=torch.int64)
        self.flat = torch.zeros(count, dtype=torch.int64)
        self.broken = torch.zeros(count, dtype=torch.int64)

    def watch(self, rows: Tensor, gradient: Tensor) -> None:
        """Remember gradients that are identically zero, or not numbers."""
        flat = gradient.flatten(1)
        self.passes[rows] += 1
        self.flat[rows] += (flat == 0).all(dim=1).cpu()
        self.broken[rows] += (~torch.isfinite(flat)).any(dim=1).cpu()


@dataclass(frozen=True, eq=False)
class Problem:
    """One threat against one model on some cases.

    Arguments
        model: asked through `scores`, `slope` and `jacobian` only.
        inputs: [n, *shape] clean cases.
        field: the surface on which the change acts, with its borders.
        change, limit, goal: the threat; `limit` is [n], one per case.
        truth: [n] targets; for a targeted goal the wanted class.
        clean: [n, K] scores of the clean cases.
        knowledge: what may be seen.
        meter, index: where questions are counted, and the rows of these cases there.
        budget: the most questions per case, or None.
    """

    model: Model
    inputs: Tensor
    field: Field
    change: Change
    limit: Float[Tensor, " n"]
    goal: Goal
    truth: Tensor
    clean: Float[Tensor, "n K"]
    knowledge: Access
    meter: Meter
    index: Tensor
    budget: int | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def smooth(self) -> SmoothChange:
        """The change, if gradients can improve it."""
        if not isinstance(self.change, SmoothChange):
            raise AttackError("a smooth change", f"{self.change.name!r}", "use an attack that searches by single edits")
        return self.change

    def rows(self, index: Tensor) -> Problem:
        """The same problem on fewer cases: attacks drop cases that are already fooled."""
        return replace(
            self,
            inputs=self.inputs[index],
            field=self.field.rows(index),
            limit=self.limit[index],
            truth=self.truth[index],
            clean=self.clean[index],
            index=self.index[index.to(self.index.device)],
        )

    def nothing(self) -> Tensor:
        """Parameters that change nothing."""
        return self.change.nothing(self.field)

    def sample(self, rng: CaseRandom, draw: int) -> Tensor:
        """Random parameters within the limit."""
        return self.smooth.sample(self.field, self.limit, rng, draw)

    def project(self, params: Tensor) -> Tensor:
        """The nearest parameters that keep limit, mask and range."""
        return self.smooth.project(self.field, params, self.limit)

    def step(self, gradient: Tensor, length: float) -> Tensor:
        """A step along the steepest direction, `length` in parts of the limit."""
        size = (length * self.limit).reshape(-1, *([1] * (gradient.dim() - 1)))
        return size * self.smooth.steepest(self.field, gradient)

    def scores(self, params: Tensor) -> Float[Tensor, "n K"]:
        """Scores of the perturbed cases; one question per case."""
        self._spend(1)
        with torch.no_grad():
            return self._seen(self._ask(params))

    def advantage(self, scores: Tensor) -> Float[Tensor, " n"]:
        """The attacker's margin, above 0 when fooled."""
        return advantage(self.model.task, self.goal, scores, self.truth, self.clean)

    def slope(self, params: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Loss [n], its gradient at `params`, and the scores seen on the way; one question and one pass."""
        self._must_see_gradients()
        self._spend(1)
        point = params.detach().requires_grad_(True)
        with torch.enable_grad():
            scores = self._ask(point)
            value = loss(name)(self.model.task, self.goal, scores, self.truth, self.clean)
            (gradient,) = torch.autograd.grad(value.sum(), point)
        self.meter.watch(self.index, gradient)
        return value.detach(), torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0), scores.detach()

    def jacobian(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [n, K] and their derivatives [n, K, ...]; one question and K passes."""
        self._must_see_gradients()
        self._spend(1)
        point = params.detach().requires_grad_(True)
        columns = []
        with torch.enable_grad():
            scores = self._ask(point)
            for k in range(scores.shape[1]):
                last = k == scores.shape[1] - 1
                (gradient,) = torch.autograd.grad(scores[:, k].sum(), point, retain_graph=not last)
                self.meter.watch(self.index, gradient)
                columns.append(torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0))
        return scores.detach(), torch.stack(columns, dim=1)

    def remaining(self) -> int | None:
        """Questions left for the case that has asked most, or None without a limit."""
        if self.budget is None:
            return None
        return self.budget - int(self.meter.queries[self.index].max()) if len(self) else self.budget

    def _ask(self, params: Tensor) -> Tensor:
        perturbed = self.change.apply(self.field, params)
        count = len(perturbed)
        inputs = self.inputs
        if count < _ROWS:
            fill = torch.zeros(_ROWS - count, dtype=torch.int64, device=perturbed.device)
            perturbed = torch.cat((perturbed, perturbed.detach()[fill]))
            inputs = torch.cat((inputs, inputs[fill]))
        if self.change.surface == "embedding":
            return self.model.scores_embedded(inputs, perturbed)[:count]
        return self.model.scores(perturbed)[:count]

    def _seen(self, scores: Tensor) -> Tensor:
        if self.knowledge != "labels" or self.model.access == "labels":
            return scores
        decided = torch.from_numpy(self.model.task.decide(scores.double().cpu().numpy())).to(scores.device)
        if self.model.task.kind == "classes":
            hard = torch.nn.functional.one_hot(decided, scores.shape[1]).to(scores.dtype)
            return hard
        return (2.0 * decided.to(scores.dtype) - 1).reshape(scores.shape)

    def _must_see_gradients(self) -> None:
        if not allows(self.knowledge, "gradients"):
            raise AttackError(
                "an attacker who sees gradients",
                f"knowledge {self.knowledge!r}",
                "use a black-box attack such as 'square'",
            )

    def _spend(self, count: int) -> None:
        asked = self.meter.queries[self.index] + count
        if self.budget is not None and len(asked) and int(asked.max()) > self.budget:
            raise BudgetError(
                f"at most {self.budget} questions per case",
                str(int(asked.max())),
                "lower the attack's steps or queries",
            )
        self.meter.queries[self.index] = asked


@dataclass(eq=False)
class Best:
    """The best parameters seen so far, case by case, by the attacker's margin."""

    params: Tensor
    value: Tensor

    @classmethod
    def of(cls, problem: Problem) -> Best:
        """Start from doing nothing."""
        return cls(problem.nothing(), problem.advantage(problem.clean))

    @property
    def fooled(self) -> Any:
        """[n] whether the best parameters fool the model."""
        return self.value > 0

    def offer(self, params: Tensor, value: Tensor, rows: Tensor | None = None) -> None:
        """Keep what is better; `rows` tells which cases the offer is about."""
        where = torch.arange(len(self.value), device=self.value.device) if rows is None else rows
        better = value > self.value[where]
        chosen = where[better]
        self.params = self.params.index_copy(0, chosen, params.detach()[better])
        self.value = self.value.index_copy(0, chosen, value.detach()[better])

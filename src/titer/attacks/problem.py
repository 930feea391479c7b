"""Problem: all that an attack sees. It asks, the problem counts; it proposes, the engine judges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from titer.attacks._rows import Seating, block
from titer.attacks.losses import advantage, loss
from titer.cases.case import Array
from titer.errors import AttackError, BudgetError
from titer.models.model import Knowledge, Model, allows
from titer.models.trees import Forest
from titer.threats.change import Change, DrawnChange, Field, GridChange, SmoothChange, StepwiseChange
from titer.threats.goal import Goal
from titer.threats.random import CaseRandom

# Looks that are put down before they are counted.
_PUT_DOWN = 256


class Meter:
    """What an attack spent, per case, and what its gradients looked like.

    Looks are put down as they come and counted when somebody asks: on a graphics card each sum by itself would take as
    long as a layer of the model.
    """

    def __init__(self, count: int, device: torch.device | None = None) -> None:
        self._sums = torch.zeros(4, count, dtype=torch.int64, device=device)
        self._spent: list[tuple[Tensor, int]] = []
        self._looks: list[tuple[Tensor, Tensor]] = []

    def spend(self, rows: Tensor, count: int) -> None:
        """Count questions; a case may stand in several rows."""
        self._spent.append((rows, count))
        if len(self._spent) >= _PUT_DOWN:
            self._count()

    def watch(self, rows: Tensor, gradient: Tensor) -> None:
        """Remember gradients that are identically zero, or not numbers; a case may stand in several rows."""
        self._looks.append((rows, gradient.flatten(1).abs().amax(dim=1)))
        if len(self._looks) >= _PUT_DOWN:
            self._count()

    @property
    def queries(self) -> Int[Tensor, " n"]:
        """Questions asked about each case."""
        return self._count()[0]

    @property
    def passes(self) -> Int[Tensor, " n"]:
        """Gradients taken of each case."""
        return self._count()[1]

    @property
    def useless(self) -> Int[Tensor, " n"]:
        """Gradients of each case that were all zero, or not numbers."""
        return self._count()[2:].sum(dim=0)

    def told(self) -> dict[str, Array]:
        """Questions and passes of each case, and the shares of its gradients that were flat or broken."""
        queries, passes, flat, broken = self._count().cpu().numpy()
        some = np.maximum(passes, 1)
        return {"queries": queries, "passes": passes, "flat": flat / some, "broken": broken / some}

    def _count(self) -> Tensor:
        """All four sums, with what was put down."""
        if self._spent:
            rows = torch.cat([rows for rows, _ in self._spent])
            counts = torch.cat([torch.full_like(rows, count) for rows, count in self._spent])
            self._sums[0].index_add_(0, rows, counts)
        if self._looks:
            rows, largest = (torch.cat(parts) for parts in zip(*self._looks, strict=True))
            told = torch.stack((torch.ones_like(largest), largest == 0, ~torch.isfinite(largest)))
            self._sums[1:].index_add_(1, rows, told.to(torch.int64))
        self._spent, self._looks = [], []
        return self._sums


@dataclass(frozen=True, eq=False)
class Problem:
    """One threat against one model on some cases.

    Arguments
        model: asked through `scores`, `slope` and `jacobian`, or read through `trees`, only.
        inputs: [n, *shape] clean cases.
        field: the surface on which the change acts, with its borders.
        change, limit, goal: the threat; `limit` is [n], one per case.
        truth: [n] targets, or true maps [n, *spatial]; for a targeted goal the wanted class.
        clean: [n, K] scores of the clean cases; for segmentation [n, K, *spatial].
        knowledge: what may be seen.
        meter, index: where questions are counted, and the rows of these cases there.
        budget: the most questions per case, or None.
        lane: [n] where each case must sit in a question for its answer to be the same bits always; None if unknown.
    """

    model: Model
    inputs: Tensor
    field: Field
    change: Change
    limit: Float[Tensor, " n"]
    goal: Goal
    truth: Tensor
    clean: Float[Tensor, "n K ..."]
    knowledge: Knowledge
    meter: Meter
    index: Int[Tensor, " n"]
    budget: int | None = None
    lane: Int[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def smooth(self) -> SmoothChange:
        """The change, if gradients can improve it."""
        if not isinstance(self.change, SmoothChange):
            raise AttackError("a smooth change", f"{self.change.name!r}", "use an attack that searches by single edits")
        return self.change

    @property
    def gridded(self) -> GridChange:
        """The change, if it has so few parameters that a grid can be laid over them."""
        if not isinstance(self.change, GridChange):
            raise AttackError("a change of few parameters", f"{self.change.name!r}", "use an attack for smooth changes")
        return self.change

    @property
    def stepwise(self) -> StepwiseChange:
        """The change, if it is made of single edits."""
        if not isinstance(self.change, StepwiseChange):
            raise AttackError("a change of single edits", f"{self.change.name!r}", "use an attack for smooth changes")
        return self.change

    def rows(self, index: Tensor) -> Problem:
        """The same problem on some of its cases: those still standing, or each several times to ask several things."""
        return replace(
            self,
            inputs=self.inputs[index],
            field=self.field.rows(index),
            limit=self.limit[index],
            truth=self.truth[index],
            clean=self.clean[index],
            index=self.index[index.to(self.index.device)],
            lane=None if self.lane is None else self.lane[index.to(self.lane.device)],
        )

    def within(self, limit: Float[Tensor, " n"]) -> Problem:
        """The same problem with other limits."""
        return replace(self, limit=limit)

    def nothing(self) -> Tensor:
        """Parameters that change nothing."""
        return self.change.nothing(self.field)

    def sample(self, rng: CaseRandom, draw: int) -> Tensor:
        """Random parameters within the limit."""
        change = self.change if isinstance(self.change, (StepwiseChange, DrawnChange)) else self.smooth
        return change.sample(self.field, self.limit, rng, draw)

    def project(self, params: Tensor) -> Tensor:
        """The nearest parameters that keep limit, mask and range."""
        return self.smooth.project(self.field, params, self.limit)

    def step(self, gradient: Tensor, length: float | Float[Tensor, " n"]) -> Tensor:
        """A step along the steepest direction, `length` in parts of the limit (one for all, or one per case)."""
        size = (length * self.limit).reshape(-1, *([1] * (gradient.dim() - 1)))
        return size * self.smooth.steepest(self.field, gradient)

    def scores(self, params: Tensor) -> Float[Tensor, "n K ..."]:
        """Scores of the perturbed cases; one question per case."""
        self._spend(1)
        with torch.no_grad():
            return self.seen(self.ask(params)[0])

    def advantage(self, scores: Tensor) -> Float[Tensor, " n"]:
        """The attacker's margin, above 0 when fooled; in float64, as the engine judges."""
        return advantage(self.model.task, self.goal, scores.double(), self.truth, self.clean.double())

    def slope(self, params: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """A loss [n], its gradient at `params`, and the scores seen on the way; one question and one pass.

        For changes of words the gradient is that of the embedded words, [n, L, E].
        """
        point, scores = self._look(params)
        with torch.enable_grad():
            value = loss(name)(self.model.task, self.goal, scores, self.truth, self.clean)
            (gradient,) = torch.autograd.grad(value.sum(), point)
        return value.detach(), self._watched(gradient), scores.detach()

    def jacobian(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [n, K] and their derivatives [n, K, ...]; one question and K passes. Maps have no such thing."""
        self._one_per_case()
        point, scores = self._look(params)
        columns = []
        for k in range(scores.shape[1]):
            last = k == scores.shape[1] - 1
            (gradient,) = torch.autograd.grad(scores[:, k].sum(), point, retain_graph=not last)
            columns.append(self._watched(gradient))
        return scores.detach(), torch.stack(columns, dim=1)

    def slopes(self, params: Tensor, weights: Float[Tensor, "n m K"]) -> tuple[Tensor, Tensor]:
        """Scores [n, K] and the slopes [n, m, ...] of m weighted sums of them; m passes, or one if K is 1."""
        point, scores = self._look(params)
        weighed = weights.to(scores)
        if scores.shape[1] == 1:
            (gradient,) = torch.autograd.grad(scores.sum(), point)
            slope = self._watched(gradient)[:, None]
            return scores.detach(), weighed.reshape(*weighed.shape[:2], *[1] * (slope.dim() - 2)) * slope
        columns = []
        for way in range(weighed.shape[1]):
            last = way == weighed.shape[1] - 1
            with torch.enable_grad():
                total = (weighed[:, way] * scores).sum()
            (gradient,) = torch.autograd.grad(total, point, retain_graph=not last)
            columns.append(self._watched(gradient))
        return scores.detach(), torch.stack(columns, dim=1)

    def contrast(self, params: Tensor, wanted: Int[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [n, K], the slope of each case's wanted score, and that of the sum of all others; two passes."""
        self._one_per_case()
        point, scores = self._look(params)
        with torch.enable_grad():
            own = scores.gather(1, wanted[:, None]).sum()
            (rise,) = torch.autograd.grad(own, point, retain_graph=True)
            (others,) = torch.autograd.grad(scores.sum() - own, point)
        return scores.detach(), self._watched(rise), self._watched(others)

    def toward(self, wanted: Int[Tensor, " n"]) -> Problem:
        """The same problem with a class for each case as its goal."""
        return replace(self, goal=Goal("targeted"), truth=wanted)

    def gains(
        self, params: Tensor, gradient: Float[Tensor, "n L E"], edits: Int[Tensor, "n L C"]
    ) -> Float[Tensor, "n L C"]:
        """What each edit of words would add to a loss with this gradient, to first order: (e_new - e_now) . gradient.

        Source: Ebrahimi et al. 2018 (arXiv 1712.06751).
        """
        with torch.no_grad():
            now = self.model.embed(self.change.apply(self.field, params))
            columns = [((self.model.embed(word) - now) * gradient).sum(dim=-1) for word in edits.unbind(dim=-1)]
            return torch.stack(columns, dim=-1)

    def trees(self) -> Forest:
        """The trees of the model, for an attacker who sees its structure."""
        found = self.model.trees() if allows(self.knowledge, "structure") else None
        if found is None:
            raise AttackError(
                "an attacker who sees the trees of a model",
                f"knowledge {self.knowledge!r} of {self.model.name}",
                "set the threat's 'knowledge' to 'structure', for a model made of trees",
            )
        return found

    def remaining(self) -> int | None:
        """Questions left for the case that has asked most, or None without a limit."""
        if self.budget is None:
            return None
        return self.budget - int(self.meter.queries[self.index].max()) if len(self) else self.budget

    def ask(self, params: Tensor, embedded: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scores and perturbed cases, uncounted and unveiled: for the engine, not for attacks."""
        seats, inputs, field = self._seated
        perturbed = self.change.apply(field, params if seats is None else seats.spread(params))
        if perturbed.is_floating_point():
            # What rounding puts beside the range is moved back; to the gradient this is as if it had not happened.
            perturbed = perturbed + (field.clip(perturbed) - perturbed).detach()
        if self.change.surface == "embedding":
            scores = self.model.scores_embedded(inputs, perturbed)
        elif embedded is not None:
            words = embedded if seats is None else seats.spread(embedded)
            scores = self.model.scores_embedded(perturbed, words)
        else:
            scores = self._answers(perturbed)
        return (scores, perturbed) if seats is None else (seats.gather(scores), seats.gather(perturbed))

    def _answers(self, perturbed: Tensor) -> Tensor:
        """Scores, of large cases a block at a time."""
        some = block(self.model.space)
        if self.lane is None or some == block() or len(perturbed) <= some:
            return self.model.scores(perturbed)
        return torch.cat([self.model.scores(each) for each in torch.split(perturbed, some)])

    @cached_property
    def _seated(self) -> tuple[Seating | None, Tensor, Field]:
        """Seats of these cases in a question, with clean cases and field in the order of its rows."""
        seats = None if self.lane is None else Seating.of(self.lane, block(self.model.space))
        if seats is None:
            return None, self.inputs, self.field
        return seats, self.inputs[seats.source], self.field.rows(seats.source)

    def _one_per_case(self) -> None:
        if self.model.task.kind == "segmentation":
            raise AttackError(
                "one score per class",
                "segmentation, with one per class and pixel",
                "use an attack that climbs a loss, such as 'pgd', or one that asks for scores, such as 'square'",
            )

    def _look(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """A point that collects gradients, and the scores there."""
        if not allows(self.knowledge, "gradients"):
            raise AttackError(
                "an attacker who sees gradients",
                f"knowledge {self.knowledge!r}",
                "use a black-box attack such as 'square'",
            )
        self._spend(1)
        with torch.enable_grad():
            if params.is_floating_point():
                point = params.detach().requires_grad_(True)
                return point, self.ask(point)[0]
            with torch.no_grad():
                embedded = self.model.embed(self.change.apply(self.field, params))
            point = embedded.detach().requires_grad_(True)
            return point, self.ask(params, point)[0]

    def _watched(self, gradient: Tensor) -> Tensor:
        self.meter.watch(self.index, gradient)
        return torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)

    def seen(self, scores: Tensor) -> Tensor:
        """What this attacker sees of an answer: all of it, or the decision only."""
        if self.knowledge != "labels" or self.model.access == "labels":
            return scores
        task = self.model.task
        if task.kind == "regression":
            return scores
        decided = task.written(task.decide(scores.double().cpu().numpy()), scores.shape[1])
        if task.kind == "classes":
            decided = 2.0 * decided - 1
        # Losses subtract the threshold, so it is added here.
        seen: Tensor = torch.from_numpy(decided).to(scores) - task.shifted(torch.zeros_like(scores))
        return seen

    def _spend(self, count: int) -> None:
        # A case that stands in several rows is asked about several times.
        if self.budget is not None and len(self):
            asked = self.meter.queries.index_add(0, self.index, torch.full_like(self.index, count))
            if int(asked[self.index].max()) > self.budget:
                raise BudgetError(
                    f"at most {self.budget} questions per case",
                    str(int(asked[self.index].max())),
                    "lower the attack's steps or queries",
                )
        self.meter.spend(self.index, count)


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
        """Keep what is better; `rows` tells which cases the offer is about, each of them once."""
        if rows is None:
            rows = torch.arange(len(self.value), device=self.value.device)
        now = self.value[rows]
        better = value > now
        # Without asking which rows these are: on a graphics card the answer would have to be waited for.
        kept = torch.where(better.reshape(-1, *[1] * (params.dim() - 1)), params.detach(), self.params[rows])
        self.params = self.params.index_copy(0, rows, kept)
        self.value = self.value.index_copy(0, rows, torch.where(better, value.detach(), now))

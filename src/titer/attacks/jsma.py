"""JSMA: as few values or words as possible, each changed by much, chosen by the Jacobian."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks._saliency import Move, pair, single
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.threats.change import BallChange, Change, StepwiseChange
from titer.threats.random import CaseRandom


class Map(NamedTuple):
    """What moving each value up would do, [n, d], in favor of one class, and which cases may be pushed to it, [n]."""

    wanted: Tensor
    against: Tensor
    mean: Tensor
    may: Tensor


@dataclass(frozen=True)
class JSMA(Attack):
    """Move one or two values at a time to the end of their range, always those with the largest saliency.

    With A the slope of the wanted class and B that of the sum of all others, moving values p and q is worth
    -(A_p + A_q)(B_p + B_q) where the first sum is above 0 and the second below; moving down turns both signs. After
    each move the Jacobian is taken anew; fooled cases leave. With two classes A and -B are the slope of the margin, as
    they are, up to a factor, for softmax outputs, so the map ranks by slope. Tasks without classes use the slope of
    the attacker's margin in the same way. The limit is the number of values (Gamma times the size of a case).

    Words: the edit with the largest first-order gain of the margin, (e_new - e_old) . gradient; the `tries` best of
    each step are asked about and the best answer is kept (HotFlip).

    Source: Papernot et al. 2016 (arXiv 1511.07528); untargeted by the most salient class of each step: Wiyatno and Xu
    2018 (arXiv 1808.07945); words: Papernot et al. 2016 (arXiv 1604.08275), Ebrahimi et al. 2018 (arXiv 1712.06751).
    Different from the first: the best pair is found over all pairs by sorting, in every direction; where no value
    meets both conditions, the slope of A - B / (K - 1) decides.

    Arguments
        pairs: two values at a time, as published; False for one.
        step: how far a chosen value moves, in units of the space's scale; None goes to the end of its range.
        weigh: "slope" is the map as published; "gain" weighs the slope of the margin by the distance that the value can
            move, which is exact on linear models and needs about a quarter fewer values on images.
        targets: untargeted, for three classes or more: "each" tries every class and keeps the cheapest, "maximal" lets
            each step choose.
        direction: "both", "up" or "down".
        candidates: points of the map that are paired at most.
        tries: edits of words that are asked about in each step.

    >>> JSMA(step=0)
    Traceback (most recent call last):
    titer.errors.AttackError: expected a step above 0, or none, got 0; correct 'step' of jsma
    """

    pairs: bool = True
    step: float | None = None
    weigh: Literal["gain", "slope"] = "gain"
    targets: Literal["each", "maximal"] = "each"
    direction: Literal["both", "up", "down"] = "both"
    candidates: int = 1024
    tries: int = 8
    name: ClassVar[str] = "jsma"
    reference: ClassVar[str] = "Papernot et al. 2016, arXiv 1511.07528"
    searches: ClassVar[type[Change]] = Change  # type: ignore[type-abstract]
    minimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(2, candidates=self.candidates)
        self.require(1, tries=self.tries)
        if self.step is not None and not self.step > 0:
            raise AttackError("a step above 0, or none", str(self.step), "correct 'step' of jsma")
        for label, known in (
            ("weigh", ("gain", "slope")),
            ("targets", ("each", "maximal")),
            ("direction", ("both", "up", "down")),
        ):
            if getattr(self, label) not in known:
                raise AttackError(
                    f"{label!r} among {', '.join(known)}", repr(getattr(self, label)), f"correct {label!r} of jsma"
                )

    def fits(self, change: Change) -> bool:
        words = isinstance(change, StepwiseChange) and change.kinds == ("tokens",)
        return words or (isinstance(change, BallChange) and change.counts)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Cheapest.of(problem)
        for rows, aimed in self._aims(problem):
            # What costs as much as what is found already is no use.
            limit = torch.minimum(problem.limit[rows].floor(), best.cost[rows].to(problem.limit.dtype) - 1)
            stay = limit >= 1
            part = rows[stay]
            if len(part):
                seen, goal = problem.rows(part).within(limit[stay]), aimed.rows(stay.nonzero()[:, 0])
                if isinstance(problem.change, StepwiseChange):
                    self._rewrite(seen, goal.within(limit[stay]), part, best)
                else:
                    self._walk(seen, goal.within(limit[stay]), part, best)
        return best.params

    def _aims(self, problem: Problem) -> Iterator[tuple[Tensor, Problem]]:
        """Which cases to push where: to each wrong class in turn, or simply to where the goal is."""
        everyone = torch.arange(len(problem), device=problem.inputs.device)
        classes = problem.clean.shape[1] if problem.model.task.kind == "classes" else 1
        if problem.goal.kind != "untargeted" or classes < 3 or self.targets == "maximal":
            yield everyone, problem
            return
        for wanted in range(classes):
            rows = everyone[problem.truth != wanted]
            if len(rows):
                yield rows, problem.rows(rows).toward(torch.full_like(rows, wanted))

    def _walk(self, problem: Problem, aimed: Problem, rows: Tensor, best: Cheapest) -> None:
        change = problem.change
        if not isinstance(change, BallChange):
            raise AttackError("an additive change of few values", repr(change.name), "use one, or a change of words")
        params = problem.nothing()
        low, high = (end.flatten(1) for end in change.ends(problem.field))
        scale = problem.field.scale.expand_as(params[:1]).flatten(1)
        locked = torch.zeros_like(low)
        while len(rows):
            scores, maps = self._look(aimed, params)
            fooled = best.offer(problem, params, scores, rows)
            flat = params.flatten(1)
            left = problem.limit - (locked != 0).sum(dim=1)
            up = torch.where(locked >= 0, high - flat, torch.zeros_like(flat))
            down = torch.where(locked <= 0, flat - low, torch.zeros_like(flat))
            # Once all allowed values have moved, only they can move on.
            shut = (left < 1)[:, None] & (locked == 0)
            open_ = torch.cat([(up > 1e-9 * scale) & ~shut, (down > 1e-9 * scale) & ~shut], dim=1)
            open_[:, : flat.shape[1]] &= self.direction != "down"
            open_[:, flat.shape[1] :] &= self.direction != "up"
            stride = high - low if self.step is None else torch.minimum(high - low, self.step * scale)
            room = torch.cat([torch.minimum(up, stride), torch.minimum(down, stride)], dim=1)
            move = self._choose(maps, open_, room, alone=left.floor() == 1)
            go = ~fooled & torch.isfinite(move.worth)
            for place in (0, 1):
                value, way = move.values[:, place], move.ways[:, place].to(flat.dtype)
                chosen = torch.zeros_like(flat).scatter_(1, value.clamp_min(0)[:, None], way[:, None])
                chosen = torch.where((value >= 0)[:, None], chosen, torch.zeros_like(chosen))
                flat = torch.clamp(flat + chosen * stride, low, high)
                locked = torch.where(chosen != 0, chosen, locked)
            params = flat.reshape(params.shape)
            keep = go.nonzero()[:, 0]
            problem, aimed, params, rows = problem.rows(keep), aimed.rows(keep), params[keep], rows[keep]
            low, high, locked = low[keep], high[keep], locked[keep]

    def _look(self, aimed: Problem, params: Tensor) -> tuple[Tensor, list[Map]]:
        """Scores, and a map for each class that may be wanted."""
        task, classes = aimed.model.task, aimed.clean.shape[1]
        everyone = torch.ones(len(aimed), dtype=torch.bool, device=aimed.inputs.device)
        if task.kind != "classes" or classes < 3 or self.weigh == "gain":
            _, slope, scores = aimed.slope(params, "margin")
            # In float64, because products of small slopes would vanish.
            flat = slope.flatten(1).double()
            return scores, [Map(flat, flat, flat, everyone)]
        if aimed.goal.kind == "targeted":
            scores, rise, others = aimed.contrast(params, aimed.truth)
            wanted, against = rise.flatten(1).double(), -others.flatten(1).double()
            return scores, [Map(wanted, against, wanted + against / (classes - 1), everyone)]
        scores, slopes = aimed.jacobian(params)
        flat = slopes.flatten(2).double()
        maps = []
        for k in range(classes):
            wanted, against = flat[:, k], flat[:, k] - flat.sum(dim=1)
            maps.append(Map(wanted, against, wanted + against / (classes - 1), aimed.truth != k))
        return scores, maps

    def _choose(self, maps: list[Map], open_: Tensor, room: Tensor, *, alone: Tensor) -> Move:
        """The most salient move over all maps, or failing that the one by slope."""
        found: Move | None = None
        for each in maps:
            may = open_ & each.may[:, None]
            u = _both_ways(each.wanted, room if self.weigh == "gain" else None)
            v = u if each.against is each.wanted else _both_ways(each.against, None)
            move = single(u, v, may)
            if self.pairs:
                two = pair(u, v, may, self.candidates)
                move = move.or_else(two, ~alone & torch.isfinite(two.worth))
            if v is not u:
                mean = _both_ways(each.mean, None)
                slopes = single(mean, mean, may)
                # Anything that meets both conditions goes before.
                weak = Move(slopes.worth - torch.finfo(mean.dtype).max, slopes.values, slopes.ways)
                move = move.or_else(weak, ~torch.isfinite(move.worth))
            found = move if found is None else found.or_else(move, move.worth > found.worth)
        if found is None:
            raise AttackError("at least one class to push to", "none", "give the task its classes")
        return found

    def _rewrite(self, problem: Problem, aimed: Problem, rows: Tensor, best: Cheapest) -> None:
        params, edits = problem.nothing(), problem.stepwise.edits(problem.field, problem.nothing())
        while len(rows):
            _, gradient, scores = aimed.slope(params, "margin")
            fooled = best.offer(problem, params, scores, rows)
            changed = params != problem.field.clean
            gains = aimed.gains(params, gradient, edits)
            shut = (edits == params.unsqueeze(-1)) | changed.unsqueeze(-1)
            shut |= (changed.sum(dim=1) >= problem.limit)[:, None, None]
            gains = torch.where(shut, torch.full_like(gains, -torch.inf), gains).flatten(1)
            order = gains.argsort(dim=1, descending=True, stable=True)[:, : self.tries]
            go = ~fooled & torch.isfinite(gains.gather(1, order[:, :1])[:, 0])
            keep = go.nonzero()[:, 0]
            problem, aimed, rows = problem.rows(keep), aimed.rows(keep), rows[keep]
            params, edits, order, gains = params[keep], edits[keep], order[keep], gains[keep]
            if len(rows):
                params = self._best_edit(aimed, params, edits, order, gains)

    def _best_edit(self, aimed: Problem, params: Tensor, edits: Tensor, order: Tensor, gains: Tensor) -> Tensor:
        """The most promising edits asked about one by one, and the best answer kept."""
        chosen, value = params, torch.full((len(params),), -torch.inf, dtype=torch.float64, device=params.device)
        for place in order.unbind(dim=1):
            position, word = place // edits.shape[-1], edits.flatten(1).gather(1, place[:, None])
            tried = params.scatter(1, position[:, None], word)
            real = torch.isfinite(gains.gather(1, place[:, None])[:, 0])
            reached = torch.where(real, aimed.advantage(aimed.scores(tried)), torch.full_like(value, -torch.inf))
            better = reached > value
            chosen, value = torch.where(better[:, None], tried, chosen), torch.where(better, reached, value)
        return chosen


def _both_ways(slope: Tensor, room: Tensor | None) -> Tensor:
    """Slopes of moving up, then of moving down; times the distance that each can move, if given."""
    both = torch.cat([slope, -slope], dim=1)
    return both if room is None else both * room

"""JSMA: few values, each changed by a lot, chosen by the saliency of the forward derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Best, Problem
from titer.errors import AttackError
from titer.threats.change import Change, StepwiseChange
from titer.threats.changes.additive import Additive
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class JSMA(Attack):
    """Greedy search: the most salient values go to the end of their range, one or two at a time.

    With J the derivative of the scores, towards class t a value has A = J_t and B = sum of J_j over the others. Raising
    it counts where A > 0 and B < 0, with saliency A |B|; lowering it where both signs are reversed. Pairs maximize
    -(A_p + A_q)(B_p + B_q) under the same conditions on the sums. A value that was changed leaves the search.
    Two-class, one-logit, anomaly, regression and multi-label models have one slope, that of the attacker's margin, so
    B = -A. Where no value fulfills both conditions, A - B decides alone, so the search never stalls.

    Words are replaced one at a time where (e_new - e_old) . gradient is largest (Ebrahimi et al. 2018, arXiv
    1712.06751).

    Source: Papernot et al. 2016 (arXiv 1511.07528); sequences: Papernot et al. 2016 (arXiv 1604.08275); the untargeted
    "maximal" form: Wiyatno and Xu 2018 (arXiv 1808.07945). Different from the source: "gain" weighs slopes by the room
    that a value has, which makes the search optimal on linear models; "slope" is the original.

    Arguments
        pairs: two values per step, as in the source; False takes one.
        candidates: pairs are sought among this many of the most salient values (all, if there are no more).
        weigh: "gain" or "slope".
        step: change of a value in units of the space's scale; None goes to the end of the range.
        targets: untargeted attacks on three classes or more: "maximal" lets every step choose its class, "each" tries
            every class and keeps the cheapest.

    >>> JSMA(pairs=False).name
    'jsma'
    """

    pairs: bool = True
    candidates: int = 256
    weigh: str = "gain"
    step: float | None = None
    targets: str = "maximal"
    name: ClassVar[str] = "jsma"
    reference: ClassVar[str] = "Papernot et al. 2016, arXiv 1511.07528"
    searches: ClassVar[type[Change]] = Change  # type: ignore[type-abstract]

    def __post_init__(self) -> None:
        self.require(2, candidates=self.candidates)
        if self.weigh not in ("gain", "slope"):
            raise AttackError("weigh of 'gain' or 'slope'", repr(self.weigh), "correct 'weigh' of jsma")
        if self.targets not in ("maximal", "each"):
            raise AttackError("targets of 'maximal' or 'each'", repr(self.targets), "correct 'targets' of jsma")
        if self.step is not None and not self.step > 0:
            raise AttackError("a step above 0, or none", str(self.step), "correct 'step' of jsma")

    def fits(self, change: Change) -> bool:
        sparse = isinstance(change, Additive) and change.norm == "l0" and change.surface == "input"
        return sparse or isinstance(change, StepwiseChange)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        if isinstance(problem.change, StepwiseChange):
            return self._words(problem)
        task = problem.model.task
        several = task.kind == "classes" and len(task.classes) > 2
        if several and problem.goal.kind == "untargeted" and self.targets == "each":
            return self._each(problem, len(task.classes))
        return self._values(problem, None, several)

    def _each(self, problem: Problem, classes: int) -> Tensor:
        """Every class in turn; the cheapest success of a case is kept, else its best try."""
        best = Best.of(problem)
        cheapest = torch.full_like(best.value, float("inf"))
        for other in range(classes):
            rows = torch.nonzero((problem.truth != other) & (problem.advantage(problem.clean) <= 0))[:, 0]
            if not len(rows):
                continue
            part = problem.rows(rows)
            params = self._values(part, torch.full_like(part.truth, other), several=True)
            value = part.advantage(part.scores(params))
            cost = part.change.cost(part.field, params)
            better = torch.where(
                value > 0, cost < cheapest[rows], (value > best.value[rows]) & torch.isinf(cheapest[rows])
            )
            chosen = rows[better]
            best.params = best.params.index_copy(0, chosen, params[better])
            best.value = best.value.index_copy(0, chosen, value[better])
            cheapest[chosen] = torch.where(value > 0, cost, torch.inf)[better].to(cheapest.dtype)
        return best.params

    def _values(self, problem: Problem, wanted: Tensor | None, several: bool) -> Tensor:
        """Values of measurements, until a case is fooled or its limit is reached."""
        best = Best.of(problem)
        params = problem.nothing()
        free = _movable(problem)
        spent = torch.zeros(len(problem), dtype=torch.int64)
        rows = torch.arange(len(problem))
        while True:
            going = ~best.fooled[rows] & (spent[rows] < problem.limit[rows].floor()) & free[rows].any(dim=1)
            rows = rows[going]
            if not len(rows):
                return best.params
            part = problem.rows(rows)
            left = (part.limit.floor() - spent[rows]).long()
            now = params[rows]
            up, down = self._saliency(part, now, None if wanted is None else wanted[rows], several)
            picked = self._pick(up, down, free[rows], left)
            now = self._moved(part, now, picked, up, down)
            params[rows] = now
            free[rows] &= ~picked
            spent[rows] += picked.sum(dim=1)
            best.offer(now, part.advantage(part.scores(now)), rows)

    def _saliency(
        self, problem: Problem, params: Tensor, wanted: Tensor | None, several: bool
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """A and B [n, T, d] of raising and of lowering each value, for T candidate classes."""
        if not several:
            _, gradient, _ = problem.slope(params, "margin")
            toward = gradient.flatten(1)[:, None]
            away = -toward
        else:
            toward, away = _class_slopes(problem, problem.jacobian(params)[1].flatten(2), wanted)
        lower, upper = _ends(problem)
        if self.weigh == "slope":
            rise, fall = ((room > 0).to(params.dtype).flatten(1)[:, None] for room in (upper - params, params - lower))
        else:
            size = float("inf") if self.step is None else self.step * problem.field.scale
            rise = torch.clamp(upper - params, max=size).expand_as(params).flatten(1)[:, None]
            fall = torch.clamp(params - lower, max=size).expand_as(params).flatten(1)[:, None]
        return (toward * rise, away * rise), (-toward * fall, -away * fall)

    def _pick(
        self, up: tuple[Tensor, Tensor], down: tuple[Tensor, Tensor], free: Bool[Tensor, "n d"], left: Tensor
    ) -> Bool[Tensor, "n d"]:
        """Which values move in this step: the best one, or the best pair where two are left."""
        toward, away = _better(up, down)
        single = _score(toward, away).masked_fill(~free[:, None], float("-inf"))
        picked = torch.zeros_like(free)
        feature = single.flatten(1).argmax(dim=1) % free.shape[1]
        if not self.pairs or free.shape[1] == 1:
            return picked.scatter(1, feature[:, None], True)
        pair = self._pairs(toward, away, single)
        two = (left >= 2) & (free.sum(dim=1) >= 2)
        first = torch.where(two, pair[:, 0], feature)
        second = torch.where(two, pair[:, 1], feature)
        return picked.scatter(1, first[:, None], True).scatter(1, second[:, None], True)

    def _pairs(self, toward: Tensor, away: Tensor, single: Tensor) -> Tensor:
        """[n, 2] the best pair of each case, over all candidate classes."""
        count = min(self.candidates, single.shape[2])
        top = single.topk(count, dim=2).indices
        a, b = toward.gather(2, top), away.gather(2, top)
        allowed = torch.isfinite(single.gather(2, top))
        both = _score(a[..., :, None] + a[..., None, :], b[..., :, None] + b[..., None, :])
        both = both.masked_fill(~(allowed[..., :, None] & allowed[..., None, :]), float("-inf"))
        both.diagonal(dim1=-2, dim2=-1).fill_(float("-inf"))
        best = both.flatten(1).argmax(dim=1)
        group, rest = best // (count * count), best % (count * count)
        chosen = top[torch.arange(len(top)), group]
        return torch.stack((chosen.gather(1, (rest // count)[:, None]), chosen.gather(1, (rest % count)[:, None])), 1)[
            ..., 0
        ]

    def _moved(
        self, problem: Problem, params: Tensor, picked: Tensor, up: tuple[Tensor, Tensor], down: tuple[Tensor, Tensor]
    ) -> Tensor:
        low, high = (end.expand_as(params) for end in _ends(problem))
        if self.step is not None:
            size = self.step * problem.field.scale
            low, high = torch.maximum(low, params - size), torch.minimum(high, params + size)
        raised = (_score(*up).amax(dim=1) >= _score(*down).amax(dim=1)).reshape(params.shape)
        end = torch.where(raised, high, low)
        return torch.where(picked.reshape(params.shape), end, params)

    def _words(self, problem: Problem) -> Tensor:
        """Words, one at a time, each where it promises most."""
        best = Best.of(problem)
        params = problem.nothing()
        rows = torch.arange(len(problem))
        taken = torch.zeros_like(params, dtype=torch.bool)
        options = problem.stepwise.edits(problem.field, params)
        real = options != problem.field.clean.unsqueeze(-1)
        while True:
            spent = taken[rows].sum(dim=1)
            open_ = (real[rows] & ~taken[rows].unsqueeze(-1)).flatten(1).any(dim=1)
            rows = rows[~best.fooled[rows] & (spent < problem.limit[rows].floor()) & open_]
            if not len(rows):
                return best.params
            part, now = problem.rows(rows), params[rows]
            _, gradient, _ = part.slope(now, "margin")
            gains = part.gains(now, gradient, options[rows])
            gains = gains.masked_fill(~real[rows] | taken[rows].unsqueeze(-1), float("-inf"))
            choice = gains.flatten(1).argmax(dim=1)
            place = choice // options.shape[2]
            word = options[rows].flatten(1).gather(1, choice[:, None])
            now = now.scatter(1, place[:, None], word)
            params[rows] = now
            taken[rows] = taken[rows].scatter(1, place[:, None], True)
            best.offer(now, part.advantage(part.scores(now)), rows)


def _ends(problem: Problem) -> tuple[Tensor, Tensor]:
    """How far each value may move down and up."""
    if not isinstance(problem.change, Additive):
        raise AttackError("an additive change of few values", problem.change.name, "use norm l0, or another attack")
    return problem.change.ends(problem.field)


def _movable(problem: Problem) -> Bool[Tensor, "n d"]:
    """Values that have room where the mask allows it."""
    lower, upper = _ends(problem)
    return ((upper > 0) | (lower < 0)).expand_as(problem.field.clean).flatten(1).clone()


def _class_slopes(problem: Problem, slopes: Float[Tensor, "n K d"], wanted: Tensor | None) -> tuple[Tensor, Tensor]:
    """A and B for each candidate class; of the class itself, were it the true one, nothing."""
    total = slopes.sum(dim=1, keepdim=True)
    if wanted is None and problem.goal.kind == "targeted":
        wanted = problem.truth
    if wanted is not None:
        toward = slopes.gather(1, wanted[:, None, None].expand(-1, 1, slopes.shape[2]))
        return toward, total - toward
    own = torch.nn.functional.one_hot(problem.truth, slopes.shape[1]).bool()
    # The gain over the true class is what an untargeted attacker lives on.
    away = slopes.gather(1, problem.truth[:, None, None].expand(-1, 1, slopes.shape[2])).expand_as(slopes)
    toward = slopes.masked_fill(own[..., None], 0.0)
    return toward, away.masked_fill(own[..., None], 0.0)


def _better(up: tuple[Tensor, Tensor], down: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """A and B of whichever direction is more salient, value by value."""
    raise_it = _score(*up) >= _score(*down)
    return torch.where(raise_it, up[0], down[0]), torch.where(raise_it, up[1], down[1])


def _score(toward: Tensor, away: Tensor) -> Tensor:
    """Saliency: A |B| where A > 0 and B < 0; elsewhere the plain gain A - B, put below every salient value."""
    salient = (toward > 0) & (away < 0)
    gain = toward - away
    most = gain.abs().flatten(1).amax(dim=1).reshape(-1, *([1] * (gain.dim() - 1)))
    below = gain - most - 1.0
    return torch.where(salient, toward * away.abs(), below)

"""What an attack climbs: per-case losses for every task and goal, larger is better for the attacker.

All losses see scores shifted so that the operating point lies at zero (`Task.shifted`), hence a change of the
threshold changes the attack with it. `advantage` is the one number that crosses zero exactly when the model is
fooled; attacks keep their best iterate by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from titer.attacks import _pixels
from titer.errors import AttackError
from titer.models.task import Task
from titer.threats.goal import Goal

Scores = Float[Tensor, "n K *pixels"]
PerCase = Float[Tensor, " n"]
Loss = Callable[[Task, Goal, Tensor, Tensor, Tensor], Tensor]
# What suits every task; "dice" is for segmentation only.
LOSSES = ("ce", "margin", "dlr", "target", "dlr-target")


def advantage(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores) -> PerCase:
    """The attacker's margin [n]: above 0 when fooled, rising as the model is pushed further.

    Classes: max_{j != y} z_j - z_y (Carlini and Wagner 2017, arXiv 1608.04644); targeted: z_t - max_{j != t} z_j. One
    logit: -(2y-1) z. Findings: the most wrong one. Regression: |f - y| - tolerance. Maps: the margin of the pixel whose
    fall brings the agreement below the tolerance (`titer.attacks._pixels.margin`). Immune to saturated softmax.

    >>> task = Task("classes", ("a", "b", "c"))
    >>> scores = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]])
    >>> advantage(task, Goal(), scores, torch.tensor([0, 0]), scores)
    tensor([-2.,  5.])
    """
    moved = _shifted(task, scores)
    if goal.kind == "targeted":
        return -_lead(moved, truth)
    if goal.kind in ("raise", "lower"):
        sign = 1.0 if goal.kind == "raise" else -1.0
        if task.kind == "regression":
            return sign * (scores - clean)[:, 0] - float(task.tolerance or 0)
        return sign * _sickness(task, moved)
    if task.kind == "segmentation":
        return _pixels.margin(task, moved, truth)
    if task.kind == "classes":
        return _lead(moved, truth)
    if task.kind == "regression":
        return _distance(scores[:, 0] - truth) - float(task.tolerance or 0)
    return _wrongness(moved, truth).amax(dim=1)


def cross_entropy(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores) -> PerCase:
    """The training loss of the task: cross-entropy, summed over findings, averaged over pixels; distance; the score."""
    moved = _shifted(task, scores)
    if goal.kind == "targeted":
        return -F.cross_entropy(moved, truth, reduction="none")
    if goal.kind in ("raise", "lower") or task.kind in ("anomaly", "regression"):
        # A squared error has the same direction as the distance, but none at all where the answer is exact.
        return advantage(task, goal, scores, truth, clean)
    if task.kind == "segmentation":
        return _pixels.cross_entropy(moved, truth)
    if task.kind == "classes":
        return F.cross_entropy(moved, truth, reduction="none")
    wanted = truth.to(moved.dtype).reshape(len(moved), -1)
    return F.binary_cross_entropy_with_logits(moved, wanted, reduction="none").sum(dim=1)


def dlr(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores) -> PerCase:
    """Difference of logits ratio: the margin in units of the spread of the logits, so that scale does not matter.

    max_{j != y} z_j - z_y over z_(1) - z_(3) for three classes or more (once fooled, the spread is held fixed); where a
    class is wanted, the margin over z_(1) - (z_(3) + z_(4)) / 2 for four or more (Croce and Hein 2020, arXiv
    2003.01690). With fewer logits there is no such place (of three, the first formula would be -1 wherever the wanted
    one is the lowest); the margin in units of that of the clean case is used instead.
    """
    margin = advantage(task, goal, scores, truth, clean)
    if task.kind == "classes" and goal.kind == "untargeted" and scores.shape[1] >= 3:
        ordered = scores.sort(dim=1, descending=True).values
        spread = (ordered[:, 0] - ordered[:, 2]).clamp_min(1e-12)
        # Once the truth is in third place the ratio is 1, whatever comes; the margin still rises.
        return margin / torch.where(margin > 0, spread.detach(), spread)
    if task.kind == "classes" and scores.shape[1] >= 4:
        return margin / _four(scores)
    return margin / _size(advantage(task, goal, clean, truth, clean))


def target(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores, *, rank: int = 0) -> PerCase:
    """One way of being wrong at a time: the `rank`-th nearest one on the clean case, starting again after the last.

    Classes: z_t - z_y with t the rank-th runner-up, as in the targeted losses of Croce and Hein 2020 (arXiv
    2003.01690). Findings: the rank-th nearest to its threshold. Regression: first the way in which the clean answer
    already errs, then the other. Maps: the pixels of one class, the disease first. Goals that name what is wanted
    have one way only, the margin.

    >>> task = Task("classes", ("a", "b", "c"))
    >>> scores = torch.tensor([[3.0, 1.0, 0.0]])
    >>> [target(task, Goal(), scores, torch.tensor([0]), scores, rank=rank).item() for rank in (0, 1, 2)]
    [-2.0, -3.0, -2.0]
    """
    moved, before = _shifted(task, scores), _shifted(task, clean).detach()
    if goal.kind != "untargeted" or task.kind in ("binary", "anomaly"):
        return advantage(task, goal, scores, truth, clean)
    if task.kind == "regression":
        way = torch.where(clean[:, 0] >= truth, 1.0, -1.0) * (1 - 2 * (rank % 2))
        return (way * (scores[:, 0] - truth)).to(scores.dtype)
    if task.kind == "segmentation":
        return _pixels.one_class(task, moved, truth, rank)
    if task.kind == "multilabel":
        order = _wrongness(before, truth).argsort(dim=1, descending=True, stable=True)
        return _wrongness(moved, truth).gather(1, order[:, rank % order.shape[1]][:, None])[:, 0]
    others = before.scatter(1, truth[:, None], float("-inf")).argsort(dim=1, descending=True, stable=True)
    chosen = others[:, rank % (others.shape[1] - 1)]
    return (moved.gather(1, chosen[:, None]) - moved.gather(1, truth[:, None]))[:, 0]


def dice(task: Task, _goal: Goal, scores: Scores, truth: Tensor, _clean: Scores) -> PerCase:
    """One minus the soft agreement of a map with the true one (`titer.attacks._pixels.soft`); segmentation only."""
    if task.kind != "segmentation":
        raise AttackError("a segmentation for the loss 'dice'", f"task {task.kind!r}", "use 'ce', 'margin' or 'dlr'")
    return _pixels.soft(task, _shifted(task, scores), truth)


def dlr_target(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores, *, rank: int = 0) -> PerCase:
    """`target` in units of the spread of the logits, so that scale does not matter.

    Four classes or more: (z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2) (Croce and Hein 2020, arXiv 2003.01690). Otherwise
    there are no four places, and the unit is the size of the same difference on the clean case.

    >>> task = Task("classes", ("a", "b", "c", "d"))
    >>> scores = torch.tensor([[5.0, 3.0, 1.0, 0.0]])
    >>> round(dlr_target(task, Goal(), scores, torch.tensor([0]), scores, rank=1).item(), 4)
    -0.8889
    """
    difference = target(task, goal, scores, truth, clean, rank=rank)
    if task.kind == "classes" and scores.shape[1] >= 4:
        return difference / _four(scores)
    return difference / _size(target(task, goal, clean, truth, clean, rank=rank))


_BY_NAME: dict[str, Loss] = {
    "ce": cross_entropy,
    "margin": advantage,
    "dlr": dlr,
    "target": target,
    "dlr-target": dlr_target,
    "dice": dice,
}
# Losses of which each restart takes the next way of being wrong.
_RANKED: dict[str, Callable[..., PerCase]] = {"target": target, "dlr-target": dlr_target}


def ways(task: Task, goal: Goal) -> int:
    """How many ways of being wrong "target" tells apart before it starts again.

    >>> ways(Task("classes", ("a", "b", "c")), Goal()), ways(Task("binary", ("no", "yes")), Goal())
    (2, 1)
    """
    if goal.kind != "untargeted" or task.kind in ("binary", "anomaly"):
        return 1
    if task.kind == "regression":
        return 2
    return len(task.classes) - 1 if task.kind == "classes" else len(task.classes)


def in_turn(names: Sequence[str], restart: int) -> str:
    """The loss of a restart where restarts take losses in turn; each "target" in turn is the next nearest one.

    >>> [in_turn(("ce", "target"), restart) for restart in range(4)]
    ['ce', 'target1', 'ce', 'target2']
    """
    turn, place = divmod(restart, len(names))
    name = names[place]
    if name not in _RANKED:
        return name
    return f"{name}{turn * names.count(name) + names[:place].count(name) + 1}"


def loss(name: str) -> Loss:
    """A loss by name, see `LOSSES`; "target2" is the second nearest target, and so on."""
    numbered = re.fullmatch(r"(target|dlr-target)([1-9]\d*)", name)
    if numbered:
        return partial(_RANKED[numbered[1]], rank=int(numbered[2]) - 1)
    if name not in _BY_NAME:
        raise AttackError(f"a loss among {', '.join(_BY_NAME)}", repr(name), "correct the attack's 'loss'")
    return _BY_NAME[name]


def _shifted(task: Task, scores: Scores) -> Scores:
    moved: Tensor = task.shifted(scores)
    return moved


def _lead(moved: Scores, truth: Int[Tensor, " n"]) -> PerCase:
    """How far the best other class leads over class `truth`."""
    own = moved.gather(1, truth[:, None])[:, 0]
    others = moved.scatter(1, truth[:, None], float("-inf")).amax(dim=1)
    return others - own


def _wrongness(moved: Scores, truth: Tensor) -> Float[Tensor, "n K"]:
    """How far each one-logit decision lies on the wrong side."""
    return -(2 * truth.to(moved.dtype) - 1).reshape(len(moved), -1) * moved


def _four(scores: Scores) -> PerCase:
    """Spread of the logits: z_(1) - (z_(3) + z_(4)) / 2."""
    ordered = scores.sort(dim=1, descending=True).values
    return (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2).clamp_min(1e-12)


def _size(value: PerCase) -> PerCase:
    """A number to divide by, which no gradient passes."""
    return value.detach().abs().clamp_min(1e-12)


def _distance(gap: PerCase) -> PerCase:
    """|gap|, with a slope of 1 at zero, where the absolute value has none."""
    return torch.where(gap >= 0, gap, -gap)


def _sickness(task: Task, moved: Scores) -> PerCase:
    if task.kind == "classes":
        return moved[:, task.disease] - moved[:, 1 - task.disease]
    return moved[:, 0]

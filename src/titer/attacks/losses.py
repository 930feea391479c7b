"""What an attack climbs: per-case losses for every task and goal, larger is better for the attacker.

All losses see scores shifted so that the operating point lies at zero (`Task.shifted`), hence a change of the
threshold changes the attack with it. `advantage` is the one number that crosses zero exactly when the model is
fooled; attacks keep their best iterate by it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from titer.errors import AttackError
from titer.models.task import Task
from titer.threats.goal import Goal

Scores = Float[Tensor, "n K"]
PerCase = Float[Tensor, " n"]
LOSSES = ("ce", "margin", "dlr")


def advantage(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores) -> PerCase:
    """The attacker's margin [n]: above 0 when fooled, rising as the model is pushed further.

    Classes: max_{j != y} z_j - z_y (Carlini and Wagner 2017, arXiv 1608.04644); targeted: z_t - max_{j != t} z_j. One
    logit: -(2y-1) z. Findings: the most wrong one. Regression: |f - y| - tolerance. Immune to saturated softmax.

    >>> task = Task("classes", ("a", "b", "c"))
    >>> scores = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]])
    >>> advantage(task, Goal(), scores, torch.tensor([0, 0]), scores)
    tensor([-2.,  5.])
    """
    moved = task.shifted(scores)
    if goal.kind == "targeted":
        return -_lead(moved, truth)
    if goal.kind in ("raise", "lower"):
        sign = 1.0 if goal.kind == "raise" else -1.0
        if task.kind == "regression":
            return sign * (scores - clean)[:, 0] - float(task.tolerance or 0)
        return sign * _sickness(task, moved)
    if task.kind == "classes":
        return _lead(moved, truth)
    if task.kind == "regression":
        return (scores[:, 0] - truth).abs() - float(task.tolerance or 0)
    wrong = -(2 * truth.to(moved.dtype) - 1).reshape(len(moved), -1) * moved
    return wrong.amax(dim=1)


def cross_entropy(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores) -> PerCase:
    """The training loss of the task: cross-entropy, summed over findings; squared error; the score itself."""
    moved = task.shifted(scores)
    if goal.kind == "targeted":
        return -F.cross_entropy(moved, truth, reduction="none")
    if goal.kind in ("raise", "lower") or task.kind == "anomaly":
        return advantage(task, goal, scores, truth, clean)
    if task.kind == "classes":
        return F.cross_entropy(moved, truth, reduction="none")
    if task.kind == "regression":
        return (scores[:, 0] - truth) ** 2
    wanted = truth.to(moved.dtype).reshape(len(moved), -1)
    return F.binary_cross_entropy_with_logits(moved, wanted, reduction="none").sum(dim=1)


def dlr(task: Task, goal: Goal, scores: Scores, truth: Tensor, clean: Scores) -> PerCase:
    """Difference of logits ratio: the margin in units of the spread of the logits, so that scale does not matter.

    max_{j != y} z_j - z_y over z_(1) - z_(3) for three classes or more (Croce and Hein 2020, arXiv 2003.01690). With
    fewer logits the formula has no third place; the margin over its own detached size is used instead.
    """
    margin = advantage(task, goal, scores, truth, clean)
    if task.kind == "classes" and scores.shape[1] >= 3:
        ordered = task.shifted(scores).sort(dim=1, descending=True).values
        return margin / (ordered[:, 0] - ordered[:, 2]).clamp_min(1e-12)
    return margin / margin.detach().abs().clamp_min(1e-12)


_BY_NAME: dict[str, Callable[[Task, Goal, Tensor, Tensor, Tensor], Tensor]] = {
    "ce": cross_entropy,
    "margin": advantage,
    "dlr": dlr,
}


def loss(name: str) -> Callable[[Task, Goal, Tensor, Tensor, Tensor], Tensor]:
    """A loss by name: "ce", "margin" or "dlr"."""
    if name not in _BY_NAME:
        raise AttackError(f"a loss among {', '.join(LOSSES)}", repr(name), "correct the attack's 'loss'")
    return _BY_NAME[name]


def _lead(moved: Scores, truth: Int[Tensor, " n"]) -> PerCase:
    """How far the best other class leads over class `truth`."""
    own = moved.gather(1, truth[:, None])[:, 0]
    others = moved.scatter(1, truth[:, None], float("-inf")).amax(dim=1)
    return others - own


def _sickness(task: Task, moved: Scores) -> PerCase:
    if task.kind == "classes":
        return moved[:, task.disease] - moved[:, 1 - task.disease]
    return moved[:, 0]

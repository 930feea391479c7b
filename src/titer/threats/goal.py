"""Goal: what the attacker wants the model to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from titer.cases.case import Array
from titer.errors import ThreatError
from titer.models.task import Task

Kind = Literal["untargeted", "targeted", "raise", "lower"]


@dataclass(frozen=True)
class Goal:
    """What counts as fooled.

    ============  =======================================================================================
    kind          fooled when
    ============  =======================================================================================
    untargeted    the decision is wrong (regression: off by more than the tolerance; findings: any wrong;
                  segmentation: the map agrees with the true one less than the tolerance asks)
    targeted      the decision is the target class (a fixed one, or the next class after the true one)
    raise, lower  a number rises or falls by more than the tolerance against the clean answer; a two-sided
                  decision becomes positive or negative
    ============  =======================================================================================

    Arguments
        kind: see the table.
        target: class name or number for "targeted"; None means the next class after the true one (the opposite
            one of two).

    >>> Goal("targeted", 2).targets(Task("classes", ("a", "b", "c")), np.array([0, 2])).tolist()
    [2, 2]
    """

    kind: Kind = "untargeted"
    target: int | str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("untargeted", "targeted", "raise", "lower"):
            raise ThreatError("a goal of untargeted, targeted, raise or lower", repr(self.kind), "correct 'goal'")
        if self.target is not None and self.kind != "targeted":
            raise ThreatError("no target class for this goal", f"{self.target!r} with {self.kind}", "use 'targeted'")

    def check(self, task: Task) -> None:
        """Refuse a goal that the task has no answer for."""
        if self.kind == "targeted" and task.kind != "classes":
            maps = task.kind == "segmentation"
            raise ThreatError(
                "a task with classes for a targeted goal",
                f"task {task.kind!r}",
                "use untargeted" if maps else "use untargeted, raise or lower",
            )
        if self.kind in ("raise", "lower") and not (task.two_sided or task.kind == "regression"):
            raise ThreatError(
                f"a number or a two-sided decision for goal {self.kind!r}",
                f"task {task.kind!r}",
                "use targeted" if task.kind == "classes" else "use untargeted",
            )
        if self.target is not None:
            self._number(task)

    def targets(self, task: Task, truth: Array) -> Array:
        """The class that each case should be pushed to, [n]; only for "targeted"."""
        if self.target is None:
            return np.asarray((truth + 1) % len(task.classes))
        return np.full_like(truth, self._number(task))

    def fooled(self, task: Task, truth: Array, clean: Array, scores: Array) -> Array:
        """Whether the attacker got what was wanted, [n] booleans.

        Arguments
            truth: targets of the cases. clean, scores: scores before and after the change.
        """
        if self.kind == "untargeted":
            return ~task.correct(scores, truth)
        decided = task.decide(scores)
        if self.kind == "targeted":
            return np.asarray(decided == self.targets(task, truth))
        if task.kind == "regression":
            moved = (decided - task.decide(clean)) * (1 if self.kind == "raise" else -1)
            return np.asarray(moved > float(task.tolerance or 0))
        wanted = task.disease if self.kind == "raise" else 1 - task.disease
        return np.asarray(decided == wanted)

    def sentence(self, task: Task) -> str:
        """The goal in words."""
        if self.kind == "untargeted":
            return {
                "regression": f"an answer off by more than {task.tolerance or 0:g}",
                "multilabel": "any wrong finding",
                "anomaly": "a missed abnormality or a false alarm",
                "segmentation": f"a {'Dice' if task.measure == 'dice' else 'share of right pixels'} below "
                f"{task.tolerance or 0:g}",
            }.get(task.kind, "any wrong decision")
        if self.kind == "targeted":
            wanted = "the next class" if self.target is None else repr(task.classes[self._number(task)])
            return f"the decision {wanted}"
        if task.kind == "regression":
            way = "above" if self.kind == "raise" else "below"
            return f"an answer of {task.classes[0]} more than {task.tolerance:g} {way} the clean one"
        side = task.disease if self.kind == "raise" else 1 - task.disease
        return f"the decision {task.classes[side]!r}"

    def _number(self, task: Task) -> int:
        if isinstance(self.target, str) and self.target in task.classes:
            return task.classes.index(self.target)
        if isinstance(self.target, int) and 0 <= self.target < len(task.classes):
            return self.target
        raise ThreatError(f"a target among {', '.join(task.classes)}", repr(self.target), "correct 'goal.target'")

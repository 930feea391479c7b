"""The nearest case that a sum of decision trees answers as wanted, as a mixed integer program."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from titer.attacks._tree_layout import Layout
from titer.errors import AttackError
from titer.models.task import Task
from titer.models.trees import Forest
from titer.threats.goal import Goal

Array = np.ndarray[Any, Any]
# By how much an answer must be beyond the border, in parts of the spread of the trees; above the solver's tolerance.
_CLEAR = 2e-6
# How often a solution that rounding turned into none is refused with a wider margin.
_RETRIES = 3


@dataclass(frozen=True, eq=False)
class Wish:
    """Conditions on the outputs F of a forest that hold together: weights @ F + constant > 0, one per row.

    Arguments
        weights: [m, K]. constants: [m].
    """

    weights: Array
    constants: Array

    def held(self, outputs: Array) -> bool:
        """Whether outputs [K] fulfil all of them."""
        return bool((self.weights @ outputs + self.constants > 0).all())


@dataclass(frozen=True, eq=False)
class Evasion:
    """What came of the search for the nearest case.

    Arguments
        distance: of the case that was found; infinite if there is none.
        row: [d] that case, or None.
        bound: no case nearer than this is answered as wanted.
        proven: whether the search was finished, so that bound and distance agree to rounding.
    """

    distance: float
    row: Array | None
    bound: float
    proven: bool


def wishes(task: Task, goal: Goal, truth: float, clean: Array, forest: Forest) -> list[Wish]:
    """The ways of being fooled, of which one is enough.

    Arguments
        truth: class number, wanted class of a targeted goal, or the true number. clean: [K] scores before the attack.

    >>> empty, age = Forest((), np.zeros(1), "scores"), Task("regression", ("age",), tolerance=2.0)
    >>> [wish.constants.tolist() for wish in wishes(age, Goal(), 50.0, np.zeros(1), empty)]
    [[-52.0], [48.0]]
    """
    if task.kind == "regression":
        tolerance = float(task.tolerance or 0)
        center = truth if goal.kind == "untargeted" else float(clean[0])
        up = Wish(np.array([[1.0]]), np.array([-center - tolerance]))
        down = Wish(np.array([[-1.0]]), np.array([center - tolerance]))
        return {"untargeted": [up, down], "raise": [up], "lower": [down]}[goal.kind]
    count = len(task.classes)
    if task.two_sided:
        sick = task.disease
        threshold = task.threshold[0] if isinstance(task.threshold, tuple) else task.threshold
        weights = np.zeros((1, 2))
        weights[0, sick] = 1.0
        weights[0, 1 - sick] = -math.exp(threshold) if forest.outputs == "shares" else -1.0
        constant = np.array([0.0 if forest.outputs == "shares" else -float(threshold)])
        positive, negative = Wish(weights, constant), Wish(-weights, -constant)
        wants = {"raise": True, "lower": False, "targeted": truth == sick, "untargeted": truth != sick}[goal.kind]
        return [positive if wants else negative]
    ahead = [np.eye(count)[k] for k in range(count)]
    own = int(truth)
    if goal.kind == "targeted":
        others = [k for k in range(count) if k != own]
        return [Wish(np.stack([ahead[own] - ahead[k] for k in others]), np.zeros(count - 1))]
    return [Wish((ahead[k] - ahead[own])[None], np.zeros(1)) for k in range(count) if k != own]


@dataclass(frozen=True, eq=False)
class Program:
    """One case against one forest.

    Arguments
        forest: whose answer is to change. clean: [d] the case. low, high: [d] where each value may go. scale: [d] what
        one unit of distance means. norm: "linf", or "l0" for the number of values that move.
    """

    forest: Forest
    clean: Array
    low: Array
    high: Array
    scale: Array
    norm: Literal["linf", "l0"]

    def nearest(self, ways: list[Wish], nodes: int, gap: float) -> Evasion:
        """The nearest case that fulfils one of the wishes, with what is proven about it.

        Arguments
            nodes: most branches of each search. gap: relative gap at which a search may stop; 0 for the optimum.
        """
        if any(wish.held(self.forest.answer(self.clean[None])[0]) for wish in ways):
            return Evasion(0.0, self.clean.copy(), 0.0, proven=True)
        found = [self._solve(wish, nodes, gap) for wish in ways]
        best = min(found, key=lambda each: each.distance)
        bound = min(best.distance, *(each.bound for each in found))
        return Evasion(best.distance, best.row, bound, all(each.proven for each in found))

    def _solve(self, wish: Wish, nodes: int, gap: float) -> Evasion:
        from scipy.optimize import LinearConstraint, milp

        layout = Layout(self.forest, self.clean, self.low, self.high, self.scale, self.norm)
        spread = layout.spread(wish.weights)
        bound, margin = 0.0, _CLEAR
        for _ in range(_RETRIES):
            if not layout.possible(wish.weights, wish.constants, margin * spread):
                return Evasion(math.inf, None, bound or math.inf, proven=True)
            cost, rows, ends, whole, box = layout.rows(wish.weights, wish.constants, margin * spread)
            solved = milp(
                cost, constraints=LinearConstraint(rows, *ends), integrality=whole, bounds=box,
                options={"node_limit": nodes, "mip_rel_gap": gap},
            )  # fmt: skip
            if solved.status == 2:
                return Evasion(math.inf, None, bound or math.inf, proven=True)
            # A limit of nodes comes back as another status than other limits do.
            if solved.status not in (0, 1) and "limit" not in str(solved.message):
                raise AttackError("a program that the solver can work on", str(solved.message), "report this case")
            dual = getattr(solved, "mip_dual_bound", None)
            bound = max(bound, float(dual) if dual is not None and math.isfinite(dual) else 0.0)
            if solved.x is None:
                return Evasion(math.inf, None, bound, proven=False)
            row = layout.row(solved.x)
            if wish.held(self.forest.answer(row[None])[0]):
                return Evasion(self.distance(row), row, bound, proven=solved.status == 0)
            margin *= 10
        return Evasion(math.inf, None, bound, proven=False)

    def distance(self, row: Array) -> float:
        """How far a case lies from the clean one."""
        moved = np.abs(row - self.clean) / self.scale
        return float(moved.max()) if self.norm == "linf" else float((moved > 0).sum())

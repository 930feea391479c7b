"""What a goal can mean to an attack that prepares one thing for many cases: a few ways, of which each case gets one.

A change made for one case may push that case wherever it is wrong. One that was made beforehand can only push all
cases the same way: toward a class, up, or down; so a goal is split into such ways, and each case is given one that
suits it, from its own truth and clean answer alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from titer.attacks.problem import Problem
from titer.threats.goal import Goal
from titer.threats.random import CaseRandom

# A class, a side of a decision or a number, or whatever is wrong.
Way = int | Literal["raise", "lower", "any"]


def ways(problem: Problem) -> tuple[Way, ...]:
    """The ways that together cover the goal."""
    goal, task = problem.goal, problem.model.task
    if goal.kind in ("raise", "lower"):
        return (goal.kind,)
    if goal.kind == "targeted" and goal.target is not None:
        return (int(goal.targets(task, np.zeros(1, dtype=np.int64))[0]),)
    if task.kind == "classes":
        return tuple(range(task.outputs))
    return ("any",) if task.kind in ("multilabel", "segmentation") else ("raise", "lower")


def toward(problem: Problem, way: Way) -> Problem:
    """The problem with one way as the goal of all its cases."""
    if way == "any":
        return problem
    if isinstance(way, int):
        return problem.toward(torch.full((len(problem),), way, dtype=torch.int64, device=problem.inputs.device))
    return replace(problem, goal=Goal(way))


def assigned(problem: Problem, known: Sequence[Way]) -> Int[Tensor, " n"]:
    """Which of the known ways each case gets: the first in their order that would make its answer wrong."""
    goal, task = problem.goal, problem.model.task
    count = len(problem)
    if len(known) == 1 or goal.kind in ("raise", "lower"):
        return torch.zeros(count, dtype=torch.int64, device=problem.inputs.device)
    if task.kind == "classes":
        wanted = torch.tensor([way for way in known if isinstance(way, int)], device=problem.truth.device)
        suits = wanted[None] == problem.truth[:, None]
        return (suits if goal.kind == "targeted" else ~suits).to(torch.int64).argmax(dim=1)
    # Where the clean answer of a regression errs already, a push the same way needs least.
    up = problem.clean[:, 0] >= problem.truth if task.kind == "regression" else problem.truth != task.disease
    return torch.where(up, known.index("raise"), known.index("lower"))


def minibatches(rng: CaseRandom, size: int, epoch: int) -> Iterator[Tensor]:
    """Row numbers of all cases in pieces of `size`, in an order that each epoch draws anew."""
    order = rng.uniform((1,), draw=2 * epoch, dtype=torch.float64).flatten().argsort(stable=True)
    yield from torch.split(order, size)

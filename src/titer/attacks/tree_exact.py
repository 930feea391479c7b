"""Exact evasion of tree ensembles: the nearest case that is answered wrongly, or the proof that there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from titer.attacks._minimal import has_norm
from titer.attacks._tree_program import Evasion, Program, wishes
from titer.attacks.attack import Attack
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.models.model import Knowledge, Model
from titer.threats.change import BallChange, Change
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class TreeExact(Attack):
    """The smallest change within the limit that fools a sum of decision trees, by a mixed integer program.

    One variable says for each threshold within reach on which side the value lies, one for each leaf whether its tree
    ends there; the cost, the largest move (L-infinity) or the number of moved values (L0), is minimized under the
    condition that the sum of the leaves is answered as the attacker wants. A case that is not fooled is proven
    robust within the limit, unless the search ran out of nodes. The attacker has read the model and asks nothing.
    Answers within 2e-6 of a tie, relative to what the trees can move, do not count as fooled.

    Source: Kantchelian, Tygar, Joseph 2016 (arXiv 1509.07892). Different from it: thresholds beyond the limit are
    settled before the search, and values are moved on the grid of float32, on which trees compare.

    Arguments
        nodes: branches that each search may try at most; not a time, so that results repeat.
        gap: relative gap between bound and distance at which a search may stop; 0 for the optimum.

    Refuses models that are no sums of trees, and limits in L2, which would not be a linear program.

    >>> TreeExact().needs
    'structure'
    """

    nodes: int = 20000
    gap: float = 0.0
    name: ClassVar[str] = "tree_exact"
    reference: ClassVar[str] = "Kantchelian, Tygar, Joseph 2016, arXiv 1509.07892"
    needs: ClassVar[Knowledge] = "structure"
    proves: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(1, nodes=self.nodes)
        if not 0 <= self.gap < 1:
            raise AttackError("a gap of 0 or more, below 1", str(self.gap), "correct 'gap' of tree_exact")

    def fits(self, change: Change) -> bool:
        direct = isinstance(change, BallChange) and change.direct and change.surface == "input"
        return direct and has_norm(change, "linf", "l0")

    def accepts(self, model: Model) -> str | None:
        return None if model.trees() is not None else "no sum of decision trees with one answer per class or one number"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        clean, params = problem.field.clean.flatten(1), problem.nothing().flatten(1)
        for case, found in enumerate(self.evasions(problem)):
            if found.row is not None:
                params[case] = _moves(clean[case], torch.from_numpy(found.row))
        return problem.project(params.reshape(problem.field.clean.shape))

    def evasions(self, problem: Problem) -> list[Evasion]:
        """For each case the nearest wrong answer within its limit, and what is proven about it."""
        forest, field, change = problem.trees(), problem.field, problem.change
        if not isinstance(change, BallChange):
            raise AttackError("an additive change", f"{change.name!r}", "choose 'additive' in the plan")
        scale = field.scale.double().expand_as(field.clean[:1].double()).flatten().cpu().numpy()
        clean, (low, high) = _rows(field.clean), map(_rows, change.ends(field))
        size = problem.limit.double().cpu().numpy()
        found = []
        for case in range(len(problem)):
            down, up = low[case], high[case]
            if change.norm == "linf":
                down, up = np.maximum(down, -size[case] * scale), np.minimum(up, size[case] * scale)
            norm: Literal["linf", "l0"] = "linf" if change.norm == "linf" else "l0"
            program = Program(forest, clean[case], clean[case] + down, clean[case] + up, scale, norm)
            before = problem.clean[case].double().cpu().numpy()
            ways = wishes(problem.model.task, problem.goal, float(problem.truth[case]), before, forest)
            nearest = program.nearest(ways, self.nodes, self.gap)
            # A number of values is no border of the program, so it is checked here.
            beyond = change.norm == "l0" and nearest.distance > size[case]
            found.append(Evasion(nearest.distance, None, nearest.bound, nearest.proven) if beyond else nearest)
        return found


def _rows(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(values.flatten(1).double().cpu().numpy())


def _moves(clean: Tensor, row: Tensor) -> Tensor:
    """What to add to a case so that it is that row, or lies beyond it, after rounding."""
    wanted = row.to(clean)
    moves = wanted - clean
    up = wanted > clean
    # The least that the largest of the three numbers can tell apart: less would be rounded away.
    grain = torch.finfo(clean.dtype).eps * torch.stack([clean.abs(), moves.abs(), wanted.abs()]).amax(dim=0) / 2
    for _ in range(4):
        made = clean + moves
        short = torch.where(up, made < wanted, made > wanted) & (moves != 0)
        moves = torch.where(short, moves + torch.where(up, grain, -grain), moves)
    return moves

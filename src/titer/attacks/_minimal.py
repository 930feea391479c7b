"""What searches for the smallest change share: values in units of the scale, flat and in float64, with their room."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from titer.attacks._cheapest import Cheapest
from titer.attacks._hyperplane import Nearest, nearest
from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.threats.change import BallChange, Change

# The lowest and the highest value of each parameter, in units of the scale.
Ends = tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]


def additive(problem: Problem) -> BallChange:
    """The change, which has a norm and a room for every value."""
    if not isinstance(problem.change, BallChange):
        raise AttackError("an additive change", repr(problem.change.name), "use one with this attack")
    return problem.change


def has_norm(change: Change, *norms: str) -> bool:
    """Whether a change is measured by one of these norms."""
    return isinstance(change, BallChange) and change.norm in norms


def open_rows(problem: Problem, best: Cheapest) -> Int[Tensor, " m"]:
    """Cases that doing nothing does not fool, and that may be changed at all."""
    return ((best.cost > 0) & (problem.limit > 0)).nonzero()[:, 0]


def rounds(problem: Problem, wanted: int) -> int:
    """As many questions as are wanted and left."""
    left = problem.remaining()
    return wanted if left is None else min(wanted, left)


def column(values: Tensor, like: Tensor) -> Tensor:
    """One value per case, shaped so that it acts on all values of a case."""
    return values.reshape(-1, *([1] * (like.dim() - 1)))


def flat(problem: Problem, params: Tensor) -> Float[Tensor, "n d"]:
    """Parameters in units of the scale."""
    return (params / problem.field.scale).flatten(1).double()


def raised(problem: Problem, values: Float[Tensor, "n d"]) -> Tensor:
    """Values in units of the scale as parameters."""
    clean = problem.field.clean
    return (values.reshape(clean.shape) * problem.field.scale).to(clean.dtype)


def tilt(problem: Problem, slope: Tensor) -> Float[Tensor, "n d"]:
    """A slope per unit of the scale, zero where nothing may change."""
    return (problem.field.allow(slope) * problem.field.scale).flatten(1).double()


def room(problem: Problem) -> Ends:
    """The box of the parameters."""
    low, high = additive(problem).ends(problem.field)
    return flat(problem, low), flat(problem, high)


def length(problem: Problem, values: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The norm of values in units of the scale."""
    if additive(problem).norm == "linf":
        return values.abs().amax(dim=1)
    return torch.linalg.vector_norm(values, dim=1)  # type: ignore[no-any-return]


def toward(
    problem: Problem, values: Float[Tensor, "n m"], slopes: Tensor, start: Float[Tensor, "n d"], ends: Ends
) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]:
    """The smallest move from `start` to the nearest of m linear borders inside the box, and which border that is.

    Arguments
        values: how far each border is crossed; below 0 in front of it.
        slopes: [n, m, ...] of these values. start: in units of the scale. ends: as of `room`.
    """
    moves, worth = reaches(problem, values, slopes, start, ends)
    chosen = worth.argmax(dim=1)
    return moves[torch.arange(len(moves), device=moves.device), chosen], chosen


def reaches(
    problem: Problem, values: Float[Tensor, "n m"], slopes: Tensor, start: Float[Tensor, "n d"], ends: Ends
) -> tuple[Float[Tensor, "n m d"], Float[Tensor, "n m"]]:
    """The smallest move to each of m linear borders, and what it is worth: the nearer the more."""
    tries = [
        onto(problem, values[:, way], tilt(problem, slopes[:, way]), start, ends) for way in range(values.shape[1])
    ]
    distance = torch.stack([each.distance for each in tries], dim=1)
    reached = torch.stack([each.reached for each in tries], dim=1)
    # Where the box ends before any border, the one that comes nearest.
    met = reached >= 1
    worth = torch.where(met.any(dim=1, keepdim=True), torch.where(met, -distance, -torch.inf), reached)
    return torch.stack([each.move for each in tries], dim=1), worth


def tighten(problem: Problem, best: Cheapest, questions: int) -> None:
    """Shorten the best changes along the line from the clean case, by asking a few times where it crosses the border.

    Between a point that stands and one that fools, the next is asked where a straight line through both margins
    crosses zero, a tenth further on; so it mostly fools, and the shorter change is kept.
    """
    rows = open_rows(problem, best)
    rows = rows[torch.isfinite(best.cost[rows])]
    if not len(rows):
        return
    part, longest = problem.rows(rows), best.params[rows]
    low, high = torch.zeros_like(rows, dtype=torch.float64), torch.ones_like(rows, dtype=torch.float64)
    below, above = part.advantage(part.clean), best.value[rows]
    for _ in range(rounds(problem, questions)):
        crossing = -below / (above - below).clamp_min(1e-300)
        share = low + (high - low) * (crossing + 0.1 * (1 - crossing)).clamp(0.05, 0.95)
        params = part.project(longest * column(share, longest).to(longest.dtype))
        scores = part.scores(params)
        value, fooled = part.advantage(scores), best.offer(part, params, scores, rows)
        low, high = torch.where(fooled, low, share), torch.where(fooled, share, high)
        below, above = torch.where(fooled, below, value), torch.where(fooled, value, above)


def onto(
    problem: Problem, value: Float[Tensor, " n"], slope: Float[Tensor, "n d"], start: Float[Tensor, "n d"], ends: Ends
) -> Nearest:
    """The smallest move from `start` to one linear border, which lies `value` away from there."""
    low, high = (ends[0] - start).clamp(max=0), (ends[1] - start).clamp(min=0)
    return nearest(slope, -value, low, high, additive(problem).norm)

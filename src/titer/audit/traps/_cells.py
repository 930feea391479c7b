"""What traps look at: cells lined up by radius or by attack, and how many cases withstood each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from titer.attacks.attack import Attack
from titer.audit.findings._words import counted, limit_words, where
from titer.audit.results import CellResults, Measured, Results
from titer.audit.table import Array
from titer.audit.traps.check import Seen, clear, sprung
from titer.threats.goal import Goal


def allowed(n: int) -> int:
    """Cases out of n that a comparison may be off by: 1%, or one case where that is more.

    Searches are run anew for each radius with other random starts, so a case at the very border may fall to one search
    and not to the next. That explains single cases, not more.

    >>> allowed(40), allowed(2500)
    (1, 25)
    """
    return max(1, n // 100)


def search_of(cell: CellResults) -> Attack:
    """The attack of a cell with its settings."""
    return cell.threat.attack(cell.attack)


def stands(trial: Measured) -> Array:
    """Whether each case withstood: the attacker did not get what was wanted."""
    return ~trial.after["fooled"].astype(bool)


def standing(cell: CellResults) -> Array:
    """The same over all trials of a cell, end to end."""
    return cell.pooled(stands)


def standing_clean(cell: CellResults) -> Array:
    """Whether doing nothing fails to give the attacker what is wanted; for any wrong answer: right answers."""
    goal = Goal(cell.threat.spec.goal, cell.threat.spec.target)

    def untouched(trial: Measured) -> Array:
        scores = trial.before["scores"]
        return ~np.asarray(goal.fooled(trial.task, trial.targets, scores, scores), dtype=bool)

    return cell.pooled(untouched)


def by_attack(results: Results) -> list[list[CellResults]]:
    """Cells of one model, threat and attack, with growing radius."""
    return _grouped(results, lambda cell: cell.attack)


def by_radius(results: Results) -> list[list[CellResults]]:
    """Cells of one model, threat and radius, with the attacks in the plan's order."""
    return _grouped(results, lambda cell: cell.radius.value)


def by_change(results: Results) -> list[list[CellResults]]:
    """Cells of one model, change and radius, whatever the attackers know and however often they may ask."""
    groups: dict[Hashable, list[CellResults]] = {}
    for cell in results.cells:
        spec = cell.threat.spec
        same = (repr(cell.threat.change), spec.goal, spec.target, spec.where, cell.radius.value)
        groups.setdefault((cell.trials[0].trial.subject, *same), []).append(cell)
    return list(groups.values())


def questions(cell: CellResults) -> float:
    """How many questions per case the attacker may ask; infinite without a limit."""
    return float("inf") if cell.threat.spec.queries is None else float(cell.threat.spec.queries)


def by_threat(results: Results) -> list[list[CellResults]]:
    """Cells of one model and threat, with growing radius."""
    return _grouped(results, lambda cell: None)


def _grouped(results: Results, also: Callable[[CellResults], Hashable]) -> list[list[CellResults]]:
    groups: dict[Hashable, list[CellResults]] = {}
    for cell in results.cells:
        trial = cell.trials[0].trial
        groups.setdefault((trial.subject, trial.threat, also(cell)), []).append(cell)
    return [sorted(group, key=lambda cell: cell.radius.value) for group in groups.values()]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two searches of the same cases, of which `strong` may leave no more cases standing than `weak`.

    Arguments
        strong, weak: the cells; `weak` None means doing nothing. extra: cases more that stand under `strong`.
    """

    strong: CellResults
    weak: CellResults | None
    extra: int
    n: int

    @classmethod
    def of(cls, strong: CellResults, weak: CellResults | None) -> Pair:
        """Both searches, counted."""
        kept = standing(strong)
        other = standing_clean(strong) if weak is None else standing(weak)
        return cls(strong, weak, int(kept.sum()) - int(other.sum()), len(kept))

    @property
    def bad(self) -> bool:
        """Whether more cases stand than chance explains."""
        return self.extra > allowed(self.n)

    @property
    def cells(self) -> tuple[CellResults, ...]:
        return (self.strong,) if self.weak is None else (self.strong, self.weak)


def judge(pairs: Sequence[Pair]) -> Seen:
    """Whether all pairs are in order; the evidence names the worst."""
    bad = [pair for pair in pairs if pair.bad]
    worst = max(bad or pairs, key=lambda pair: pair.extra / pair.n)
    if not bad:
        most = max(worst.extra, 0)
        return clear(
            f"In order in {counted(len(pairs), 'comparison')} on {_sizes(pairs)} each: at most {counted(most, 'case')} "
            f"more withstood, {allowed(worst.n)} tolerated."
        )
    kept = int(standing(worst.strong).sum())
    other = "doing nothing" if worst.weak is None else f"{worst.weak.attack} at {limit_words(worst.weak.radius)}"
    return sprung(
        f"Out of order in {len(bad)} of {counted(len(pairs), 'comparison')} on {_sizes(pairs)}. Worst: "
        f"{where(worst.strong)}: {kept} of {counted(worst.n, 'case')} withstand it, "
        f"{kept - worst.extra} withstand {other} ({worst.extra} more, {allowed(worst.n)} tolerated).",
        [cell for pair in bad for cell in pair.cells],
    )


def _sizes(pairs: Sequence[Pair]) -> str:
    small, large = min(pair.n for pair in pairs), max(pair.n for pair in pairs)
    return counted(large, "case") if small == large else f"{small:,} to {counted(large, 'case')}"


def covers(cell: CellResults) -> bool:
    """Whether the radius of a cell allows every valid input; no other change than an additive one is known to."""
    space, change = cell.dataset.space, cell.threat.change
    if change.name != "additive" or cell.threat.spec.where != "all" or getattr(change, "most", None) is not None:
        return False
    low, high = space.bounds()
    reach = np.broadcast_to((high - low) / space.per_channel(space.scale), space.shape)
    needed = {"linf": reach.max(), "l2": np.sqrt((reach**2).sum()), "l1": reach.sum(), "l0": float(space.size)}
    norm = str(getattr(change, "norm", ""))
    return norm in needed and cell.radius.value >= float(needed[norm]) * (1 - 1e-9)


def strongest(cells: Sequence[CellResults]) -> CellResults:
    """The cell that the fewest cases withstood; the plan's order decides between equals."""
    return min(cells, key=lambda cell: int(standing(cell).sum()))


def attacks_only(cells: Sequence[CellResults]) -> list[CellResults]:
    """Cells that are no controls."""
    return [cell for cell in cells if not cell.control]


def one_by_one(cells: Sequence[CellResults]) -> list[CellResults]:
    """Attacks that are made for each case; what one change for all cases cannot reach says nothing about a search."""
    return [cell for cell in attacks_only(cells) if not search_of(cell).learns]

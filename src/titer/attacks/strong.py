"""Strong: an ensemble of attacks from cheap to costly, each on the cases that still stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.losses import ways
from titer.attacks.pgd import PGD
from titer.attacks.problem import Best, Problem
from titer.attacks.square import Square
from titer.errors import AttackError
from titer.models.task import Task
from titer.registry import ATTACKS
from titer.threats.change import Change
from titer.threats.goal import Goal
from titer.threats.random import CaseRandom

# Members that are set for the task; any other name is looked up among the attacks.
_TUNED = ("apgd-ce", "apgd-dlr", "apgd-target", "pgd", "square")
# Apart from all draws of the members, which count from 0.
_STREAMS = 0x51AB0000


@dataclass(frozen=True)
class Strong(Attack):
    """All members after one another, each on the cases that withstood the ones before; the task decides the details.

    By default: a short PGD on the margin, which takes the easy cases; APGD on the cross-entropy (one logit: on the
    margin, which points the same way and does not saturate); APGD on DLR from random starts, towards each of the
    nearest wrong answers in turn (classes, findings, too high and too low; one walk where there is one way to be
    wrong); Square on scores, for models whose gradients say nothing. A member that cannot search the change is left
    out. Margin and DLR do not depend on the scale of the logits, so saturated models hide nothing.

    Source: the ensemble of Croce and Hein 2020 (arXiv 2003.01690). Different from it: PGD in front, no minimum-norm
    member unless `members` names one, fewer steps of Square, and any task, with one logit and two classes too.

    Arguments
        members: "pgd", "apgd-ce", "apgd-target" and "square" as above, "apgd-dlr" for one walk on DLR, or the names of
            other attacks, which run as they come.
        steps: gradient steps of each walk of APGD; PGD takes a tenth.
        targets: wrong answers that "apgd-target" tries, at most.
        queries: questions of Square per case.

    >>> Strong(members=("apgd-ce", "psychic"))
    Traceback (most recent call last):
    titer.errors.AttackError: expected members among apgd, apgd-ce, ..., got 'psychic'; correct 'members' ...
    """

    members: tuple[str, ...] = ("pgd", "apgd-ce", "apgd-target", "square")
    steps: int = 100
    targets: int = 9
    queries: int = 1000
    name: ClassVar[str] = "strong"
    reference: ClassVar[str] = "Croce and Hein 2020, arXiv 2003.01690 (AutoAttack)"

    def __post_init__(self) -> None:
        self.require(1, steps=self.steps, targets=self.targets, queries=self.queries)
        object.__setattr__(self, "members", tuple(self.members))
        known = sorted({*_TUNED, *ATTACKS.names()} - {self.name})
        for each in self.members:
            if each not in known:
                raise AttackError(
                    f"members among {', '.join(known)}", repr(each), "correct 'members' of strong, or leave it out"
                )
        if not self.members:
            raise AttackError("at least one member for strong", "none", "name one in 'members', or leave it out")

    def fits(self, change: Change) -> bool:
        # Which members fit does not depend on the task.
        crew = self.crew(Task("binary", ("no", "yes")), Goal())
        return super().fits(change) and any(member.fits(change) for member in crew)

    def crew(self, task: Task, goal: Goal) -> list[Attack]:
        """The members as they are set for a task and a goal.

        >>> [member.restarts for member in Strong().crew(Task("classes", ("a", "b", "c")), Goal())[:3]]
        [1, 1, 2]
        """
        return [self._member(name, task, goal) for name in self.members]

    def _member(self, name: str, task: Task, goal: Goal) -> Attack:
        walk = APGD(steps=self.steps, restarts=1, early_exit=True, from_clean=False)
        if name == "pgd":
            return PGD(steps=max(1, self.steps // 10), restarts=1, losses=("margin",), early_exit=True)
        if name == "apgd-ce":
            return replace(walk, losses=("ce" if task.outputs > 1 else "margin",), from_clean=True)
        if name == "apgd-dlr":
            return replace(walk, losses=("dlr",))
        if name == "apgd-target":
            return replace(walk, losses=("dlr-target",), restarts=min(self.targets, ways(task, goal)))
        if name == "square":
            return Square(queries=self.queries)
        other: Attack = ATTACKS.find(name)()
        return other

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        for place, member in enumerate(self.crew(problem.model.task, problem.goal)):
            rows = (~best.fooled).nonzero()[:, 0]
            if not len(rows):
                break
            if member.fits(problem.change):
                part = problem.rows(rows)
                params = member.search(part, _stream(rng.rows(rows), place))
                best.offer(params, part.advantage(part.scores(params)), rows)
        return best.params


def _stream(rng: CaseRandom, place: int) -> CaseRandom:
    """Random numbers of one member, so that members do not repeat each other's draws."""
    return CaseRandom(rng.words(2, _STREAMS + place))

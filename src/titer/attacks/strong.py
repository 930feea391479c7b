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
_TUNED = ("apgd-ce", "apgd-dlr", "apgd-margin", "apgd-short", "apgd-target", "pgd", "square")
# Apart from all draws of the members, which count from 0; and how far those of the stages of Square lie apart.
_STREAMS, _STAGE = 0x51AB0000, 0x100
# Stages of Square after other members: its questions, in parts of all, and how far it must have come by then, in parts
# of what the members before it gained, to go on. In L2 its first questions bring less. To ask all of them, it must also
# have come half of the way to the border.
_STAGES = {"linf": ((0.02, 0.75), (0.1, 1.25)), "l2": ((0.02, 0.35), (0.1, 1.0))}
# Short walks on the margin per case.
_MARGINS = 6


@dataclass(frozen=True)
class Strong(Attack):
    """All members after one another, each on the cases that withstood the ones before; the task decides the details.

    By default: a short PGD on the margin, which takes the easy cases; APGD on the cross-entropy (one logit: on the
    margin, which points the same way and does not saturate); short walks of APGD from random starts, on DLR towards
    each of the nearest wrong answers in turn (classes, findings, too high and too low; one way where there is but one
    to be wrong), then on the margin; the longest on DLR towards each; Square on scores, for models whose gradients say
    nothing. Many short walks find more than few long ones where the landscape is rugged, as that of undefended and
    of quantized models is; long ones find the last cases of smooth ones. A member that cannot search the change is
    left out. Margin and DLR do not depend on the scale of the logits, so saturated models hide nothing.

    Square asks all its questions only about cases where most gradients were zero, or where it outdoes them. It is
    looked at after 2 % and after 10 % of its questions, when it must have gained 75 % and 125 % of what the members
    before it did (in L2, where its start is slow, 35 % and 100 %), and in the end half of the way to the border.

    Source: the ensemble of Croce and Hein 2020 (arXiv 2003.01690). Different from it: PGD in front, short walks, Square
    only where it pays, no minimum-norm member unless `members` names one, and any task, with one logit and two classes
    too. How much each leaves standing is shown in docs/strength.md.

    Arguments
        members: "pgd", "apgd-ce", "apgd-short" (towards wrong answers), "apgd-margin" (short), "apgd-target" (long) and
            "square" as above, "apgd-dlr" for one long walk on DLR, or the names of other attacks, which run as they
            come.
        steps: gradient steps of a walk; "apgd-target" takes twice as many, short ones half, PGD a fifth.
        targets: wrong answers that "apgd-target" tries, at most; "apgd-short" tries each twice, within this number.
        queries: questions of Square per case, at most.

    >>> Strong(members=("apgd-ce", "psychic"))
    Traceback (most recent call last):
    titer.errors.AttackError: expected members among apgd, apgd-ce, ..., got 'psychic'; correct 'members' ...
    """

    members: tuple[str, ...] = ("pgd", "apgd-ce", "apgd-short", "apgd-margin", "apgd-target", "square")
    steps: int = 50
    targets: int = 9
    queries: int = 5000
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

        >>> [member.restarts for member in Strong().crew(Task("classes", ("a", "b", "c")), Goal())[:5]]
        [1, 1, 4, 6, 2]
        """
        return [self._member(name, task, goal) for name in self.members]

    def _member(self, name: str, task: Task, goal: Goal) -> Attack:
        walk = APGD(steps=self.steps, restarts=1, early_exit=True, from_clean=False)
        short = replace(walk, steps=max(1, self.steps // 2))
        wrong = ways(task, goal)
        if name == "pgd":
            return PGD(steps=max(1, self.steps // 5), restarts=1, losses=("margin",), early_exit=True)
        if name == "apgd-ce":
            losses = ("ce" if task.outputs > 1 else "margin",)
            return replace(walk, losses=losses, from_clean=True)
        if name == "apgd-short":
            # Each way once at least, as far as `targets` allows.
            return replace(short, losses=("dlr-target",), restarts=min(self.targets, 2 * wrong))
        if name == "apgd-margin":
            return replace(short, losses=("margin",), restarts=_MARGINS)
        if name == "apgd-dlr":
            return replace(walk, losses=("dlr",))
        if name == "apgd-target":
            # Where the limit is wide, only walks of this length arrive.
            longest = replace(walk, steps=2 * self.steps)
            return replace(longest, losses=("dlr-target",), restarts=min(self.targets, wrong))
        if name == "square":
            return Square(queries=self.queries)
        other: Attack = ATTACKS.find(name)()
        return other

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        start = best.value
        crew = [member for member in self.crew(problem.model.task, problem.goal) if member.fits(problem.change)]
        for place, member in enumerate(crew):
            rows = (~best.fooled).nonzero()[:, 0]
            if isinstance(member, Square) and place:
                gained = best.value - start
                stages = _STAGES[getattr(problem.change, "norm", "linf")]
                for stage, (share, part) in enumerate(stages, 1):
                    trial = replace(member, queries=max(1, round(share * member.queries)))
                    reached = self._turn(trial, problem, _stream(rng, place + stage * _STAGE), rows, best)
                    far = reached - start[rows] >= part * gained[rows]
                    if stage == len(stages):
                        far &= 2 * reached >= start[rows]
                    rows = rows[(far | _unseen(problem.rows(rows))) & (reached <= 0)]
            self._turn(member, problem, _stream(rng, place), rows, best)
        return best.params

    def _turn(self, member: Attack, problem: Problem, rng: CaseRandom, rows: Tensor, best: Best) -> Tensor:
        """One member on these cases; gives the attacker's margin that it reached on each."""
        if not len(rows):
            return best.value[rows]
        part = problem.rows(rows)
        params = member.search(part, rng.rows(rows))
        reached = part.advantage(part.scores(params))
        best.offer(params, reached, rows)
        return reached


def _unseen(problem: Problem) -> Tensor:
    """[n] whether most gradients of a case were zero everywhere, or no numbers; then only luck gained anything."""
    meter, index = problem.meter, problem.index
    unseen: Tensor = 2 * meter.useless[index] > meter.passes[index]
    return unseen.to(problem.inputs.device)


def _stream(rng: CaseRandom, place: int) -> CaseRandom:
    """Random numbers of one member, so that members do not repeat each other's draws."""
    return CaseRandom(rng.words(2, _STREAMS + place))

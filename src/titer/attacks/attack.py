"""Attack: a search through the parameters of a change. It has no say in whether it succeeded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from titer.attacks.problem import Problem
from titer.errors import AttackError
from titer.models.model import Knowledge, Model
from titer.threats.change import Change, SmoothChange
from titer.threats.random import CaseRandom


class Attack(ABC):
    """Base of all attacks; a subclass is a frozen dataclass of its settings, alone in its file.

    Attributes
        name: as plans and the command line call it (the file's name).
        reference: authors, year, identifier.
        needs: the least that must be seen of the model.
        searches: the kind of change that it can search.
        control: true for what is no attack but shows what chance does.
        iterative: true if it takes many steps, so that it must do no worse than a single step.
        minimal: true if it looks for the cheapest change that fools, so that one run with a wide limit gives each
            case's minimal radius.
        proves: true if its failure proves that nothing within the limit fools the model (an exact search).
        learns: true if it must be taught on a pool of cases before it can search others (see `LearningAttack`).
        borrows: true if it works on models of the attacker's own: its setting `surrogates` holds them, or what a plan
            says of each, for `lent` to replace.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    needs: ClassVar[Knowledge] = "gradients"
    searches: ClassVar[type[Change]] = SmoothChange  # type: ignore[type-abstract]
    control: ClassVar[bool] = False
    iterative: ClassVar[bool] = True
    minimal: ClassVar[bool] = False
    proves: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    borrows: ClassVar[bool] = False

    @abstractmethod
    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        """Parameters [n, ...] of the change, the best found for each case."""

    def learn(self, problem: Problem, rng: CaseRandom) -> Attack:
        """The attack that carries what these cases, the pool, taught; only where the class says `learns`."""
        raise AttackError(
            "an attack that learns", self.name, "run it as it is; only attacks that learn are taught on a pool"
        )

    def lent(self, models: Sequence[Model]) -> Attack:
        """The attack with these models in place of what a plan says of them; only where the class says `borrows`."""
        raise AttackError(
            "an attack that works on models of its own", self.name, "run it as it is; only attacks that borrow are lent"
        )

    def fits(self, change: Change) -> bool:
        """Whether this attack can search this change; attacks with further wishes refine it.

        What walks along gradients needs a limit that is a length, not a number of edits.
        """
        walks = self.searches is SmoothChange
        return isinstance(change, self.searches) and not (walks and change.counts)

    def accepts(self, model: Model) -> str | None:
        """What this attack misses in a model, in words; None if it can work on it. Most can on any."""
        return None

    def require(self, low: float, **settings: float) -> None:
        """Refuse settings below `low`; subclasses call it when they are made."""
        for label, value in settings.items():
            if not value >= low:
                raise AttackError(f"{label} of at least {low:g}", str(value), f"correct {label!r} of {self.name}")


@dataclass(frozen=True, kw_only=True)
class LearningAttack(Attack):
    """Base of attacks that learn one thing from a pool of cases and then apply it to cases they never saw.

    `titer.attacks.engine.learn` teaches one and returns another attack, which carries what was learned and is run like
    any other. What is learned is the same for all cases, so no law ties its strength to attacks made for one case.

    Arguments
        pool: the most cases that an audit lets it learn from; chosen by seed among training cases (of a model that was
            trained in the audit) or validation cases, never among test cases.
    """

    pool: int = 500
    iterative: ClassVar[bool] = False
    learns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(1, pool=self.pool)

    @abstractmethod
    def learn(self, problem: Problem, rng: CaseRandom) -> Attack:
        """The attack that carries what these cases, the pool, taught; frozen, and done with learning."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        """Refused: there is nothing yet to apply."""
        raise untaught(self)


def untaught(attack: Attack) -> AttackError:
    """The refusal to search with an attack that has learned nothing yet."""
    return AttackError(
        f"an attack that was taught on a pool of cases before it searches others ({attack.name})",
        "one that has learned nothing",
        "call titer.attacks.engine.learn(attack, model, pool, threat, seed=...) and run what it returns",
    )

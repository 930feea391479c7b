"""Attack: a search through the parameters of a change. It has no say in whether it succeeded."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    needs: ClassVar[Knowledge] = "gradients"
    searches: ClassVar[type[Change]] = SmoothChange  # type: ignore[type-abstract]
    control: ClassVar[bool] = False
    iterative: ClassVar[bool] = True

    @abstractmethod
    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        """Parameters [n, ...] of the change, the best found for each case."""

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

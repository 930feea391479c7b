"""Transfer: attack a model of one's own, and hope that the target falls for the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

from titer.attacks._purse import Purse
from titer.attacks._rows import lanes_of
from titer.attacks.attack import Attack
from titer.attacks.pgd import PGD
from titer.attacks.problem import Meter, Problem
from titer.digest import digest
from titer.errors import AttackError
from titer.models.model import Access, Model, allows
from titer.threats.change import Change
from titer.threats.random import CaseRandom


@dataclass(frozen=True)
class Transfer(Attack):
    """Any attack, run on surrogates of the target; what fools them is shown to the target.

    Several surrogates are attacked together, through the mean of their scores ("mean", each moved so that its threshold
    is at 0), or each on its own ("each"): then the target is asked about one result after the other, a question each,
    until one fools it; the last is left to the judgement at the end. With "mean" the target is asked nothing at all.
    Where the threat's questions run out earlier, the next result is the last.

    Source: Papernot, McDaniel, Goodfellow 2016 (arXiv 1605.07277); mean of scores: Liu et al. 2017 (arXiv 1611.02770)
    and Dong et al. 2018 (arXiv 1710.06081), where losses or probabilities may be averaged instead.

    Arguments
        surrogates: models that the attacker has, with the target's space and task; thresholds may differ. In a plan,
            what it says of each, as of its own model: an audit trains or loads them and puts them here (`lent`).
        attack: what is run on them. It sees all that they give, and its questions to them are free.
        combine: "mean" or "each".

    Refuses no surrogates, surrogates of another space or task, an attack that needs more than they give, and itself as
    the attack on them.

    >>> import titer.testing.models as examples
    >>> Transfer((examples.linear(3, 4)[0],)).needs
    'labels'
    """

    surrogates: tuple[Model | Mapping[str, Any], ...] = field(default=(), repr=False)
    attack: Attack = field(default_factory=PGD)
    combine: Literal["mean", "each"] = "mean"
    name: ClassVar[str] = "transfer"
    reference: ClassVar[str] = "Papernot, McDaniel, Goodfellow 2016, arXiv 1605.07277"
    needs: ClassVar[Access] = "labels"
    searches: ClassVar[type[Change]] = Change  # type: ignore[type-abstract]
    borrows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "surrogates", tuple(self.surrogates))
        if not self.surrogates or not all(isinstance(each, (Model, Mapping)) for each in self.surrogates):
            raise AttackError(
                "one or more models as surrogates",
                repr(self.surrogates),
                "hand in models you trained; in a plan name them in 'surrogates', as 'model' does",
            )
        if not isinstance(self.attack, Attack) or isinstance(self.attack, Transfer):
            raise AttackError("an attack to run on the surrogates", repr(self.attack), "hand in for example PGD()")
        if self.combine not in ("mean", "each"):
            raise AttackError("'mean' or 'each'", repr(self.combine), "correct 'combine' of transfer")
        for each in self.surrogates:
            if isinstance(each, Model) and not allows(each.access, self.attack.needs):
                raise AttackError(
                    f"surrogates that give {self.attack.needs} for {self.attack.name}",
                    f"{each.name}, which gives {each.access}",
                    "choose another surrogate, or an attack that sees less",
                )

    def lent(self, models: Sequence[Model]) -> Transfer:
        return replace(self, surrogates=tuple(models))

    def fits(self, change: Change) -> bool:
        # What stands behind one model's embedding has no meaning for another.
        return change.surface == "input" and self.attack.fits(change)

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        surrogates = self._held()
        for each in surrogates:
            _check_same(each, problem.model)
        together = self.combine == "mean" and len(surrogates) > 1
        attacked = (_Mean(surrogates),) if together else surrogates
        purse = Purse.of(problem, len(attacked) - 1)
        final, waiting = purse.best.params, ~purse.best.fooled
        for surrogate in attacked:
            rows = waiting.nonzero()[:, 0]
            if not len(rows):
                break
            params = self._found(surrogate, problem.rows(rows), rng.rows(rows))
            final = final.index_copy(0, rows, params)
            # Whoever has no question left leaves this result to the judgement at the end.
            asking = purse.left[rows] > 0
            waiting = waiting.index_fill(0, rows[~asking], False)
            value = purse.value(rows[asking], params[asking])
            waiting = waiting.index_fill(0, rows[asking][value > 0], False)
        return final

    def _held(self) -> tuple[Model, ...]:
        missing = [each for each in self.surrogates if not isinstance(each, Model)]
        if missing:
            raise AttackError(
                "surrogates that were trained or loaded",
                f"what a plan says of one: {dict(missing[0])}",
                "audit the plan, or put models in their place with 'lent'",
            )
        return cast("tuple[Model, ...]", self.surrogates)

    def _found(self, surrogate: Model, problem: Problem, rng: CaseRandom) -> Tensor:
        """What the attack finds on one surrogate, without a question to the target."""
        count = len(problem)
        with surrogate.ready():
            own = replace(
                problem,
                model=surrogate,
                knowledge=surrogate.access,
                meter=Meter(count, problem.inputs.device),
                index=torch.arange(count, device=problem.inputs.device),
                budget=None,
                lane=lanes_of(surrogate, rng),
            )
            with torch.no_grad():
                own = replace(own, clean=own.seen(own.ask(own.nothing())[0]))
            return self.attack.search(own, rng).detach()


class _Mean(Model):
    """Several models as one: the mean of their scores, with the threshold at 0."""

    def __init__(self, models: tuple[Model, ...]) -> None:
        self.models = models
        self.name = "mean of " + ", ".join(model.name for model in models)
        self.space = models[0].space
        self.task = replace(models[0].task, threshold=0.0)
        ranked: tuple[Access, ...] = ("labels", "scores", "gradients")
        self.access = next(access for access in ranked if any(model.access == access for model in models))
        self.digest = digest(["mean", *(model.digest for model in models)])
        self.remote = any(model.remote for model in models)

    def scores(self, inputs: Tensor) -> Tensor:
        total = torch.zeros((), device=inputs.device)
        for model in self.models:
            total = total + model.task.shifted(model.scores(inputs))
        return total / len(self.models)

    def ready(self) -> AbstractContextManager[object]:
        opened = ExitStack()
        for model in self.models:
            opened.enter_context(model.ready())
        return opened


def _check_same(surrogate: Model, target: Model) -> None:
    one, other = surrogate.space, target.space
    if (one.kind, one.shape, one.unit, one.vocabulary, one.padding) != (
        other.kind, other.shape, other.unit, other.vocabulary, other.padding,
    ):  # fmt: skip
        raise AttackError(
            f"a surrogate for {other.describe()}",
            f"{surrogate.name} for {one.describe()}",
            "choose a surrogate of the same space, or adapt it to the target's unit and shape",
        )
    if (surrogate.task.kind, surrogate.task.classes) != (target.task.kind, target.task.classes):
        raise AttackError(
            f"a surrogate for {target.task.kind} of {', '.join(target.task.classes)}",
            f"{surrogate.name} for {surrogate.task.kind} of {', '.join(surrogate.task.classes)}",
            "choose a surrogate of the same task",
        )

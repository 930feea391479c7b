"""The laws that every attack keeps, as one call, so that somebody else's attack proves itself in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, learn, run
from titer.cases.case import Array, Batch
from titer.errors import BudgetError
from titer.models.model import Model
from titer.models.trees import Forest
from titer.testing import models
from titer.threats.change import Change
from titer.threats.changes.additive import Additive
from titer.threats.changes.affine import Affine
from titer.threats.changes.band import Band
from titer.threats.changes.bias_field import BiasField
from titer.threats.changes.blur import Blur
from titer.threats.changes.channels import Channels
from titer.threats.changes.contrast import Contrast
from titer.threats.changes.corruption import Corruption
from titer.threats.changes.dropped_lead import DroppedLead
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.gamma import Gamma
from titer.threats.changes.lowpass import LowPass
from titer.threats.changes.patch import Patch
from titer.threats.changes.substitution import Substitution
from titer.threats.changes.together import Part, Together
from titer.threats.threat import ThreatModel

_CASES = 9
# Further cases of the same kind, from which attacks that learn are taught.
_POOL = 24
_ARRAYS = ("perturbed", "fooled", "clean_scores", "scores", "cost", "queries", "passes")
# Kind of space, change and a limit under which some of the cases fall and some do not.
_GROUND: tuple[tuple[str, Change, float], ...] = (
    ("table", Additive("linf"), 0.2),
    ("table", Additive("l2"), 0.3),
    ("table", Additive("l0"), 2.0),
    ("image", Additive("linf"), 0.05),
    ("image", Additive("l0"), 4.0),
    ("image", LowPass("linf"), 0.1),
    ("signal", Additive("l2"), 0.5),
    ("signal", Additive("l0", most=0.5), 5.0),
    ("signal", LowPass("linf"), 0.1),
    ("tokens", Embedding("l2"), 0.5),
    ("tokens", Substitution(), 2.0),
    ("image", Affine(), 0.6),
    ("image", BiasField(), 30.0),
    ("image", Blur(), 0.8),
    ("image", Contrast(), 1.0),
    ("image", Gamma(), 40.0),
    ("image", Corruption(), 0.5),
    ("signal", Corruption(), 0.5),
    ("volume", Additive("linf"), 0.05),
    ("signal", Band(5.0, 40.0, slew=20.0), 0.1),
    ("signal", Channels(), 0.3),
    ("signal", DroppedLead(), 1.0),
    ("image", Patch(), 0.4),
    ("image", Patch("square", "area"), 0.3),
    ("signal", Patch(), 0.5),
    ("table", Additive("l1"), 0.8),
    ("image", Additive("l1"), 1.0),
    ("table", Together((Part(Additive("linf"), 0.1), Part(Additive("l2"), 0.2))), 1.0),
    ("image", Together((Part(Affine(rotation=10), 0.5), Part(Additive("linf"), 0.03))), 1.0),
)
_ANSWERS: tuple[models.Answer, ...] = ("classes", "two classes", "binary", "multilabel", "regression", "anomaly")


@dataclass(frozen=True, eq=False)
class Situation:
    """An attack on a small model and a few cases under a threat."""

    attack: Attack
    model: Model
    batch: Batch
    threat: ThreatModel
    choices: Array | None
    make: Callable[[Model], Attack] | None = None
    pool: Batch | None = None

    @cached_property
    def searcher(self) -> Attack:
        """The attack, taught if it learns."""
        return self.taught()

    def taught(self) -> Attack:
        """The attack, taught anew if it learns."""
        if self.pool is None:
            return self.attack
        return learn(self.attack, self.model, self.pool, self.threat, seed="contract", choices=self.choices)

    @cached_property
    def usual(self) -> Outcome:
        """What comes of all cases at once."""
        return self.run()

    def run(self, rows: Any = None, **settings: Any) -> Outcome:
        """Attack all cases or the given rows of them."""
        batch = self.batch if rows is None else self.batch.take(rows)
        given: dict[str, Any] = {"threat": self.threat, "seed": "contract", "choices": self.choices} | settings
        return run(given.pop("attack", self.searcher), given.pop("model", self.model), batch, **given)

    def __str__(self) -> str:
        space, task = self.model.space, self.model.task
        return f"{self.model.name}, {task.kind}: {self.threat.sentence(space, task)}"


def situations(
    attack: Attack | Callable[[Model], Attack], ground: Sequence[tuple[str, Change, float]] | None = None
) -> Iterable[Situation]:
    """All pairs of small models and changes that the attack fits, over every kind of space and task."""
    number = 0
    for kind, change, limit in ground or _GROUND:
        example = _made(attack, models.constant(kind, 1)[0])  # type: ignore[arg-type]
        if not example.fits(change):
            continue
        # Every task is met somewhere; tables are quick, so they stand for three tasks each.
        for answer in _ANSWERS[number % 3 :: 3] + _ANSWERS[:1] if kind == "table" else (_ANSWERS[number % 6],):
            count = _CASES + _POOL if example.learns else _CASES
            model: Model
            if example.needs == "structure":
                model, batch = models.forest(count, answer=answer, seed=number)
            else:
                model, batch = models.network(kind, count, answer=answer, seed=number)  # type: ignore[arg-type]
            table = models.choices(model.space) if kind == "tokens" else None
            searcher = _made(attack, model)
            pool = batch.take(range(_CASES, count)) if searcher.learns else None
            threat = ThreatModel(change, limit, knowledge=searcher.needs)
            yield Situation(searcher, model, batch.take(range(_CASES)), threat, table, partial(_made, attack), pool)
        number += 1


def _made(attack: Attack | Callable[[Model], Attack], model: Model) -> Attack:
    return attack if isinstance(attack, Attack) else attack(model)


def check_attack(
    attack: Attack | type[Attack] | Callable[[Model], Attack],
    ground: Sequence[tuple[str, Change, float]] | None = None,
) -> dict[str, int]:
    """Hold an attack to all laws; raises AssertionError that names the law, the situation and what was seen.

    Arguments
        attack: a configured attack, the class of one that has defaults, or a function that makes one for a model (for
            attacks that need something of the model's kind, such as a surrogate).
        ground: (kind of space, change, limit) to try it on, for attacks on changes of your own.

    Returns how many situations each law was tried in.

    >>> from titer.attacks.fgsm import FGSM
    >>> check_attack(FGSM, [("table", Additive("linf"), 0.2)])["limit zero changes nothing"]
    3
    """
    searcher = attack() if isinstance(attack, type) else attack
    known = list(situations(searcher, ground))
    name = getattr(searcher, "name", "the attack")
    if not known:
        raise AssertionError(f"{name} fits none of the changes; correct its 'searches' or 'fits'")
    tried = dict.fromkeys(LAWS, 0)
    for situation in known:
        for title, law in LAWS.items():
            try:
                law(situation)
            except AssertionError as broken:
                raise AssertionError(f"{situation.attack.name} breaks '{title}' ({situation}): {broken}") from broken
            tried[title] += 1
    return tried


def _repeats(situation: Situation) -> None:
    _same(situation.usual, situation.run(attack=situation.taught()), "a second run")


def _batch(situation: Situation) -> None:
    for rows in ([5], [7, 2, 4]):
        _same(_rows(situation.usual, rows), situation.run(rows), f"cases {rows} on their own")
    _same(situation.usual, situation.run(size=4), "pieces of four")


def _limits(situation: Situation) -> None:
    limits = situation.threat.limit * np.linspace(0.5, 1.5, _CASES)
    together = situation.run(limits=limits)
    alone = situation.run([1], threat=situation.threat.at(float(limits[1])))
    _same(_rows(together, [1]), alone, "a case with its own limit")


def _keeps(situation: Situation) -> None:
    _true(
        not situation.usual.violated.any(),
        f"{int(situation.usual.violated.sum())} proposals broke limit, mask, range or change",
    )
    _true(
        bool((situation.usual.cost <= situation.threat.limit * (1 + 1e-6)).all()),
        f"a cost of {situation.usual.cost.max()}",
    )
    if situation.model.space.kind != "tokens":
        low, high = (np.asarray(edge, dtype=np.float32) for edge in situation.model.space.bounds())
        _true(
            bool(((situation.usual.perturbed >= low) & (situation.usual.perturbed <= high)).all()),
            "a value out of range",
        )


def _zero(situation: Situation) -> None:
    outcome = situation.run(threat=situation.threat.at(0.0))
    _true(np.array_equal(outcome.perturbed, situation.batch.inputs), "a limit of zero changed something")
    _true(not outcome.fooled.any(), "a limit of zero fooled a model that was right")


def _untouched(situation: Situation) -> None:
    module = getattr(situation.model, "module", torch.nn.Identity())
    module.train()
    inputs = situation.batch.inputs.copy()
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    wanted = [weight.requires_grad for weight in module.parameters()]
    states = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()
    situation.run(attack=situation.taught())
    _true(np.array_equal(inputs, situation.batch.inputs), "cases changed in place")
    after = module.state_dict()
    _true(all(torch.equal(value, after[name]) for name, value in weights.items()), "weights or statistics changed")
    _true(all(weight.grad is None for weight in module.parameters()), "gradients were left on weights")
    _true(wanted == [weight.requires_grad for weight in module.parameters()], "requires_grad changed")
    _true(all(part.training for part in module.modules()), "training mode changed")
    module.eval()
    _true(torch.equal(states[0], torch.get_rng_state()), "the random state of torch changed")
    _true(
        np.array_equal(states[1], np.random.get_state(legacy=False)["state"]["key"]),
        "the random state of numpy changed",
    )


def _constant(situation: Situation) -> None:
    kind: Any = situation.model.space.kind
    model: Model
    if situation.attack.needs == "structure":
        model, batch = models.forest(_CASES + _POOL, answer="two classes", steady=True)
    else:
        model, batch = models.constant(kind, _CASES + _POOL)
    pool = None if situation.pool is None else batch.take(range(_CASES, _CASES + _POOL))
    search = situation.attack if situation.make is None else situation.make(model)
    outcome = replace(situation, model=model, batch=batch.take(range(_CASES)), pool=pool, attack=search).run()
    _true(not outcome.fooled.any(), "a model that always gives the same right answer was reported as fooled")


def _counts(situation: Situation) -> None:
    counted = _Counted(situation.model)
    outcome = situation.run(model=counted)
    # The engine itself asks twice about each case: before and after.
    asked = int(outcome.queries.sum()) + 2 * _CASES
    _true(counted.rows == asked, f"{counted.rows - 2 * _CASES} questions asked, {asked - 2 * _CASES} reported")
    for budget in (1, 7):
        try:
            few = situation.run(threat=replace(situation.threat, queries=budget))
        except BudgetError:
            continue
        _true(int(few.queries.max()) <= budget, f"{few.queries.max()} questions where {budget} are allowed")


LAWS: dict[str, Callable[[Situation], None]] = {
    "the same run gives the same bits": _repeats,
    "a case alone gives the bits it gives in a batch": _batch,
    "a limit per case equals separate runs": _limits,
    "limit, mask, range and change are kept": _keeps,
    "limit zero changes nothing": _zero,
    "model, cases and random states stay as they were": _untouched,
    "a constant model is never fooled": _constant,
    "every question is counted and the budget kept": _counts,
}


class _Counted(Model):
    """A model that counts the rows it is asked about, and asks for no fillers, as a remote one does."""

    remote = True

    def __init__(self, inner: Model) -> None:
        self.inner, self.rows = inner, 0
        self.name, self.space, self.task = inner.name, inner.space, inner.task
        self.access, self.digest = inner.access, inner.digest

    def scores(self, inputs: Tensor) -> Tensor:
        self.rows += len(inputs)
        return self.inner.scores(inputs)

    def embed(self, inputs: Tensor) -> Tensor:
        return self.inner.embed(inputs)

    def trees(self) -> Forest | None:
        return self.inner.trees()

    def scores_embedded(self, inputs: Tensor, embedded: Tensor) -> Tensor:
        self.rows += len(inputs)
        return self.inner.scores_embedded(inputs, embedded)


def _rows(outcome: Outcome, rows: list[int]) -> Outcome:
    return replace(outcome, **{name: getattr(outcome, name)[rows] for name in outcome.__dataclass_fields__})


def _same(one: Outcome, other: Outcome, what: str) -> None:
    for name in _ARRAYS:
        first, second = getattr(one, name), getattr(other, name)
        if not np.array_equal(first, second):
            gap = np.abs(first.astype(float) - second.astype(float)).max()
            raise AssertionError(f"{what} differs in '{name}' by up to {gap:.3g}")


def _true(held: bool, otherwise: str) -> None:
    if not held:
        raise AssertionError(otherwise)

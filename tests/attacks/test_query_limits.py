"""A limit of questions is a wall: the target itself counts, and no black-box attack comes to ask once more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.boundary import Boundary
from titer.attacks.engine import run
from titer.attacks.hopskipjump import HopSkipJump
from titer.attacks.nes import NES
from titer.attacks.random_search import RandomSearch
from titer.attacks.simba import SimBA
from titer.attacks.square import Square
from titer.models.model import Model
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

CASES = 5
PLENTY = 10_000
ATTACKS = [
    NES(PLENTY), SimBA(PLENTY), SimBA(PLENTY, basis="dct"), Square(PLENTY), RandomSearch(PLENTY), HopSkipJump(PLENTY),
    Boundary(PLENTY),
]  # fmt: skip


class Target(Model):
    """An endpoint that counts what it is asked about each case, by the first value, which no attack may move."""

    remote = True

    def __init__(self, inner: Model, batch: Any) -> None:
        self.inner, self.name, self.digest = inner, "endpoint", inner.digest
        self.space, self.task, self.access = inner.space, inner.task, "scores"
        self.known = {float(value): number for number, value in enumerate(batch.inputs[:, 0, 0, 0])}
        self.asked = np.zeros(len(batch), dtype=np.int64)

    def scores(self, inputs: Tensor) -> Tensor:
        for value in inputs[:, 0, 0, 0].tolist():
            self.asked[self.known[value]] += 1
        return self.inner.scores(inputs)


def closed(batch: Any) -> Any:
    """The cases with their first value behind a mask."""
    masks = np.zeros(batch.inputs.shape, dtype=bool)
    masks[:, 0, 0, 0] = True
    return replace(batch, masks=masks)


@pytest.mark.parametrize("budget", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_the_target_counts_no_more_than_the_limit_for_any_case(attack: Attack, budget: int) -> None:
    model, batch = models.network("image", CASES)
    target = Target(model, batch)
    norm: Any = "l2" if isinstance(attack, Boundary) else "linf"
    threat = ThreatModel(Additive(norm), 0.004, knowledge=attack.needs, queries=budget, where="outside-mask")
    outcome = run(attack, target, closed(batch), threat, seed="s")
    # The engine asks about each case before and after.
    np.testing.assert_array_equal(target.asked, outcome.queries + 2)
    assert outcome.queries.max() <= budget
    # Who has not succeeded used what there was, but for less than a turn of the walks.
    stands = ~outcome.fooled
    assert stands.any()
    assert (outcome.queries[stands] >= min(budget, 0.95 * budget if budget > 50 else budget // 2)).all()


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_a_limit_of_its_own_holds_as_well(attack: Any) -> None:
    model, batch = models.network("table", 6)
    norm: Any = "l2" if isinstance(attack, Boundary) else "linf"
    threat = ThreatModel(Additive(norm), 0.01, knowledge=attack.needs, queries=50)
    outcome = run(type(attack)(queries=13), model, batch, threat, seed="s")
    assert outcome.queries.max() <= 13

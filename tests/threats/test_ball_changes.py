"""What attacks ask of a change is what it can do: one held to a ball is searched whatever its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from titer.attacks.engine import run
from titer.attacks.radius import whole
from titer.registry import ATTACKS
from titer.testing import models
from titer.threats.change import BallChange
from titer.threats.changes._ball import Ball
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.lowpass import LowPass
from titer.threats.threat import ThreatModel


@dataclass(frozen=True)
class Gain(Ball):
    """An additive change of another name, as a package of somebody's would bring."""

    name: ClassVar[str] = "gain"


def test_embeddings_and_drifts_are_balls_but_nothing_additive() -> None:
    for kind in (Embedding, LowPass):
        assert issubclass(kind, BallChange)
        assert not issubclass(kind, Additive)
    assert Additive.direct
    assert not LowPass.direct


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_every_attack_fits_a_change_of_another_name_as_it_fits_an_additive_one(norm: str) -> None:
    for name in ATTACKS.names():
        kind = ATTACKS.find(name)
        if kind.borrows:
            continue
        assert kind().fits(Gain(norm)) == kind().fits(Additive(norm)), name  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "norm"), [("square", "linf"), ("fmn", "l2"), ("jsma", "l0"), ("hopskipjump", "l2")])
def test_and_does_the_same_to_it(name: str, norm: str) -> None:
    model, batch = models.linear(features=4, cases=6)
    attack = ATTACKS.find(name)()
    found = [
        run(attack, model, batch, ThreatModel(kind(norm), 2.0), seed="s")  # type: ignore[arg-type]
        for kind in (Gain, Additive)
    ]
    np.testing.assert_array_equal(found[0].perturbed, found[1].perturbed)
    np.testing.assert_array_equal(found[0].queries, found[1].queries)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_the_limit_within_which_everything_can_move_lets_every_value_reach_its_end(norm: str) -> None:
    model, batch = models.linear(features=4, cases=3)
    space = model.space
    low, high = space.bounds()
    far = np.broadcast_to((np.asarray(high) - low) / space.per_channel(space.scale), space.shape)
    size = {"linf": far.max(), "l2": np.sqrt((far**2).sum()), "l1": far.sum(), "l0": float(far.size)}[norm]
    assert whole(model, batch, ThreatModel(Gain(norm), 1.0)) == pytest.approx(size)  # type: ignore[arg-type]

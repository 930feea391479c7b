"""Together: closed forms on linear models, laws of its parts, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.audit.subject import build
from titer.cases.space import Space
from titer.errors import ThreatError
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes.additive import Additive
from titer.threats.changes.affine import Affine
from titer.threats.changes.contrast import Contrast
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.lowpass import LowPass
from titer.threats.changes.together import Part, Together
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

BOTH = Together((Part(Additive("linf"), 0.2), Part(Additive("l2"), 0.5)))
SIGNAL = Together((Part(LowPass("linf"), 0.4), Part(Additive("linf"), 0.1), Part(Additive("l2"), 0.3)))
PICTURE = Together((Part(Affine(rotation=15), 1.0), Part(Contrast(), 0.5), Part(Additive("linf"), 4 / 255)))


def field(shape: tuple[int, ...], seed: int = 0, cases: int = 3) -> Field:
    rng = np.random.default_rng(seed)
    clean = torch.from_numpy(rng.uniform(0, 1, size=(cases, *shape)))
    return Field(clean, torch.tensor(0.0).double(), torch.tensor(1.0).double(), torch.tensor(1.0).double())


@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=20)], ids=repr)
def test_the_reach_against_a_linear_model_is_the_sum_of_both_dual_norms(attack: FGSM | PGD) -> None:
    model, batch = models.linear(features=8, cases=20, outputs=1)
    weight = next(model.module.parameters()).detach().numpy()[0]
    margin = np.abs(model.predict(batch.inputs)[:, 0])
    exact = margin / (0.2 * np.abs(weight).sum() + 0.5 * np.linalg.norm(weight))
    below = run(attack, model, batch, ThreatModel(BOTH, 1.0), seed="s", limits=exact * (1 - 1e-6))
    above = run(attack, model, batch, ThreatModel(BOTH, 1.0), seed="s", limits=exact * (1 + 1e-5))
    assert not below.fooled.any()
    assert above.fooled.all()
    assert not above.violated.any()


def test_two_limits_of_the_same_norm_add_up() -> None:
    model, batch = models.linear(features=8, cases=20, outputs=1)
    twice = Together((Part(Additive("linf"), 0.1), Part(Additive("linf"), 0.3)))
    once = run(FGSM(), model, batch, ThreatModel(Additive("linf"), 0.4), seed="s")
    both = run(FGSM(), model, batch, ThreatModel(twice, 1.0), seed="s")
    np.testing.assert_allclose(both.scores, once.scores, atol=1e-9)


@given(
    case=st.sampled_from([(BOTH, (6,)), (SIGNAL, (2, 40)), (PICTURE, (1, 8, 8))]),
    seed=st.integers(0, 1000),
    size=st.floats(0.01, 5),
)
def test_projection_keeps_every_limit_and_the_range(
    case: tuple[Together, tuple[int, ...]], seed: int, size: float
) -> None:
    change, shape = case
    here = field(shape, seed)
    wild = size * torch.from_numpy(np.random.default_rng(seed).normal(size=change.nothing(here).shape))
    limit = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    kept = change.project(here, wild, limit)
    assert bool((change.cost(here, kept) <= limit * (1 + 1e-9)).all())
    assert bool(change.valid(here, kept).all())
    made = change.apply(here, kept)
    assert float(made.min()) >= -1e-12
    assert float(made.max()) <= 1 + 1e-12
    assert torch.equal(made[0], here.clean[0])
    # What the first change made stays the ground of the second: a second projection moves nothing.
    torch.testing.assert_close(change.project(here, kept, limit), kept, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("change", "shape"), [(BOTH, (6,)), (SIGNAL, (2, 40)), (PICTURE, (1, 8, 8))])
def test_random_draws_keep_the_limit_and_a_step_costs_one(change: Together, shape: tuple[int, ...]) -> None:
    here, limit = field(shape), torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    drawn = change.sample(here, limit, CaseRandom.of("s", ["a", "b", "c"]), 3)
    assert bool((change.cost(here, drawn) <= limit * (1 + 1e-9)).all())
    assert not torch.equal(drawn, change.sample(here, limit, CaseRandom.of("s", ["a", "b", "c"]), 4))
    gradient = torch.from_numpy(np.random.default_rng(0).normal(size=drawn.shape))
    torch.testing.assert_close(change.cost(here, change.steepest(here, gradient)), torch.ones(3).double())


def test_equal_parts_draw_different_numbers() -> None:
    twice = Together((Part(Additive("l2"), 1.0), Part(Additive("l2"), 1.0)))
    here = replace(field((6,)), low=None, high=None)
    drawn = twice.sample(here, torch.ones(3).double(), CaseRandom.of("s", ["a", "b", "c"]), 0)
    assert not torch.isclose(drawn[:, :6], drawn[:, 6:]).any()


def test_a_turn_and_noise_beat_each_of_them_alone() -> None:
    model, batch = models.network("image", 12, answer="binary")
    parts = (Part(Affine(rotation=20, shift=0.1), 0.4), Part(Additive("linf"), 0.03))
    threat = ThreatModel(Together(parts), 1.0)
    attack = PGD(steps=10, losses=("margin",), restarts=1)
    both = run(attack, model, batch, threat, seed="s").fooled.mean()
    alone = [run(attack, model, batch, ThreatModel(p.change, p.limit), seed="s").fooled.mean() for p in parts]
    assert both > max(alone)
    chance = run(RandomSearch(queries=20), model, batch, threat, seed="s")
    assert not chance.violated.any()


def test_a_plan_names_parts_with_their_limits() -> None:
    parts = [{"change": "affine", "rotation": 15, "limit": 1}, {"change": "additive", "norm": "linf", "limit": "4/255"}]
    change = build(Together, {"parts": parts}, "threat together")
    assert change.parts[1] == Part(Additive("linf"), 4 / 255, "4/255")
    assert change.kinds == ("image", "volume")
    space = Space("image", (1, 8, 8), "grey level")
    assert change.told("0.5 of each limit", space) == (
        "turn the picture by at most 15 degrees and shift it by at most 0.1 of its size, using at most 1 of the ranges"
        ", then change every value by at most 4/255 grey level; using at most 0.5 of each limit"
    )


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (({"change": "additive", "limit": 1},), "two 'parts'"),
        (({"change": "additive", "norm": "l0", "limit": 1}, {"change": "gamma", "limit": 1}), "size"),
        ((Part(Additive("linf"), 1.0), {"change": "gamma"}), "'limit'"),
        ((Part(Additive("linf"), 1.0), {"change": "gamma", "limit": "much"}), "4/255"),
        ((Part(Additive("linf"), 1.0), {"change": "gamma", "limit": 0}), "above 0"),
        ((Part(Additive("linf"), 1.0), {"change": "affine", "limit": 1, "angle": 3}), "rotation"),
        (({"change": "lowpass", "limit": 1}, {"change": "affine", "limit": 1}, Part(Additive(), 1.0)), None),
        (({"change": "embedding", "limit": 1}, {"change": "affine", "limit": 1}), "input"),
    ],
)
def test_what_cannot_be_combined_is_refused(parts: tuple[object, ...], word: str | None) -> None:
    if word is None:
        assert Together(parts).kinds == ("image",)  # type: ignore[arg-type]
        return
    with pytest.raises(ThreatError, match=word):
        Together(parts)  # type: ignore[arg-type]


def test_changes_of_words_are_no_part() -> None:
    with pytest.raises(ThreatError, match="input"):
        Part(Embedding("l2"), 1.0)

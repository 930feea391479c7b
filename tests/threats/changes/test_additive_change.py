"""Additive, embedding: what they project, cost and draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from torch import Tensor

from titer.cases.space import Space
from titer.errors import ThreatError
from titer.threats.change import Field
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.random import CaseRandom

NORMS = ("linf", "l2", "l1", "l0")


def field(seed: int, *, cases: int = 4, values: int = 6, mask: bool = False, bounded: bool = True) -> Field:
    rng = np.random.default_rng(seed)
    low, high = torch.tensor(-1.0, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    return Field(
        torch.from_numpy(rng.uniform(-1, 2, size=(cases, values))),
        low if bounded else None,
        high if bounded else None,
        torch.from_numpy(rng.uniform(0.5, 3, size=values)),
        torch.from_numpy(rng.integers(0, 2, size=(cases, values)).astype(np.float64)) if mask else None,
    )


def limits(norm: str, seed: int, cases: int = 4) -> Tensor:
    drawn = np.random.default_rng(seed).uniform(0, 1.5, size=cases)
    return torch.from_numpy(np.floor(drawn * 4) if norm == "l0" else drawn)


seeds = st.integers(0, 10_000)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, norm=st.sampled_from(NORMS), mask=st.booleans(), size=st.floats(0.01, 20))
def test_projection_keeps_limit_range_and_mask_and_repeats(seed: int, norm: str, mask: bool, size: float) -> None:
    change, here = Additive(norm), field(seed, mask=mask)  # type: ignore[arg-type]
    bound = limits(norm, seed)
    wild = size * torch.from_numpy(np.random.default_rng(seed + 1).normal(size=here.clean.shape))
    kept = change.project(here, wild, bound)
    assert bool((change.cost(here, kept) <= bound * (1 + 1e-12)).all())
    perturbed = change.apply(here, kept)
    assert float(perturbed.min()) >= -1 - 1e-12
    assert float(perturbed.max()) <= 2 + 1e-12
    if here.mask is not None:
        assert not bool((kept != 0)[here.mask == 0].any())
    torch.testing.assert_close(change.project(here, kept, bound), kept, rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, size=st.floats(0.05, 5))
def test_projection_onto_ball_and_range_is_the_nearest_point(seed: int, size: float) -> None:
    change, here = Additive("l2"), field(seed, cases=1, values=5)
    bound = torch.tensor([0.4 + seed % 7 / 5])
    wild = size * torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(1, 5)))
    found = change.project(here, wild, bound)[0].numpy()
    scale, clean, aim = here.scale.numpy(), here.clean[0].numpy(), wild[0].numpy()
    # An outside solver on the same problem: nearest in units of the scale.
    solved = optimize.minimize(
        lambda d: (((d - aim) / scale) ** 2).sum(),
        np.zeros(5),
        jac=lambda d: 2 * (d - aim) / scale**2,
        bounds=list(zip(-1 - clean, 2 - clean, strict=True)),
        constraints={"type": "ineq", "fun": lambda d: float(bound) ** 2 - ((d / scale) ** 2).sum()},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    distance = (((found - aim) / scale) ** 2).sum()
    assert distance <= solved.fun + 1e-6 * (1 + solved.fun)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, size=st.floats(0.05, 5), bounded=st.booleans())
def test_projection_onto_the_l1_ball_and_range_is_the_nearest_point(seed: int, size: float, bounded: bool) -> None:
    change, here = Additive("l1"), field(seed, cases=1, values=5, bounded=bounded)
    bound = torch.tensor([0.4 + seed % 7 / 5], dtype=torch.float64)
    wild = size * torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(1, 5)))
    found = change.project(here, wild, bound)[0].numpy()
    scale, clean, aim = here.scale.numpy(), here.clean[0].numpy(), wild[0].numpy()
    # An outside solver on the parts above and below zero, whose sum is the length.
    low, high = ((-1 - clean) / scale, (2 - clean) / scale) if bounded else (np.full(5, -99.0), np.full(5, 99.0))
    solved = optimize.minimize(
        lambda both: ((both[:5] - both[5:] - aim / scale) ** 2).sum(),
        np.zeros(10),
        jac=lambda both: 2 * np.concatenate((both[:5] - both[5:] - aim / scale, -both[:5] + both[5:] + aim / scale)),
        bounds=[*((0, end) for end in high), *((0, -end) for end in low)],
        constraints={"type": "ineq", "fun": lambda both: float(bound) - both.sum(), "jac": lambda _: -np.ones(10)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    distance = (((found - aim) / scale) ** 2).sum()
    assert distance <= solved.fun + 1e-6 * (1 + solved.fun)
    assert distance >= solved.fun - 1e-6 * (1 + solved.fun)


def test_the_l1_projection_of_many_values_keeps_its_limit_in_float32() -> None:
    rng = np.random.default_rng(0)
    here = Field(
        torch.from_numpy(rng.uniform(size=(3, 40_000))).float(), torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0)
    )
    wild = torch.from_numpy(rng.normal(size=here.clean.shape)).float()
    limit = torch.tensor([0.0, 7.0, 5_000.0])
    kept = Additive("l1").project(here, wild, limit)
    torch.testing.assert_close(kept.abs().double().sum(dim=1), limit.double(), rtol=1e-6, atol=0)
    alone = Additive("l1").project(here.rows(torch.tensor([2])), wild[2:], limit[2:])
    assert torch.equal(alone[0], kept[2])


def test_sparse_steps_share_among_the_steepest_values_that_can_move() -> None:
    here = Field(torch.zeros(2, 4), torch.tensor(-1.0), torch.tensor(1.0), torch.tensor([1.0, 1.0, 1.0, 2.0]))
    slope = torch.tensor([[4.0, -3.0, 2.0, 0.1], [0.0, 0.0, 0.0, 0.0]])
    start = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    change = Additive("l1")
    one = change.sparse(here, start, slope, torch.tensor([1, 1]))
    # The first value has arrived and keeps its part; the second is the best of the others.
    torch.testing.assert_close(one, torch.tensor([[0.5, -0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    two = change.sparse(here, 0 * start, slope, torch.tensor([2, 4]))
    torch.testing.assert_close(two[0], torch.tensor([0.5, -0.5, 0.0, 0.0]))
    assert change.cost(here, two).tolist() == [1.0, 0.0]


@settings(max_examples=40, deadline=None)
@given(seed=seeds, norm=st.sampled_from(("linf", "l2", "l1")), mask=st.booleans())
def test_steepest_beats_every_other_direction_of_cost_one(seed: int, norm: str, mask: bool) -> None:
    change, here = Additive(norm), field(seed, mask=mask, bounded=False)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    gradient = torch.from_numpy(rng.normal(size=here.clean.shape))
    step = change.steepest(here, gradient)
    assert bool((change.cost(here, step) <= 1 + 1e-9).all())
    gain = (step * gradient).sum(dim=1)
    for _ in range(20):
        other = here.allow(torch.from_numpy(rng.normal(size=here.clean.shape)))
        other = change.project(here, other * 100, torch.ones(4, dtype=torch.float64))
        assert bool(((other * gradient).sum(dim=1) <= gain + 1e-9).all())


@pytest.mark.parametrize("tiny", [1e-20, 1e-30])
def test_steepest_in_l2_survives_tiny_gradients(tiny: float) -> None:
    here = Field(torch.zeros(1, 3), None, None, torch.tensor(1.0))
    step = Additive("l2").steepest(here, tiny * torch.tensor([[3.0, 0.0, 4.0]]))
    torch.testing.assert_close(step, torch.tensor([[0.6, 0.0, 0.8]]))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, norm=st.sampled_from(NORMS), mask=st.booleans())
def test_samples_lie_within_the_limit(seed: int, norm: str, mask: bool) -> None:
    change, here, bound = Additive(norm), field(seed, mask=mask), limits(norm, seed)  # type: ignore[arg-type]
    rng = CaseRandom.of(str(seed), map(str, range(4)))
    drawn = change.sample(here, bound, rng, 0)
    assert bool((change.cost(here, drawn) <= bound * (1 + 1e-9)).all())
    assert torch.equal(drawn, change.project(here, drawn, bound))
    assert not torch.equal(drawn, change.sample(here, bound, rng, 1)) or bool((drawn == 0).all())


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_samples_in_the_ball_have_uniform_volume(norm: str) -> None:
    here = Field(torch.zeros(4000, 3, dtype=torch.float64), None, None, torch.tensor(1.0))
    change, rng = Additive(norm), CaseRandom.of("ball", map(str, range(4000)))  # type: ignore[arg-type]
    radius = change.cost(here, change.sample(here, torch.full((4000,), 2.0), rng, 0)) / 2
    # In three dimensions the share inside half the radius is one eighth.
    assert abs(float((radius < 0.5).double().mean()) - 0.125) < 0.02


def test_no_value_out_of_range_by_rounding_is_moved_by_doing_nothing() -> None:
    here = Field(torch.tensor([[1.0000001, -1e-8]]), torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0))
    for norm in NORMS:
        change = Additive(norm)  # type: ignore[arg-type]
        kept = change.project(here, change.nothing(here), torch.tensor([0.0]))
        assert change.cost(here, kept).tolist() == [0.0]


def test_few_values_move_to_the_ends_or_as_far_as_most_allows() -> None:
    here = Field(torch.tensor([[0.2, 0.9, 0.5]]), torch.tensor(0.0), torch.tensor(1.0), torch.tensor(0.5))
    rng = CaseRandom.of("l0", ["a"])
    free = Additive("l0").apply(here, Additive("l0").sample(here, torch.tensor([3.0]), rng, 0))
    assert set(free.flatten().tolist()) <= {0.0, 1.0}
    bound = Additive("l0", most=0.2)
    moved = bound.sample(here, torch.tensor([3.0]), rng, 0)
    torch.testing.assert_close(moved.abs(), torch.full((1, 3), 0.1))
    assert bound.valid(here, moved).tolist() == [True]
    assert bound.valid(here, 2 * moved).tolist() == [False]
    assert bound.sentence("3") == "change at most 3 values, each by at most 0.2"


@pytest.mark.parametrize(
    "settings",
    [{"norm": "l7"}, {"norm": "l1", "most": 0.5}, {"norm": "l0", "most": 0.0}, {"norm": "l0", "most": float("nan")}],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ThreatError, match="expected"):
        Additive(**settings)  # type: ignore[arg-type]


def test_counts_need_ends_and_have_no_steepest_direction() -> None:
    here = Field(torch.zeros(1, 2), torch.tensor(0.0), torch.tensor(float("inf")), torch.tensor(1.0))
    with pytest.raises(ThreatError, match="finite range"):
        Additive("l0").check(here)
    Additive("l0", most=1.0).check(here)
    Additive("linf").check(here)
    with pytest.raises(ThreatError, match="length"):
        Additive("l0").steepest(here, torch.ones(1, 2))


def test_embeddings_move_in_their_own_unit() -> None:
    space = Space("tokens", (4,), "word", vocabulary=("", "a"))
    assert Embedding("l2").unit(space) == ""
    assert Additive("l0").unit(space) == "values"
    for norm in ("l0", "l1"):
        with pytest.raises(ThreatError, match="substitution"):
            Embedding(norm)  # type: ignore[arg-type]

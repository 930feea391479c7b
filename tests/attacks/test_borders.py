"""Planes in a box, and the ways of being fooled whose slopes give the planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from titer.attacks._hyperplane import nearest
from titer.attacks._minimal import rounds
from titer.attacks._ways import Ways
from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.problem import Problem
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

Array = np.ndarray[Any, Any]


def by_bisection(slope: Array, rise: float, low: Array, high: Array, norm: str) -> float:
    """The distance of a plane in a box; infinite if the box does not reach it."""
    upward = slope if rise >= 0 else -slope
    room = np.where(upward > 0, high, -low)
    size, needed = np.abs(upward), abs(rise)
    if size @ room < needed:
        return float("inf")
    shape = np.ones_like(size) if norm == "linf" else size
    start, end = 0.0, 1e6
    for _ in range(200):
        middle = (start + end) / 2
        start, end = (middle, end) if size @ np.minimum(middle * shape, room) < needed else (start, middle)
    move = np.minimum(end * shape, room) * (size > 0)
    return float(move.max() if norm == "linf" else np.linalg.norm(move))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 12), norm=st.sampled_from(["linf", "l2"]))
def test_the_nearest_point_of_a_plane_in_a_box_is_exact(seed: int, width: int, norm: str) -> None:
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=(5, width)) * (rng.random((5, width)) > 0.2)
    low, high = (-rng.random((5, width)) * (rng.random((5, width)) > 0.3) for _ in range(2))
    high = -high
    rise = rng.normal(size=5)
    found = nearest(*map(torch.from_numpy, (slope, rise, low, high)), norm)  # type: ignore[arg-type]
    move = found.move.numpy()
    assert (move >= low - 1e-12).all()
    assert (move <= high + 1e-12).all()
    for i in range(5):
        exact = by_bisection(slope[i], rise[i], low[i], high[i], norm)
        if np.isinf(exact):
            assert found.reached[i] < 1
            assert move[i] @ slope[i] == pytest.approx(
                np.sign(rise[i]) * (np.abs(slope[i]) * np.where(slope[i] * rise[i] > 0, high[i], -low[i])).sum()
            )
        else:
            assert found.distance[i] == pytest.approx(exact, rel=1e-6, abs=1e-9)
            assert move[i] @ slope[i] == pytest.approx(rise[i])


def test_the_nearest_point_agrees_with_a_solver() -> None:
    rng = np.random.default_rng(1)
    slope, low, high = rng.normal(size=7), -rng.random(7), rng.random(7)
    for rise in (0.4, -1.1):
        found = nearest(*(torch.from_numpy(np.atleast_1d(v)) for v in (slope[None], rise, low[None], high[None])), "l2")
        solved = optimize.minimize(
            lambda d: d @ d,
            np.zeros(7),
            jac=lambda d: 2 * d,
            bounds=list(zip(low, high, strict=True)),
            constraints={"type": "eq", "fun": lambda d, rise=rise: slope @ d - rise},
        )
        np.testing.assert_allclose(found.move[0].numpy(), solved.x, atol=1e-5)


def test_values_without_an_end_are_as_in_the_book() -> None:
    slope, far = torch.tensor([[3.0, -4.0]]).double(), torch.full((1, 2), torch.inf).double()
    two = nearest(slope, torch.tensor([10.0]).double(), -far, far, "l2")
    np.testing.assert_allclose(two.move[0].numpy(), [1.2, -1.6])
    most = nearest(slope, torch.tensor([-7.0]).double(), -far, far, "linf")
    np.testing.assert_allclose(most.move[0].numpy(), [-1.0, 1.0])
    flat = nearest(0 * slope, torch.tensor([1.0]).double(), -far, far, "l2")
    assert (flat.move == 0).all()
    assert flat.reached[0] == 0


class Probe(Attack):
    """Shows its problem to a test."""

    name = "probe"
    reference = "a test"

    def search(self, problem: Problem, rng: CaseRandom) -> torch.Tensor:
        self.seen = problem
        return problem.nothing()


def problem_of(answer: models.Answer, queries: int | None = None) -> Problem:
    model, batch = models.network("table", 6, answer=answer)
    probe = Probe()
    run(probe, model, batch, ThreatModel(Additive("l2"), 1.0, queries=queries), seed="s")
    return probe.seen


@pytest.mark.parametrize("answer", ["classes", "two classes", "binary", "multilabel", "regression", "anomaly"])
def test_the_nearest_way_is_the_margin(answer: models.Answer) -> None:
    problem = problem_of(answer)
    ways = Ways.of(problem, 9)
    params = problem.sample(CaseRandom.of("s", "abcdef"), 0)
    before = problem.meter.passes.clone()
    scores, values, slopes = ways.look(problem, params)
    passes = {"classes": 2, "multilabel": 3}.get(answer, 1)
    assert (problem.meter.passes - before == passes).all()
    np.testing.assert_allclose(values.amax(dim=1), problem.advantage(scores), atol=1e-6)
    _, margin, _ = problem.slope(params, "margin")
    chosen = slopes[torch.arange(6), values.argmax(dim=1)]
    np.testing.assert_allclose(chosen, margin, atol=1e-5)
    assert (Ways.of(problem, 1).offsets.shape[1]) == 1
    np.testing.assert_allclose(
        Ways.of(problem, 1).look(problem, problem.nothing())[1][:, 0], problem.advantage(problem.clean), atol=1e-6
    )


def test_slopes_of_sums_are_sums_of_slopes() -> None:
    problem = problem_of("classes")
    weights = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    scores, slopes = problem.slopes(problem.nothing(), weights)
    same, jacobian = problem.jacobian(problem.nothing())
    assert torch.equal(scores, same)
    np.testing.assert_allclose(slopes, torch.einsum("nmk,nkd->nmd", weights, jacobian), atol=1e-5)


def test_no_more_is_asked_than_is_left() -> None:
    assert rounds(problem_of("classes"), 50) == 50
    assert rounds(problem_of("classes", queries=7), 50) == 7


def test_smoothed_noise_has_no_ends() -> None:
    field = Field(torch.zeros(1, 1, 8), torch.tensor(-1.0), torch.tensor(1.0), torch.tensor(1.0), torch.ones(1, 1, 8))
    low, high = LowPass().ends(field)
    assert torch.isinf(low).all()
    assert torch.isinf(high).all()
    assert torch.equal(Additive().ends(field)[1], torch.ones(1, 1, 8))

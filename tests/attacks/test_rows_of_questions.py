"""A case has the same bits in any question: the seats, and models of many widths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from titer.attacks._rows import Seating, block, lanes
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=90), st.booleans())
def test_every_case_sits_once_in_its_lane(drawn: list[int], free: bool) -> None:
    lane = torch.full((len(drawn),), -1) if free else torch.tensor(drawn)
    seats = Seating.of(lane)
    if seats is None:
        assert len(drawn) % block() == 0
        return
    assert len(seats.source) % block() == 0
    assert seats.source[seats.place].tolist() == list(range(len(drawn)))
    assert len(set(seats.place.tolist())) == len(drawn)
    if not free:
        assert (seats.place % 4).tolist() == drawn
    values = torch.randn(len(drawn), 2, dtype=torch.float64, requires_grad=True)
    assert torch.equal(seats.gather(seats.spread(values)), values)
    (gradient,) = torch.autograd.grad(seats.spread(values).sum(), values)
    assert torch.equal(gradient, torch.ones_like(values))


def test_lanes_follow_from_names_alone() -> None:
    model, batch = models.network("table", 9)
    together = lanes(model, batch.ids)
    assert together is not None
    assert set(together.tolist()) <= {0, 1, 2, 3}
    for row, name in enumerate(batch.ids):
        alone = lanes(model, [name])
        assert alone is not None
        assert alone[0] == together[row]


def test_remote_models_are_never_asked_about_fillers() -> None:
    model, batch = models.network("table", 3)
    model.remote = True  # type: ignore[attr-defined]
    assert lanes(model, batch.ids) is None


def wide(width: int, hidden: int, outputs: int, kind: type[nn.Module]) -> TorchModel:
    body = nn.Sequential(
        nn.Linear(width, hidden), kind(), nn.Linear(hidden, hidden), kind(), nn.Linear(hidden, outputs)
    )
    task = Task("classes", tuple("abcdefghij"[:outputs])) if outputs > 1 else Task("binary", ("a", "b"))
    return TorchModel(body, Space("table", (width,), "unit", -9.0, 9.0), task)


@pytest.mark.parametrize("kind", [nn.GELU, nn.Sigmoid, nn.ReLU])
@pytest.mark.parametrize(
    ("width", "hidden", "outputs"), [(30, 5, 2), (7, 33, 1), (64, 12, 3), (100, 50, 10), (3, 7, 5)]
)
def test_answers_and_slopes_do_not_depend_on_company(
    width: int, hidden: int, outputs: int, kind: type[nn.Module]
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = wide(width, hidden, outputs, kind)
        x = torch.randn(120, width)
    ids = [str(row) for row in range(120)]
    lane = lanes(model, ids)
    assert lane is not None

    def ask(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seats = Seating.of(lane[rows])
        point = x[rows].requires_grad_(True)
        scores = model.scores(point) if seats is None else seats.gather(model.scores(seats.spread(point)))
        return scores.detach(), torch.autograd.grad(scores.sum(), point)[0]

    scores, slopes = ask(torch.arange(120))
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 8, 31, 60, 119):
        rows = torch.from_numpy(rng.permutation(120)[:count])
        some, their = ask(rows)
        assert torch.equal(some, scores[rows])
        assert torch.equal(their, slopes[rows])

"""Greedy: enumerated optima, the fewest edits, and the budget."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from titer.attacks.engine import run
from titer.attacks.greedy import Greedy, _combinations, _listed
from titer.attacks.random_search import RandomSearch
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes.dropped_lead import DroppedLead
from titer.threats.changes.substitution import Substitution
from titer.threats.threat import ThreatModel

TWO = Task("binary", ("no", "yes"), positive=(1,))


def leads(seed: int = 0, channels: int = 5, cases: int = 30) -> tuple[TorchModel, Batch]:
    """A score that weighs the energy of each lead and of neighbors together."""
    rng = np.random.default_rng(seed)
    space = Space("signal", (channels, 40), "mV", -5.0, 5.0, rate=125.0)

    class Energy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.from_numpy(rng.normal(size=channels)))
            self.two = nn.Parameter(torch.from_numpy(rng.normal(size=channels - 1)))

        def forward(self, x: Tensor) -> Tensor:
            size = x.square().mean(dim=2)
            together = (x[:, 1:] * x[:, :-1]).mean(dim=2)
            return (size @ self.one + together @ self.two)[:, None]

    inputs = rng.normal(rng.normal(0, 1, size=(cases, channels, 1)), 0.5, size=(cases, channels, 40))
    model = TorchModel(Energy(), space, TWO, name="energy")
    return model, Batch.of(inputs, TWO.decide(model.predict(inputs)))


def fewest(model: TorchModel, batch: Batch, change: DroppedLead, most: int) -> np.ndarray[Any, Any]:
    """The smallest number of failed leads that turns each case, by brute force; infinite where none up to `most`."""
    field = Field(torch.from_numpy(batch.inputs), torch.tensor(-5.0), torch.tensor(5.0), torch.tensor(1.0))
    found = np.full(len(batch), np.inf)
    channels = batch.inputs.shape[1]
    for count in range(1, most + 1):
        for where in combinations(range(channels), count):
            for which in product(range(1, 1 + len(change.faults)), repeat=count):
                params = torch.zeros(len(batch), channels, dtype=torch.int64)
                params[:, list(where)] = torch.tensor(which)
                wrong = TWO.decide(model.predict(change.apply(field, params).numpy())) != batch.targets
                found = np.where(wrong & np.isinf(found), count, found)
    return found


@pytest.mark.parametrize("faults", [("zero",), ("zero", "flat", "noise")])
def test_the_fewest_leads_are_found(faults: tuple[str, ...]) -> None:
    model, batch = leads()
    change = DroppedLead(faults)
    exact = fewest(model, batch, change, 3)
    assert len(set(exact[np.isfinite(exact)])) > 1
    outcome = run(Greedy(2000), model, batch, ThreatModel(change, 3, knowledge="scores"), seed="s")
    np.testing.assert_array_equal(outcome.fooled, np.isfinite(exact))
    np.testing.assert_array_equal(outcome.cost[outcome.fooled], exact[outcome.fooled])
    climbed = run(Greedy(60), model, batch, ThreatModel(change, 3, knowledge="scores"), seed="s")
    assert climbed.fooled.sum() >= 0.9 * outcome.fooled.sum()
    assert (climbed.cost[climbed.fooled] >= exact[climbed.fooled]).all()
    blind = run(RandomSearch(queries=60), model, batch, ThreatModel(change, 3, knowledge="scores"), seed="s")
    assert blind.fooled.sum() <= outcome.fooled.sum()


def test_one_edit_is_always_found_exactly() -> None:
    model, batch = models.network("tokens", 20)
    table = models.choices(model.space)
    threat = ThreatModel(Substitution(), 1, knowledge="scores")
    outcome = run(Greedy(18), model, batch, threat, seed="s", choices=table)
    turned = np.zeros(20, dtype=bool)
    for position, choice in product(range(9), range(2)):
        tried = batch.inputs.copy()
        tried[:, position] = table[tried[:, position], choice]
        turned |= ~model.task.correct(model.predict(tried), batch.targets)
    np.testing.assert_array_equal(outcome.fooled, turned)
    assert 0 < turned.sum() < 20
    assert outcome.queries.max() <= 18


@pytest.mark.parametrize("budget", [1, 2, 7, 50, 1000])
def test_the_budget_is_never_passed(budget: int) -> None:
    model, batch = leads()
    mine = run(Greedy(budget), model, batch, ThreatModel(DroppedLead(), 5, knowledge="scores"), seed="s")
    theirs = run(Greedy(), model, batch, ThreatModel(DroppedLead(), 5, knowledge="scores", queries=budget), seed="s")
    for outcome in (mine, theirs):
        assert outcome.queries.max() <= budget
        assert not outcome.violated.any()
    np.testing.assert_array_equal(mine.perturbed, theirs.perturbed)


def test_who_has_fewer_edits_is_searched_in_full_beside_who_has_more() -> None:
    model, batch = models.network("tokens", 12)
    threat, table = ThreatModel(Substitution(), 3, knowledge="scores"), models.choices(model.space)
    together = run(Greedy(200), model, batch, threat, seed="s", choices=table)
    lengths = (batch.inputs != 0).sum(axis=1)
    assert lengths.min() < lengths.max()
    alone = batch.take([int(lengths.argmin())])
    short = run(Greedy(200), model, alone, threat, seed="s", choices=table)
    np.testing.assert_array_equal(short.perturbed[0], together.perturbed[lengths.argmin()])


@pytest.mark.parametrize(("positions", "choices", "limit"), [(4, 3, 2), (5, 1, 5), (1, 7, 1), (3, 2, 3)])
def test_combinations_are_counted_as_they_are_listed(positions: int, choices: int, limit: int) -> None:
    real = torch.ones(positions, choices, dtype=torch.bool)
    listed = list(_listed(limit, positions, choices))
    assert _combinations(real, limit, 10**6) == len(listed) == len({str(each) for each in listed})
    assert _combinations(real, limit, 2) == 3 or len(listed) <= 2
    assert [len(where) for where, _ in listed] == sorted(len(where) for where, _ in listed)

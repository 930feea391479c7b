"""Leads that fail: what each fault shows, what it costs, and which leads may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from titer.attacks.engine import run
from titer.attacks.greedy import Greedy
from titer.attacks.noise import Noise
from titer.errors import ThreatError
from titer.models.task import Task
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes.dropped_lead import DroppedLead
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

CLEAN = torch.from_numpy(np.random.default_rng(0).normal(0.3, 0.5, size=(3, 4, 200))).float()


def field(low: float = -5.0, high: float = 5.0, mask: torch.Tensor | None = None) -> Field:
    return Field(CLEAN, torch.tensor(low), torch.tensor(high), torch.tensor(1.0), mask)


def test_each_fault_shows_what_its_name_says() -> None:
    change, here = DroppedLead(), field()
    params = torch.tensor([[1, 2, 3, 0]]).expand(3, 4)
    shown = change.apply(here, params)
    assert bool((shown[:, 0] == 0).all())
    torch.testing.assert_close(shown[:, 1], CLEAN[:, 1].mean(dim=1, keepdim=True).expand(3, 200))
    noise = shown[:, 2]
    torch.testing.assert_close(noise.mean(dim=1), CLEAN[:, 2].mean(dim=1), atol=0.12, rtol=0)
    torch.testing.assert_close(noise.std(dim=1), CLEAN[:, 2].std(dim=1), atol=0.06, rtol=0)
    assert float(torch.corrcoef(torch.stack([noise[0], CLEAN[0, 2]]))[0, 1].abs()) < 0.3
    assert torch.equal(shown[:, 3], CLEAN[:, 3])
    assert change.cost(here, params).tolist() == [3, 3, 3]
    assert torch.equal(change.apply(here, change.nothing(here)), CLEAN)


def test_noise_is_the_same_alone_and_in_a_batch_and_follows_its_seed() -> None:
    change, here = DroppedLead(("noise",)), field()
    params = torch.ones(3, 4, dtype=torch.int64)
    shown = change.apply(here, params)
    one = torch.tensor([2])
    assert torch.equal(change.apply(here.rows(one), params[one])[0], shown[2])
    assert not torch.allclose(DroppedLead(("noise",), seed=1).apply(here, params), shown)


def test_no_voltage_is_moved_into_the_range() -> None:
    assert bool((DroppedLead(("zero",)).apply(field(low=0.1), torch.ones(3, 4, dtype=torch.int64)) == 0.1).all())


def test_random_faults_are_as_many_as_the_limit_allows() -> None:
    change, here = DroppedLead(), field()
    rng = CaseRandom.of("s", "abc")
    limit = torch.tensor([0.0, 1.0, 3.5])
    drawn = [change.sample(here, limit, rng, draw) for draw in range(30)]
    assert all(change.cost(here, params).tolist() == [0, 1, 3] for params in drawn)
    assert {int(params[1].argmax()) for params in drawn} == {0, 1, 2, 3}
    assert {int(params[1].max()) for params in drawn} == {1, 2, 3}


def test_a_lead_that_a_mask_touches_cannot_fail() -> None:
    model, batch = models.network("signal", 8)
    masks = np.zeros_like(batch.inputs)
    masks[:, 1, 4] = 1
    threat = ThreatModel(DroppedLead(), 2, where="outside-mask", knowledge="scores")
    for attack in (Greedy(), Noise()):
        outcome = run(attack, model, replace(batch, masks=masks), threat, seed="s")
        assert not outcome.violated.any()
        np.testing.assert_array_equal(outcome.perturbed[:, 1], batch.inputs[:, 1])
        assert outcome.cost.max() == 1


def test_unknown_faults_are_violations() -> None:
    mask = torch.ones(3, 4, 200)
    mask[:, 0] = 0
    params = torch.tensor([[0, 4, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0]])
    assert DroppedLead().valid(field(mask=mask), params).tolist() == [False] * 3
    assert DroppedLead().valid(field(), params).tolist() == [False, False, True]


@pytest.mark.parametrize("faults", [(), ("hum",), ("zero", "zero")])
def test_wrong_settings_are_refused(faults: tuple[str, ...]) -> None:
    with pytest.raises(ThreatError, match="one or several of the faults zero, flat, noise"):
        DroppedLead(faults)


def test_it_says_what_it_may_do() -> None:
    task = Task("binary", ("no", "yes"), positive=(1,))
    threat = ThreatModel(DroppedLead(), 2, label="2", knowledge="scores")
    assert threat.sentence(models.space("signal"), task) == (
        "An attacker who sees scores may replace at most 2 leads by zero, a flat line or noise and wants any wrong "
        "decision."
    )
    assert DroppedLead(("flat",)).sentence("1") == "replace at most 1 leads by a flat line"
    assert DroppedLead().unit(models.space("signal")) == "leads"
    assert DroppedLead().places(models.space("signal")) == 2
    with pytest.raises(ThreatError, match="a change that a image can undergo"):
        threat.check(models.space("image"), task)

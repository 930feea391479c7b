"""Precision, layout and range: whatever the numbers are stored as, limits and ranges are kept."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, run
from titer.attacks.fgsm import FGSM
from titer.attacks.pgd import PGD
from titer.attacks.square import Square
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

# Ranges whose ends are no numbers of half precision, one per channel, and sizes that nothing divides.
COLOR = Space("image", (3, 9, 7), "optical density", (0.0, 0.1, -2.0), (0.3, 1.1, 3.0))
CT = Space("image", (1, 11, 5), "HU", -1024.0, 3071.0)
CASTS: dict[str, Any] = {
    "float32": lambda module: module,
    "float64": lambda module: module.double(),
    "bfloat16": lambda module: module.bfloat16(),
    "half": lambda module: module.half(),
    "channels last": lambda module: module.to(memory_format=torch.channels_last),
}


def overshoot(outcome: Outcome, batch: Batch, space: Space, limit: float, norm: str) -> float:
    """How far perturbed cases, as stored, lie beyond the limit, as a part of it."""
    moved = (outcome.perturbed.astype(np.float64) - batch.inputs.astype(np.float64)) / space.per_channel(space.scale)
    flat = np.abs(moved.reshape(len(moved), -1))
    size = flat.max(axis=1) if norm == "linf" else np.sqrt((flat**2).sum(axis=1))
    return float((size / limit - 1).max())


def cast(space: Space, module: str, inputs: type[Any]) -> tuple[TorchModel, Batch]:
    model, batch = models.network(space.kind, 7, where=space, seed=4)  # type: ignore[arg-type]
    cells = CASTS[module](copy.deepcopy(model.module)).train()
    other = TorchModel(cells, space, model.task, mean=model.intake.mean, std=model.intake.std)
    values = batch.inputs.astype(inputs)
    low, high = space.bounds()
    # Two cases stand at the ends of the range.
    values[0], values[1] = (np.broadcast_to(edge, space.shape).astype(inputs) for edge in (low, high))
    return other, Batch.of(values, model.task.decide(other.predict(values)))


@pytest.mark.parametrize("inputs", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("module", CASTS)
def test_limits_and_ranges_are_kept_in_every_precision_and_layout(module: str, inputs: type[Any]) -> None:
    model, batch = cast(COLOR, module, inputs)
    attacks: list[tuple[Attack, str]] = [(PGD(steps=3), "linf"), (PGD(steps=3), "l2"), (Square(8), "linf")]
    for attack, norm in attacks:
        threat = ThreatModel(Additive(norm), 0.02, knowledge=attack.needs)  # type: ignore[arg-type]
        outcome = run(attack, model, batch, threat, seed="s")
        assert not outcome.violated.any()
        assert outcome.perturbed.dtype == (np.float64 if inputs is np.float64 else np.float32)
        wide = Batch.of(np.clip(batch.inputs.astype(outcome.perturbed.dtype), *edges(outcome)), batch.targets)
        assert overshoot(outcome, wide, COLOR, 0.02, norm) <= 1e-6
        low, high = edges(outcome)
        assert ((outcome.perturbed >= low) & (outcome.perturbed <= high)).all()
        assert model.module.training
        alone = run(attack, model, batch.take([5]), threat, seed="s")
        np.testing.assert_array_equal(outcome.perturbed[[5]], alone.perturbed)
        np.testing.assert_array_equal(outcome.scores[[5]], alone.scores)


def edges(outcome: Outcome) -> tuple[Any, Any]:
    low, high = COLOR.bounds()
    return low.astype(outcome.perturbed.dtype), high.astype(outcome.perturbed.dtype)


@pytest.mark.parametrize("limit", [1e-3, 0.5, 20.0])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_rounding_passes_a_limit_that_is_small_against_the_values(limit: float, norm: str) -> None:
    """At 3,000 HU neighboring float32 numbers lie 0.0002 HU apart, a quarter of the smallest limit here."""
    model, batch = cast(CT, "float32", np.float32)
    threat = ThreatModel(Additive(norm), limit)  # type: ignore[arg-type]
    outcome = run(PGD(steps=3), model, batch, threat, seed="s")
    assert overshoot(outcome, batch, CT, limit, norm) <= 1e-6
    if norm == "linf":
        assert (outcome.perturbed != batch.inputs).any()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9999), power=st.integers(-6, 4))
def test_a_sum_never_lies_further_from_the_clean_value_than_it_should(seed: int, power: int) -> None:
    rng = np.random.default_rng(seed)
    clean = torch.from_numpy(rng.normal(scale=10.0, size=(3, 50)).astype(np.float32)).requires_grad_(False)
    params = torch.from_numpy(rng.normal(scale=10.0**power, size=(3, 50)).astype(np.float32)).requires_grad_(True)
    field = Field(clean, None, None, torch.ones(()))
    moved = Additive().apply(field, params)
    exact = (moved.detach().double() - clean.double()).abs()
    assert bool((exact <= params.detach().double().abs() * (1 + 1e-7)).all())
    (slope,) = torch.autograd.grad(moved.sum(), params)
    assert bool((slope == 1).all())


def test_a_batch_of_one_and_of_none() -> None:
    model, batch = cast(CT, "channels last", np.float16)
    threat = ThreatModel(Additive("linf"), 40.0)
    assert run(FGSM(), model, batch.take([3]), threat, seed="s").scores.shape == (1, 3)
    assert run(FGSM(), model, batch.take([]), threat, seed="s").perturbed.shape == (0, 1, 11, 5)
    assert model.predict(batch.inputs[:0]).shape == (0, 3)


def test_standardized_inputs_and_normalization_inside_are_the_same_attack() -> None:
    """Cases in SD with a limit in SD, or in mV with the mean and SD in the adapter and a scale of one SD: same walk."""
    raw = Space("table", (5,), "mV", -8.0, 12.0, scale=4.0, limit_unit="SD")
    sd = Space("table", (5,), "SD", -2.5, 2.5)
    model, batch = models.network("table", 12, where=raw, seed=2)
    inside = TorchModel(model.module.double(), raw, model.task, mean=2.0, std=4.0)
    outside = TorchModel(model.module, sd, model.task)
    values = batch.inputs.astype(np.float64)
    truth = model.task.decide(inside.predict(values))
    threat = ThreatModel(Additive("linf"), 0.3)
    one = run(PGD(steps=5), inside, Batch.of(values, truth), threat, seed="s")
    two = run(PGD(steps=5), outside, Batch.of((values - 2.0) / 4.0, truth), threat, seed="s")
    np.testing.assert_allclose((one.perturbed - 2.0) / 4.0, two.perturbed, atol=1e-9)
    assert one.fooled.tolist() == two.fooled.tolist()

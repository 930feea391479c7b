"""Smooth additive changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.errors import ThreatError
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.threat import ThreatModel

ONE = torch.tensor(1.0)


def signal(count: int = 2, length: int = 60, rate: float | None = 300.0, mask: torch.Tensor | None = None) -> Field:
    clean = torch.zeros(count, 1, length)
    return Field(clean, torch.tensor(-9.0), torch.tensor(9.0), ONE, mask, rate=rate)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 12).map(lambda half: 2 * half + 1), min_size=1, max_size=4),
    sigmas=st.lists(st.floats(0, 20), min_size=1, max_size=4),
    rate=st.floats(20, 2000),
)
def test_kernels_are_even_weights_that_sum_to_one(sizes: list[int], sigmas: list[float], rate: float) -> None:
    kernel = LowPass(sizes=tuple(sizes), sigmas=tuple(sigmas)).kernel(rate)
    assert len(kernel) % 2 == 1
    assert float(kernel.min()) >= 0
    assert float(kernel.sum()) == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(kernel, kernel.flip(0))


def test_kernel_agrees_with_the_published_sum() -> None:
    change = LowPass()
    params = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 60)))
    # The formula as published: one convolution per size and standard deviation, then the mean.
    total = np.zeros(60)
    for size in (5, 7, 11, 15, 19):
        for sigma in (1.0, 3.0, 5.0, 7.0, 10.0):
            steps = np.arange(size) - size // 2
            weights = np.exp(-0.5 * (steps / sigma) ** 2)
            total += ndimage.convolve1d(params[0, 0].numpy(), weights / weights.sum(), mode="constant")
    here = Field(torch.zeros(1, 1, 60, dtype=torch.float64), None, None, ONE, rate=300.0)
    np.testing.assert_allclose(change.smooth(here, params)[0, 0].numpy(), total / 25, atol=1e-12)


def test_kernels_keep_their_duration_at_another_rate() -> None:
    change = LowPass(sizes=(19,), sigmas=(3.0,))

    def width(rate: float) -> float:
        kernel = change.kernel(rate)
        steps = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
        return float((kernel * steps**2).sum().sqrt()) / rate

    assert width(600.0) == pytest.approx(width(300.0), rel=0.02)
    assert len(change.kernel(None)) == 19
    assert len(change.kernel(150.0)) == 9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), norm=st.sampled_from(("linf", "l2")))
def test_what_is_added_never_exceeds_the_limit_on_the_parameters(seed: int, norm: str) -> None:
    change, here = LowPass(norm), signal()  # type: ignore[arg-type]
    params = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 1, 60))).float()
    kept = change.project(here, params, torch.tensor([0.3, 0.7]))
    added = change.apply(here, kept) - here.clean
    size = Additive(norm).cost(here, added)  # type: ignore[arg-type]
    assert bool((size <= change.cost(here, kept) * (1 + 1e-5)).all())
    assert bool((change.cost(here, kept) <= torch.tensor([0.3, 0.7]) * (1 + 1e-6)).all())


def test_without_width_it_is_the_additive_change() -> None:
    sharp = LowPass(sizes=(5, 9), sigmas=(0.0,))
    params = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1, 60))).float()
    assert torch.equal(sharp.apply(signal(), params), Additive().apply(signal(), params))
    model, batch = models.network("signal", 12)
    # Far from the range, PGD then takes the very same steps.
    plain = run(PGD(steps=6), model, batch, ThreatModel(Additive(), 0.05), seed="s")
    smooth = run(PGD(steps=6), model, batch, ThreatModel(sharp, 0.05), seed="s")
    np.testing.assert_array_equal(plain.perturbed, smooth.perturbed)


def test_nothing_moves_behind_the_mask_and_nothing_leaks_from_there() -> None:
    mask = torch.ones(2, 1, 60)
    mask[:, :, 30:] = 0
    here = signal(mask=mask)
    change = LowPass()
    params = torch.zeros(2, 1, 60)
    params[:, :, 32] = 5.0
    assert torch.equal(change.apply(here, params), here.clean)
    params[:, :, 28] = 5.0
    moved = change.apply(here, params) != here.clean
    assert bool(moved[:, :, 20:30].any())
    assert not bool(moved[:, :, 30:].any())


def test_images_are_smoothed_in_both_directions() -> None:
    change = LowPass(sizes=(3,), sigmas=(1.0,))
    here = Field(torch.full((1, 1, 9, 9), 0.5), torch.tensor(0.0), ONE, ONE)
    params = torch.zeros(1, 1, 9, 9)
    params[0, 0, 4, 4] = 0.3
    added = (change.apply(here, params) - here.clean)[0, 0]
    line = np.exp(-0.5 * np.array([-1.0, 0, 1]) ** 2)
    line /= line.sum()
    np.testing.assert_allclose(added[3:6, 3:6].numpy(), 0.3 * np.outer(line, line), atol=1e-6)
    assert float(added.sum()) == pytest.approx(0.3, abs=1e-5)


def test_what_pgd_adds_is_smoother_than_without() -> None:
    model, batch = models.network("signal", 20)
    rough, smooth = (
        run(PGD(steps=5), model, batch, ThreatModel(change, 0.2), seed="s").perturbed - batch.inputs
        for change in (Additive(), LowPass(sizes=(9,), sigmas=(3.0,), rate=125.0))
    )
    bend = [np.abs(np.diff(added, n=2, axis=-1)).mean() for added in (rough, smooth)]
    assert bend[1] < 0.2 * bend[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "l0"},
        {"norm": "l1"},
        {"sizes": (4,)},
        {"sizes": ()},
        {"sigmas": (-1.0,)},
        {"sigmas": ()},
        {"rate": 0.0},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ThreatError, match="expected"):
        LowPass(**settings)  # type: ignore[arg-type]

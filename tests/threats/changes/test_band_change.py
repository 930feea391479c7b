"""Changes within a band of frequencies: Parseval, pure tones, linear programs, limits that hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import ThreatError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.testing.checks import check_attack
from titer.threats.change import Field
from titer.threats.changes.additive import Additive
from titer.threats.changes.band import Band
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

Array = np.ndarray[Any, Any]
RATE, LENGTH = 128.0, 128
CLOCK = np.arange(LENGTH) / RATE


def field(count: int = 3, channels: int = 2, length: int = LENGTH, scale: torch.Tensor | None = None) -> Field:
    rng = np.random.default_rng(count)
    clean = torch.from_numpy(rng.normal(0, 30, size=(count, channels, length))).float()
    one = torch.tensor(1.0) if scale is None else scale
    return Field(clean, torch.tensor(-500.0), torch.tensor(500.0), one, rate=RATE)


def drawn(seed: int, like: Field) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=tuple(like.clean.shape))).float()


def weighing(weight: Array, *, low: float = -500.0, high: float = 500.0) -> tuple[TorchModel, Batch]:
    """A model whose score is weight . x, and two silent cases that it calls negative."""
    space = Space("signal", weight.shape, "uV", low, high, rate=RATE)
    module = models.Affine(torch.from_numpy(weight.reshape(1, -1)), torch.tensor([-1e-9], dtype=torch.float64))
    batch = Batch.of(np.zeros((2, *weight.shape)), np.zeros(2, dtype=np.int64))
    return TorchModel(module, space, Task("binary", ("no", "yes"), positive=(1,)), name="tone"), batch


def power_outside(added: Array, low: float, high: float) -> float:
    """Share of the power of [..., T] outside the band."""
    lines = np.abs(np.fft.rfft(added.astype(np.float64))) ** 2
    # Lines that stand for two conjugate ones count twice (Parseval).
    lines[..., 1 : (added.shape[-1] + 1) // 2] *= 2
    where = np.fft.rfftfreq(added.shape[-1], 1 / RATE)
    inside = (where >= low - 1e-6) & (where <= high + 1e-6)
    return float(lines[..., ~inside].sum() / lines.sum())


@settings(max_examples=15)
@given(
    seed=st.integers(0, 999), low=st.floats(0, 30), width=st.floats(1.3, 30), length=st.sampled_from([100, 127, 128])
)
def test_what_passes_is_an_orthogonal_part(seed: int, low: float, width: float, length: int) -> None:
    here = field(length=length)
    params = drawn(seed, here).double()
    passed = Band(low, low + width).passed(here, params)
    rest = params - passed
    assert float((passed * rest).sum().abs()) < 1e-9
    assert float(params.square().sum()) == pytest.approx(float(passed.square().sum() + rest.square().sum()))
    assert power_outside(passed.numpy(), low, low + width) < 1e-25
    torch.testing.assert_close(Band(low, low + width).passed(here, passed), passed)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", [PGD(steps=8), Noise(), RandomSearch(queries=5), FGSM(random_start=True)])
def test_nothing_lies_outside_the_band(attack: Any, norm: str) -> None:
    model, batch = models.network("signal", 12)
    band = Band(12.5, 40.0, norm=norm)  # type: ignore[arg-type]
    outcome = run(attack, model, batch, ThreatModel(band, 0.2, knowledge=attack.needs), seed="s")
    added = outcome.perturbed.astype(np.float64) - batch.inputs
    assert np.abs(added).max() > 0.01
    lines = np.abs(np.fft.rfft(added)) ** 2
    where = np.fft.rfftfreq(20, 1 / 125.0)
    assert lines[..., (where < 12) | (where > 41)].sum() < 1e-6 * lines.sum()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_pure_tone_is_found_inside_and_out_of_reach_outside(norm: str) -> None:
    tone = np.stack([np.sin(2 * np.pi * 10 * CLOCK + 0.3), 0 * CLOCK])
    model, batch = weighing(tone)
    limit = 2.0
    inside = run(PGD(steps=10), model, batch, ThreatModel(Band(8, 12, norm=norm), limit), seed="s")  # type: ignore[arg-type]
    outside = run(PGD(steps=10), model, batch, ThreatModel(Band(11, 40, norm=norm), limit), seed="s")  # type: ignore[arg-type]
    assert inside.fooled.all()
    # Rounding leaves a hair of the tone, nothing that an attacker could use.
    assert np.abs(outside.scores - outside.clean_scores).max() < 1e-6
    gain = (inside.scores - inside.clean_scores)[:, 0]
    if norm == "l2":
        np.testing.assert_allclose(gain, limit * np.linalg.norm(tone), rtol=1e-6)
        np.testing.assert_allclose(inside.perturbed[0], limit * tone / np.linalg.norm(tone), atol=1e-6)
    else:
        # A square wave would gain 4 / pi times as much; within the band no more than the tone itself is left.
        assert (gain >= limit * (tone**2).sum() * (1 - 1e-6)).all()
        assert np.abs(inside.perturbed[:, 1]).max() < 1e-6


def best_in_band(weight: Array, band: Band, limit: float, *, slew: float | None = None) -> float:
    """The most that weight . d can be, by linear programming over the sines and cosines of the band."""
    lines = [k for k in range(LENGTH // 2 + 1) if band.low <= k * RATE / LENGTH <= band.high]
    columns = [wave(2 * np.pi * k * np.arange(LENGTH) / LENGTH) for k in lines for wave in (np.cos, np.sin)]
    basis = np.stack(columns, axis=1)
    total = 0.0
    for row in weight:
        rows, most = [basis, -basis], [np.full(LENGTH, limit)] * 2
        if slew is not None:
            steps = np.diff(basis, axis=0)
            rows, most = [*rows, steps, -steps], [*most, *[np.full(LENGTH - 1, slew / RATE)] * 2]
        found = linprog(-(basis.T @ row), np.concatenate(rows), np.concatenate(most), bounds=(None, None))
        total += -found.fun
    return total


@pytest.mark.parametrize(("slew", "reached"), [(None, 0.96), (150.0, 0.93)])
def test_pgd_comes_close_to_the_linear_program(slew: float | None, reached: float) -> None:
    weight = np.random.default_rng(5).normal(size=(2, LENGTH))
    band = Band(3, 20, slew=slew)
    best = best_in_band(weight, band, 2.0, slew=slew)
    model, batch = weighing(weight)
    gains = {}
    for attack in (FGSM(), PGD(steps=40, losses=("margin",)), Noise()):
        outcome = run(attack, model, batch, ThreatModel(band, 2.0), seed="s")
        assert not outcome.violated.any()
        gains[attack.name] = float((outcome.scores - outcome.clean_scores).max())
    assert gains["pgd"] <= best * (1 + 1e-5)
    assert gains["pgd"] > reached * best
    assert gains["fgsm"] > 0.7 * best
    assert gains["noise"] < 0.25 * best


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    norm=st.sampled_from(("linf", "l2")),
    most=st.sampled_from((None, 0.5, (0.2, 3.0))),
    share=st.sampled_from((None, 0.02)),
    slew=st.sampled_from((None, 40.0)),
    size=st.floats(0.01, 50),
)
def test_every_limit_holds(
    seed: int, norm: str, most: Any, share: float | None, slew: float | None, size: float
) -> None:
    here = field(scale=torch.tensor([[1.0], [2.0]]))
    band = Band(2.0, 40.0, norm, most, share, slew)  # type: ignore[arg-type]
    limit = torch.tensor([0.0, 0.7, 3.0])
    for params in (band.project(here, size * drawn(seed, here), limit), band.sample(here, limit, keys(), seed)):
        assert bool((band.cost(here, params) <= limit * (1 + 1e-6)).all())
        assert bool(band.valid(here, params).all())
        assert torch.equal(params[0], torch.zeros_like(params[0]))
        assert float(params[1:].abs().amax()) > 0
        added = band.apply(here, params) - here.clean
        assert float((added - params).abs().max()) < 1e-4
        again = band.project(here, params, limit)
        torch.testing.assert_close(again, params, atol=1e-5, rtol=1e-4)
        if most == (0.2, 3.0):
            assert float(params[:, 0].abs().max()) <= 0.2 * (1 + 1e-6)
        if share is not None:
            rms = here.clean.std(dim=-1, correction=0)
            assert bool((params.abs().amax(dim=-1) <= share * rms * (1 + 1e-6)).all())
        if slew is not None:
            assert float(torch.diff(params, dim=-1).abs().max()) <= slew / RATE * (1 + 1e-5)


def keys() -> CaseRandom:
    return CaseRandom.of("band", "abc")


def test_projection_is_nearly_the_nearest_point() -> None:
    here = field()
    band = Band(2.0, 40.0, slew=60.0)
    limit = torch.full((3,), 1.0)
    params = drawn(1, here)
    params = 1.5 * params / params.std()
    found = band.project(here, params, limit)
    # The same walk until nothing moves any more.
    sets, kept = band._sets(here, params.double(), limit.double()), band.passed(here, params.double())
    excess = [torch.zeros_like(kept) for _ in sets]
    for _ in range(2000):
        for number, nearest in enumerate(sets):
            before = kept + excess[number]
            kept = nearest(before)
            excess[number] = before - kept
        kept = band.passed(here, kept)
    inside = band.passed(here, params)
    best = (kept - inside).norm()
    assert float((found - inside).norm()) < 1.1 * float(best)


def test_random_changes_differ_by_draw_and_by_case() -> None:
    here = field()
    limit = torch.ones(3)
    first, second = (Band().sample(here, limit, keys(), draw) for draw in (0, 1))
    assert not torch.allclose(first, second)
    assert not torch.allclose(first[0], first[1])
    assert bool((first.abs().amax(dim=(1, 2)) > 0.9).all())
    one = torch.tensor([2])
    assert torch.equal(Band().sample(here.rows(one), limit[:1], keys().rows(one), 0)[0], first[2])


def test_the_recorder_clips_what_it_cannot_hold() -> None:
    weight = np.random.default_rng(0).normal(size=(1, LENGTH))
    model, batch = weighing(weight, low=-1.0, high=1.0)
    edge = replace(batch, inputs=np.full_like(batch.inputs, 1.0))
    outcome = run(PGD(steps=5), model, edge, ThreatModel(Band(1, 40), 0.5), seed="s")
    assert not outcome.violated.any()
    assert float(outcome.perturbed.max()) == 1.0
    assert float(outcome.perturbed.min()) >= 0.5 - 1e-6


def test_masks_close_channels_but_not_parts_of_them() -> None:
    model, batch = models.network("signal", 6)
    masks = np.zeros_like(batch.inputs)
    masks[:, 1] = 1
    threat = ThreatModel(Band(5, 40), 0.2, where="outside-mask")
    outcome = run(PGD(steps=4), model, replace(batch, masks=masks), threat, seed="s")
    assert not outcome.violated.any()
    np.testing.assert_array_equal(outcome.perturbed[:, 1], batch.inputs[:, 1])
    assert (outcome.perturbed[:, 0] != batch.inputs[:, 0]).any()
    masks[:, 1, :5] = 0
    with pytest.raises(ThreatError, match=r"close whole channels.*use 'additive'"):
        run(PGD(steps=4), model, replace(batch, masks=masks), threat, seed="s")


@pytest.mark.parametrize(
    ("band", "limit"),
    [
        (Band(5.0, 40.0, "l2", slew=20.0, share=0.3), 0.5),
        (Band(0.0, 70.0, slew=20.0, most=(0.05, 0.2)), 0.1),
    ],
)
def test_every_setting_keeps_the_laws(band: Band, limit: float) -> None:
    check_attack(PGD(steps=2), [("signal", band, limit)])


def test_the_whole_band_is_the_additive_change() -> None:
    model, batch = models.network("signal", 12)
    whole, plain = (run(FGSM(), model, batch, ThreatModel(c, 0.1), seed="s") for c in (Band(0, 1e4), Additive()))
    np.testing.assert_allclose(whole.perturbed, plain.perturbed, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "l0"}, {"low": -1.0}, {"low": 50.0, "high": 40.0}, {"high": float("nan")}, {"most": 0.0},
        {"most": ()}, {"most": (1.0, -1.0)}, {"share": 0.0}, {"slew": float("inf")},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ThreatError, match="expected"):
        Band(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("band", "space", "said"),
    [
        (Band(), Space("signal", (1, 128), "uV", -9.0, 9.0), "a sampling rate.*give the data their 'rate'"),
        (Band(3.1, 3.9), Space("signal", (1, 128), "uV", -9.0, 9.0, rate=128.0), "multiple of 1 Hz.*widen it"),
        (Band(65, 80), Space("signal", (1, 128), "uV", -9.0, 9.0, rate=128.0), "multiple of 1 Hz"),
        (Band(most=(1.0, 2.0)), Space("signal", (3, 128), "uV", -9.0, 9.0, rate=128.0), "each of 3 channels"),
        (Band(), Space("image", (1, 8, 8), "grey"), "a change that a image can undergo"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_runs(band: Band, space: Space, said: str) -> None:
    with pytest.raises(ThreatError, match=said):
        ThreatModel(band, 1.0).check(space, Task("binary", ("no", "yes"), positive=(1,)))


def test_it_says_what_it_may_do() -> None:
    band = Band(0.5, 70, "l2", most=(1.0, 2.0), slew=900.0)
    assert band.sentence("5 uV") == (
        "change values by a total (root of summed squares) of at most 5 uV, within 0.5 to 70 Hz, 1/2 in its channel "
        "and a slope of 900 per second"
    )

"""Natural corruptions: what each of them does to a recording, and what all of them keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from titer.attacks.engine import run
from titer.attacks.natural import Natural
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.errors import AttackError, ThreatError
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes._corrupt_pictures import CORRUPTIONS as PICTURES
from titer.threats.changes._corrupt_signals import CORRUPTIONS as SIGNALS
from titer.threats.changes.corruption import Corruption
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

ONE = torch.tensor(1.0)
RATE = 250.0


def picture(*shape: int) -> Field:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    plane = 0.5 + 0.3 * np.sin(x / 3) * np.cos(y / 4)
    clean = torch.from_numpy(np.broadcast_to(plane, (6, *shape)).astype(np.float32).copy())
    return Field(clean, torch.tensor(0.0), ONE, ONE)


def signal(channels: int = 2, length: int = 1000, rate: float | None = RATE) -> Field:
    time = torch.arange(length) / RATE
    waves = torch.stack([torch.sin(2 * torch.pi * (3 + lead) * time) for lead in range(channels)])
    return Field(waves.repeat(6, 1, 1), torch.tensor(-50.0), torch.tensor(50.0), ONE, rate=rate)


def corrupted(name: str, here: Field, severity: float, draw: int = 0) -> Tensor:
    change = Corruption(only=(name,))
    change.check(here)
    rng = CaseRandom.of("nature", [str(number) for number in range(len(here))])
    params = change.sample(here, torch.full((len(here),), severity), rng, draw)
    assert bool(change.valid(here, params).all())
    torch.testing.assert_close(change.cost(here, params), torch.full((len(here),), severity))
    return change.apply(here, params)


GROUND = [(name, picture(1, 20, 21)) for name in PICTURES]
GROUND += [(name, picture(2, 3, 17, 16)) for name in PICTURES]
GROUND += [(name, signal()) for name in SIGNALS]
NAMES = [f"{name}-{'x'.join(map(str, here.clean.shape[1:]))}" for name, here in GROUND]


@pytest.mark.parametrize(("name", "here"), GROUND, ids=NAMES)
def test_severity_grows_from_nothing_and_the_range_is_kept(name: str, here: Field) -> None:
    assert torch.equal(corrupted(name, here, 0.0), here.clean)
    sizes = []
    for severity in (0.01, 0.25, 0.5, 1.0):
        changed = corrupted(name, here, severity)
        assert bool(torch.isfinite(changed).all())
        assert bool(((changed >= here.low) & (changed <= here.high)).all())
        sizes.append(float((changed - here.clean).square().mean().sqrt()))
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.1 * sizes[-1] or name == "blocks"
    assert sizes[-1] > 0.02


@pytest.mark.parametrize(("name", "here"), GROUND, ids=NAMES)
def test_the_same_draw_gives_the_same_bits_and_another_one_others(name: str, here: Field) -> None:
    assert torch.equal(corrupted(name, here, 0.6), corrupted(name, here, 0.6))
    if name not in ("blur", "blocks"):
        assert not torch.equal(corrupted(name, here, 0.6), corrupted(name, here, 0.6, draw=1))
        changed = corrupted(name, here, 0.6)
        assert len({row.numpy().tobytes() for row in changed}) > 1


def test_disturbances_at_full_severity_are_as_large_as_the_signal() -> None:
    here = signal(channels=1, length=20_000)
    for name in ("wander", "hum", "noise"):
        added = corrupted(name, here, 1.0) - here.clean
        ratio = added.square().mean().sqrt() / here.clean.square().mean().sqrt()
        assert float(ratio) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(("name", "low", "high"), [("wander", 0.0, 0.75), ("hum", 49.5, 50.5)])
def test_waves_have_their_frequencies(name: str, low: float, high: float) -> None:
    here = signal(length=5000)
    added = (corrupted(name, here, 0.5) - here.clean).double()
    power = torch.fft.rfft(added * torch.hann_window(5000, dtype=torch.float64)).abs().square()
    hertz = torch.fft.rfftfreq(5000, 1 / RATE)
    inside = (hertz >= low) & (hertz <= high)
    assert float(power[..., inside].sum() / power.sum()) > 0.99


def test_hum_follows_the_mains_of_the_country() -> None:
    here = signal(length=5000)
    change = Corruption(only=("hum",), mains=60.0)
    params = change.sample(here, torch.ones(6), CaseRandom.of("s", list("abcdef")), 0)
    added = (change.apply(here, params) - here.clean)[0, 0]
    assert float(torch.fft.rfftfreq(5000, 1 / RATE)[torch.fft.rfft(added).abs().argmax()]) == pytest.approx(60.0)


def test_a_dead_channel_is_flat_for_half_of_the_record() -> None:
    here = signal()
    changed = corrupted("dead", here, 1.0)
    moved = (changed != here.clean).any(dim=2)
    assert moved.sum(dim=1).tolist() == [1] * 6
    for row in range(6):
        lead = changed[row, int(moved[row].float().argmax())]
        flat = (lead.diff().abs() < 1e-7).sum()
        assert 495 <= int(flat) <= 505


def test_a_moved_electrode_touches_one_channel_from_some_time_on() -> None:
    here = signal()
    added = corrupted("electrode", here, 0.5) - here.clean
    assert ((added != 0).any(dim=2).sum(dim=1) == 1).all()
    size = added.abs().amax(dim=(1, 2)) / here.clean[:, 0].std(dim=1)
    torch.testing.assert_close(size, torch.full((6,), 2.0), atol=0.1, rtol=0)


def test_blocks_are_rounded_alike_and_keep_even_pictures() -> None:
    even = Field(torch.full((6, 1, 16, 16), 0.5), torch.tensor(0.0), ONE, ONE)
    # The mean of a block is a multiple of 4 x 16 / 8 grey levels of 255 at full severity.
    seen = corrupted("blocks", even, 1.0)
    assert float((seen - 0.5).abs().max()) <= 4 / 255 + 1e-6
    assert float(seen.std()) < 1e-6
    here = picture(1, 16, 24)
    first = corrupted("blocks", here, 0.5)
    cut = Field(here.clean[..., 8:, 16:], here.low, here.high, ONE)
    torch.testing.assert_close(first[..., 8:, 16:], corrupted("blocks", cut, 0.5), atol=1e-5, rtol=0)


def test_ghosts_are_shifted_copies() -> None:
    size = 48
    clean = torch.zeros(6, 1, size, size)
    clean[..., 5:8, 20:28] = 0.8
    changed = corrupted("ghosting", Field(clean, torch.tensor(0.0), ONE, ONE), 1.0)
    for row in range(6):
        lines = changed[row, 0].mean(dim=1)
        lit = (lines > 0.02).nonzero()[:, 0]
        # Copies stand at whole parts of the picture's height, in the same columns.
        gaps = (lit[:, None] - torch.arange(5, 8)[None]) % size
        assert any(bool(((gaps % (size // period)) == 0).any(dim=1).all()) for period in (2, 3, 4))
        assert len(lit) > 3
        assert float(changed[row, 0, :, :15].max()) < 1e-5


def test_what_the_mask_closes_does_not_move() -> None:
    for name, here in GROUND:
        mask = torch.ones(1, *here.clean.shape[1:])
        mask[..., : here.clean.shape[-1] // 2] = 0
        masked = Field(here.clean, here.low, here.high, ONE, mask, rate=here.rate)
        changed = corrupted(name, masked, 1.0)
        assert torch.equal(changed[mask.expand_as(changed) == 0], here.clean[mask.expand_as(changed) == 0])


def test_all_kinds_are_drawn() -> None:
    for here, names in ((picture(1, 8, 8), PICTURES), (signal(), SIGNALS)):
        change = Corruption()
        assert change.names(here) == tuple(names)
        rng = CaseRandom.of("s", [str(number) for number in range(6)])
        drawn = torch.cat([change.sample(here, torch.ones(6), rng, draw)[:, 0] for draw in range(40)])
        assert drawn.unique().tolist() == [0, 1, 2, 3, 4]


def test_without_a_rate_waves_are_left_out_or_refused() -> None:
    untimed = signal(rate=None)
    assert Corruption().names(untimed) == ("noise", "electrode", "dead")
    slow = Field(untimed.clean, untimed.low, untimed.high, ONE, rate=90.0)
    assert "hum" not in Corruption().names(slow)
    for name in ("wander", "hum"):
        with pytest.raises(ThreatError, match="sampling rate"):
            Corruption(only=(name,)).check(untimed)
    with pytest.raises(ThreatError, match="'motion'; correct 'only'"):
        Corruption(only=("motion",)).check(untimed)


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"only": ("rain",)}, {"mains": 0.0}):
        with pytest.raises(ThreatError, match="expected"):
            Corruption(**wrong)  # type: ignore[arg-type]


def test_parameters_that_mean_nothing_are_seen() -> None:
    here = picture(1, 8, 8)
    params = torch.tensor(
        [[0, 0.5, 1, 2], [0.5, 0.5, 1, 2], [7, 0.5, 1, 2], [0, -0.1, 1, 2], [0, 1, 0.5, 2], [0, 1, 1, 2**24]]
    )
    assert Corruption().valid(here, params).tolist() == [True, False, False, False, False, False]


def test_nature_is_a_control_and_its_worst_of_many_an_attack() -> None:
    model, batch = models.network("image", 60)
    threat = ThreatModel(Corruption(), 0.6, knowledge="labels")
    one, three, many = (
        run(attack, model, batch, threat, seed="s")
        for attack in (Natural(), Natural(draws=3), RandomSearch(queries=30))
    )
    assert Natural.control
    assert not RandomSearch.control
    assert one.queries.sum() == 0
    assert (three.queries == 3).all()
    assert one.fooled.sum() <= three.fooled.sum() <= many.fooled.sum()
    assert 0 < one.fooled.mean() < many.fooled.mean()
    for attack in (PGD(), Noise()):
        with pytest.raises(AttackError, match="a change that"):
            run(attack, model, batch, ThreatModel(Corruption(), 0.6), seed="s")


def test_the_sentence_says_who_does_it() -> None:
    model, _ = models.network("signal", 3)
    threat = ThreatModel(Corruption(), 0.5, knowledge="labels")
    said = threat.sentence(model.space, model.task)
    assert "may let nature corrupt the recording, at 0.5 of full severity and wants" in said

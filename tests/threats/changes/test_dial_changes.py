"""Changes of few numbers: what all of them keep, and what each of them does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor, nn

from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import ThreatError
from titer.models.adapters.torch import TorchModel
from titer.testing import models
from titer.threats.change import Field
from titer.threats.changes._dials import DialChange, FewDials
from titer.threats.changes.affine import Affine
from titer.threats.changes.bias_field import BiasField
from titer.threats.changes.blur import Blur
from titer.threats.changes.contrast import Contrast
from titer.threats.changes.gamma import Gamma
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

CHANGES = [
    Affine(scale=20),
    Affine(shift=0),
    Affine(padding="reflect"),
    Affine(rotation=0, padding="border", axis=2),
    BiasField(),
    Blur(),
    Contrast(),
    Contrast(contrast=0),
    Gamma(),
]
LOCAL = [change for change in CHANGES if change.local]
GRIDS = [change for change in CHANGES if isinstance(change, FewDials)]
SENTENCE = (
    "turn the picture by at most 30 degrees, shift it by at most 0.1 of its size and enlarge or shrink it by at most "
    "10 %, using at most 0.5 of the ranges"
)
IMAGE, VOLUME = (2, 7, 9), (1, 4, 6, 5)


def field(shape: tuple[int, ...], cases: int = 3, low: float = -10.0, high: float = 30.0, seed: int = 0) -> Field:
    rng = np.random.default_rng(seed)
    clean = torch.from_numpy(rng.uniform(low, high, size=(cases, *shape)))
    ends = (torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64))
    return Field(clean, *ends, torch.tensor(1.0, dtype=torch.float64))


def large(change: DialChange) -> float:
    """A limit at which much happens."""
    unit = change.unit(Space("image", IMAGE, "HU"))
    return {"%": 50.0, "pixels": 1.5, "degrees": 80.0, "of its size": 0.3}.get(unit, 1.0)


def drawn(change: DialChange, here: Field, limit: float, draw: int = 0) -> Tensor:
    rng = CaseRandom.of("drawn", [str(number) for number in range(len(here))])
    return change.sample(here, torch.full((len(here),), limit, dtype=torch.float64), rng, draw)


@pytest.mark.parametrize("shape", [IMAGE, VOLUME], ids=["image", "volume"])
@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_doing_nothing_keeps_every_bit_and_still_has_a_slope(change: DialChange, shape: tuple[int, ...]) -> None:
    here = field(shape)
    params = change.nothing(here).requires_grad_(True)
    unchanged = change.apply(here, params)
    assert torch.equal(unchanged, here.clean)
    towards = torch.from_numpy(np.random.default_rng(1).normal(size=here.clean.shape))
    (slope,) = torch.autograd.grad((unchanged * towards).sum(), params)
    assert bool((slope != 0).all())


@pytest.mark.parametrize("shape", [IMAGE, VOLUME], ids=["image", "volume"])
@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_slopes_are_those_of_differences(change: DialChange, shape: tuple[int, ...]) -> None:
    here = field(shape, cases=2)
    # Away from 0 and from whole pixels, where the slope of a bilinear picture jumps.
    params = (drawn(change, here, large(change) / 3).abs() + 0.013).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda moved: change.apply(here, moved), (params,), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(place=st.integers(0, len(CHANGES) - 1), draw=st.integers(0, 1000), share=st.floats(0.01, 1.0))
def test_draws_and_projections_keep_limit_range_and_the_order_of_sizes(place: int, draw: int, share: float) -> None:
    change, here = CHANGES[place], field(IMAGE)
    limit = share * large(change)
    params = drawn(change, here, limit, draw)
    bound = torch.full((3,), limit, dtype=torch.float64)
    assert bool((change.cost(here, params) <= bound * (1 + 1e-9)).all())
    assert bool(change.valid(here, params).all())
    perturbed = change.apply(here, params)
    assert bool(((perturbed >= here.low) & (perturbed <= here.high)).all())
    torch.testing.assert_close(change.project(here, params, bound), params)
    kept = change.project(here, 10 * params + 0.3, bound / 2)
    assert bool((change.cost(here, kept) <= bound / 2 * (1 + 1e-9)).all())
    assert bool(change.valid(here, kept).all())
    direction = change.steepest(here, -params - 1)
    torch.testing.assert_close(change.cost(here, direction.abs()), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("change", LOCAL, ids=repr)
def test_what_the_mask_closes_does_not_move(change: DialChange) -> None:
    open_half = field(IMAGE)
    mask = torch.ones(1, 1, 7, 9)
    mask[..., 4:] = 0
    here = Field(open_half.clean, open_half.low, open_half.high, open_half.scale, mask)
    change.check(here)
    perturbed = change.apply(here, drawn(change, here, large(change)).abs() + 0.1)
    assert torch.equal(perturbed[..., 4:], here.clean[..., 4:])
    assert not torch.equal(perturbed[..., :4], here.clean[..., :4])


def test_a_picture_that_moves_as_a_whole_refuses_masks() -> None:
    model, batch = models.network("image", 3)
    masked = Batch(batch.inputs, batch.targets, batch.patients, batch.ids, batch.groups, np.ones_like(batch.inputs))
    with pytest.raises(ThreatError, match="leave 'where' out"):
        run(PGD(), model, masked, ThreatModel(Affine(), 1.0, where="outside-mask"), seed="s")


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_without_a_range_they_are_refused(change: DialChange) -> None:
    endless = Field(torch.zeros(1, *IMAGE), torch.tensor(-torch.inf), torch.tensor(torch.inf), torch.tensor(1.0))
    with pytest.raises(ThreatError, match="give the space a range"):
        change.check(endless)


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_odd_pictures_have_the_same_bits_alone_and_among_many(change: DialChange) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(2, 5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(5 * 5 * 7, 3))
    model = TorchModel(net, Space("image", IMAGE, "HU", -10.0, 30.0), models.task("classes"))
    inputs = np.random.default_rng(0).uniform(-10, 30, size=(150, *IMAGE)).astype(np.float32)
    batch = Batch.of(inputs, model.task.decide(model.predict(inputs)))
    threat = ThreatModel(change, large(change) / 2)
    together = run(PGD(steps=3), model, batch, threat, seed="s")
    for row in (0, 77, 149):
        alone = run(PGD(steps=3), model, batch.take([row]), threat, seed="s")
        np.testing.assert_array_equal(alone.perturbed[0], together.perturbed[row])
        np.testing.assert_array_equal(alone.scores[0], together.scores[row])
    assert not together.violated.any()


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_volumes_can_be_attacked(change: DialChange) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv3d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 2 * 4 * 3, 2))
    space = Space("volume", VOLUME, "grey level", 0.0, 1.0, spacing=(5.0, 1.0, 1.0))
    model = TorchModel(net, space, models.task("two classes"))
    inputs = np.random.default_rng(0).uniform(size=(30, *VOLUME)).astype(np.float32)
    scores = model.predict(inputs)
    net[3].bias.data[0] -= float(np.median(scores[:, 0] - scores[:, 1]))
    batch = Batch.of(inputs, model.task.decide(model.predict(inputs)))
    outcome = run(PGD(steps=4), model, batch, ThreatModel(change, large(change)), seed="s")
    assert outcome.fooled.any()
    assert not outcome.violated.any()


@pytest.mark.parametrize("change", GRIDS, ids=repr)
def test_grids_fill_the_limit_and_leave_doing_nothing_out(change: FewDials) -> None:
    here = field(IMAGE)
    limits = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64) * large(change)
    for points in (None, 1, 2, 3):
        nodes = change.grid(here, limits, points)
        count = nodes.shape[2]
        assert count == change.parameters(here)
        costs = torch.stack([change.cost(here, nodes[:, at]) for at in range(nodes.shape[1])], dim=1)
        torch.testing.assert_close(costs.amax(dim=1), limits)
        assert bool((costs.diff(dim=1) <= 1e-9).all())
        assert bool((costs > 0).all())
        assert len(nodes[0].unique(dim=0)) == nodes.shape[1]
        if points == 3:
            assert nodes.shape[1] == 3**count - 1


def test_a_grid_that_no_machine_could_hold_is_refused() -> None:
    with pytest.raises(ThreatError, match="got 1,000,000; lower 'points'"):
        Affine().grid(field(IMAGE), torch.ones(3, dtype=torch.float64), 100)


def test_the_published_grid_has_775_points() -> None:
    nodes = Affine().grid(field(IMAGE), torch.ones(3, dtype=torch.float64), None)
    assert nodes.shape == (3, 31 * 5 * 5 - 1, 3)


@pytest.mark.parametrize(
    ("change", "limit", "said"),
    [
        (Affine(shift=0), "15 degrees", "turn the picture by at most 15 degrees"),
        (Affine(rotation=0), "0.1 of its size", "shift it by at most 0.1 of its size"),
        (
            Affine(scale=10),
            "0.5 of the ranges",
            SENTENCE,
        ),
        (Contrast(contrast=0), "5 %", "make it brighter or darker by at most 5 % of the range"),
    ],
)
def test_sentences_speak_of_what_moves(change: DialChange, limit: str, said: str) -> None:
    assert change.sentence(limit) == said
    space = Space("image", IMAGE, "grey level")
    assert limit.endswith(change.unit(space))
    number = float(limit.split(maxsplit=1)[0])
    assert f"may {said} and wants" in ThreatModel(change, number).sentence(space, models.task("classes"))


def test_gain_and_brightness_do_what_they_say() -> None:
    here = field(IMAGE, low=0.0, high=1.0)
    clean = here.clean
    middle = clean.mean(dim=(2, 3), keepdim=True)
    params = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.0]], dtype=torch.float64)
    found = Contrast(contrast=25, brightness=20).apply(here, params)
    expected = [middle + 1.25 * (clean - middle), middle + 0.8 * (clean - middle) + 0.1, clean - 0.2]
    for row in range(3):
        torch.testing.assert_close(found[row], expected[row][row].clamp(0, 1))


def test_gamma_keeps_the_ends_and_undoes_itself() -> None:
    here = field(IMAGE)
    here.clean[0, 0, 0, :2] = torch.tensor([-10.0, 30.0])
    up = torch.full((3, 1), 0.5, dtype=torch.float64)
    bent = Gamma().apply(here, up)
    torch.testing.assert_close(bent[0, 0, 0, :2], here.clean[0, 0, 0, :2])
    torch.testing.assert_close(bent, -10 + 40 * ((here.clean + 10) / 40) ** 1.5)
    back = Gamma().apply(Field(bent, here.low, here.high, here.scale), -up)
    torch.testing.assert_close(back, here.clean)
    assert torch.equal(bent.flatten().argsort(), here.clean.flatten().argsort())


@settings(max_examples=30, deadline=None)
@given(order=st.integers(1, 6), seed=st.integers(0, 99))
def test_no_drift_passes_the_highest_node(order: int, seed: int) -> None:
    here, change = field((1, 16, 12), cases=2), BiasField(order)
    params = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, size=(2, change.parameters(here))))
    drift = change.drift(here, params)
    assert bool((drift.flatten(1).abs().amax(dim=1) <= params.abs().amax(dim=1) + 1e-12).all())
    level = change.drift(here, torch.full_like(params, 0.3))
    torch.testing.assert_close(level, torch.full_like(level, 0.3))


def test_a_drift_has_low_orders_only() -> None:
    here, change = field((1, 32, 24), cases=1), BiasField(order=2)
    params = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 9)))
    from scipy.fft import dctn

    waves = np.abs(dctn(change.drift(here, params)[0].numpy()))
    assert waves[:3, :3].min() > 1e-3
    waves[:3, :3] = 0
    assert waves.max() < 1e-9


def test_blur_is_diffusion() -> None:
    here = field((1, 21, 21), cases=1, low=0.0, high=1.0)
    spot = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    spot[0, 0, 10, 10] = 1.0
    still = Field(spot, here.low, here.high, here.scale)
    steps = torch.arange(21, dtype=torch.float64) - 10
    for sigma in (0.3, 1.0, 2.0):
        seen = Blur().apply(still, torch.full((1, 1), sigma**2, dtype=torch.float64))[0, 0]
        assert float(seen.sum()) == pytest.approx(1.0)
        assert float(seen.min()) > -1e-12
        assert float((seen.sum(dim=0) * steps**2).sum()) == pytest.approx(sigma**2, rel=1e-3)
    twice = Blur().apply(
        Field(Blur().apply(here, torch.full((1, 1), 0.5)), here.low, here.high, here.scale), torch.full((1, 1), 1.0)
    )
    torch.testing.assert_close(twice, Blur().apply(here, torch.full((1, 1), 1.5)))


def test_wide_blurs_agree_with_a_sampled_gaussian() -> None:
    here = field((1, 40, 40), cases=1, low=0.0, high=1.0)
    seen = Blur().apply(here, torch.full((1, 1), 9.0, dtype=torch.float64))[0, 0].numpy()
    other = ndimage.gaussian_filter(here.clean[0, 0].numpy(), 3.0, mode="reflect", truncate=8)
    np.testing.assert_allclose(seen, other, atol=3e-3)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Affine, {"rotation": -1.0}),
        (Affine, {"rotation": 0.0, "shift": 0.0}),
        (Affine, {"padding": "wrap"}),
        (Affine, {"axis": 3}),
        (Affine, {"scale": float("inf")}),
        (BiasField, {"order": 0}),
        (Contrast, {"contrast": float("nan")}),
    ],
)
def test_wrong_settings_are_refused(kind: type[DialChange], wrong: dict[str, object]) -> None:
    with pytest.raises(ThreatError, match="expected"):
        kind(**wrong)

"""Patches: what they cover, to the pixel, and what they leave."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from titer.cases.space import Space
from titer.errors import ThreatError
from titer.models.task import Task
from titer.threats.change import Field
from titer.threats.changes.patch import Patch
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

ONE = torch.tensor(1.0)
SHAPES = [(1, 12, 12), (3, 9, 14), (2, 40), (1, 6, 7, 8)]


def field(shape: tuple[int, ...] = (1, 12, 12), count: int = 5, mask: torch.Tensor | None = None) -> Field:
    clean = torch.from_numpy(np.random.default_rng(0).uniform(size=(count, *shape))).float()
    return Field(clean, torch.tensor(0.0), ONE, ONE, mask)


def row(change: Patch, where: Field, size: float, place: float, slant: float = 0.0) -> torch.Tensor:
    count, dimensions = len(where), where.clean.dim() - 2
    full = torch.full((count,), size)
    return change.pack(
        where, full, torch.full((count, dimensions), place), -torch.ones_like(where.clean), torch.full((count,), slant)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_doing_nothing_and_a_size_of_zero_change_nothing(shape: tuple[int, ...]) -> None:
    where = field(shape)
    for change in (Patch(), Patch("square", "area")):
        assert torch.equal(change.apply(where, change.nothing(where)), where.clean)
        assert not change.cost(where, change.nothing(where)).any()
        assert torch.equal(change.apply(where, row(change, where, 0.0, 0.3, 1.0)), where.clean)
        none = change.sample(where, torch.zeros(5), CaseRandom.of("s", "abcde"), 0)
        assert torch.equal(change.apply(where, none), where.clean)


@settings(max_examples=60)
@given(
    shape=st.sampled_from(SHAPES),
    form=st.sampled_from(["circle", "square"]),
    measure=st.sampled_from(["width", "area"]),
    limit=st.floats(0, 1.5),
    draw=st.integers(0, 1000),
)
def test_outside_pixels_are_the_same_bits_and_inside_pixels_come_from_the_canvas(
    shape: tuple[int, ...], form: Any, measure: Any, limit: float, draw: int
) -> None:
    change, where = Patch(form, measure, turn=90), field(shape)
    params = change.sample(where, torch.full((5,), limit), CaseRandom.of("s", "abcde"), draw)
    assert bool((change.cost(where, params) <= limit).all())
    assert bool(change.valid(where, params).all())
    inside, pixel = change.cover(where, params)
    covered = inside[:, None].expand_as(where.clean)
    seen = change.apply(where, params)
    assert torch.equal(seen[~covered], where.clean[~covered])
    canvas = change.content(where, params)
    picked = canvas.flatten(2).gather(2, pixel[:, None].expand(-1, shape[0], -1)).reshape(canvas.shape)
    assert torch.equal(seen[covered], picked[covered])
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1
    again = change.project(where, params, torch.full((5,), limit))
    torch.testing.assert_close(again, params, rtol=0, atol=0)


@pytest.mark.parametrize("size", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
def test_an_upright_square_covers_exactly_its_pixels(size: float, place: float) -> None:
    where, change = field(), Patch("square")
    seen = change.apply(where, row(change, where, size, place))
    side = round(size * 12)
    start = round(place * (12 - side))
    expected = where.clean.clone()
    expected[:, :, start : start + side, start : start + side] = -1
    assert torch.equal(seen, expected)


def test_every_covered_pixel_of_an_upright_patch_has_a_pixel_of_the_canvas_to_itself() -> None:
    where, change = field((1, 12, 12), 1), Patch("square")
    for size in np.arange(1, 13) / 12:
        inside, pixel = change.cover(where, row(change, where, float(size), 0.7))
        used = pixel[0][inside.flatten()]
        assert len(set(used.tolist())) == len(used) == round(size * 12) ** 2


def test_a_quarter_turn_equals_turning_the_array() -> None:
    where, change = field((1, 12, 12), 2), Patch("square", turn=90)
    canvas = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    whole, middle = torch.ones(2), torch.full((2, 2), 0.5)
    turned = [
        change.apply(where, change.pack(where, whole, middle, canvas, torch.full((2,), slant))) for slant in (1.0, -1.0)
    ]
    ways = [torch.rot90(canvas, k, (2, 3)).expand(2, -1, -1, -1) for k in (1, -1)]
    assert any(torch.equal(turned[0], way) for way in ways)
    assert any(torch.equal(turned[1], way) for way in ways)
    assert not torch.equal(*turned)


@pytest.mark.parametrize(("shape", "full"), [((1, 80, 80), math.pi / 4), ((1, 40, 40, 40), math.pi / 6)])
@pytest.mark.parametrize("form", ["circle", "square"])
def test_an_area_is_what_is_covered(form: Any, shape: tuple[int, ...], full: float) -> None:
    where, change = field(shape, 1), Patch(form, "area")
    for share in (0.05, 0.2, 0.4):
        inside, _ = change.cover(where, row(change, where, share, 0.5))
        # The side is a whole number of pixels, never one too many.
        assert float(inside.float().mean()) == pytest.approx(share, rel=0.15)
    largest = change.project(where, row(change, where, 9.0, 0.5), torch.tensor([9.0]))
    covered = float(change.cover(where, largest)[0].float().mean())
    assert covered == pytest.approx(full if form == "circle" else 1.0, rel=0.02)
    assert float(change.cost(where, largest)) == pytest.approx(covered, rel=0.02)


def test_a_circle_is_round_and_one_piece() -> None:
    where, change = field((1, 40, 40), 1), Patch()
    inside, _ = change.cover(where, row(change, where, 0.5, 0.5))
    assert ndimage.label(inside[0].numpy())[1] == 1
    assert torch.equal(inside, inside.flip(2))
    assert int(inside.any(dim=1).sum()) == 20
    turned, _ = change.cover(where, row(change, where, 0.5, 0.5, 1.0))
    assert int((turned ^ inside).sum()) <= 8


def test_a_signal_is_covered_for_a_window_of_time_in_all_leads() -> None:
    where, change = field((2, 40), 3), Patch()
    seen = change.apply(where, row(change, where, 0.25, 1.0, 1.0))
    assert torch.equal(seen[:, :, :30], where.clean[:, :, :30])
    assert bool((seen[:, :, 30:] == -1).all())


def test_what_the_mask_protects_stays() -> None:
    mask = torch.ones(5, 1, 12, 12)
    mask[:, :, :6] = 0
    where, change = field(mask=mask), Patch("square")
    seen = change.apply(where, row(change, where, 1.0, 0.5))
    assert torch.equal(seen[:, :, :6], where.clean[:, :, :6])
    assert bool((seen[:, :, 6:] == -1).all())


def test_a_case_alone_is_covered_as_in_company() -> None:
    where, change, rng = field((1, 24, 24), 64), Patch(turn=37), CaseRandom.of("s", map(str, range(64)))
    limits = torch.linspace(0.05, 0.9, 64)
    together = change.apply(where, change.sample(where, limits, rng, 3))
    for case in (0, 5, 63):
        one = torch.tensor([case])
        alone = change.sample(where.rows(one), limits[one], rng.rows(one), 3)
        assert torch.equal(change.apply(where.rows(one), alone), together[one])


@pytest.mark.parametrize(
    "spoil",
    [(0, -0.1), (1, 1.5), (2, 1.2), (3, -0.2), (0, float("nan"))],
    ids=["size", "slant", "down", "across", "nan"],
)
def test_geometry_that_cannot_be_is_not_valid(spoil: tuple[int, float]) -> None:
    where, change = field(), Patch()
    params = row(change, where, 0.3, 0.5)
    assert bool(change.valid(where, params).all())
    params[:, spoil[0]] = spoil[1]
    assert not bool(change.valid(where, params).any())


def test_values_without_an_end_are_refused() -> None:
    endless = Field(torch.zeros(1, 1, 4, 4), torch.tensor(-torch.inf), torch.tensor(torch.inf), ONE)
    with pytest.raises(ThreatError, match="finite range"):
        Patch().check(endless)


@pytest.mark.parametrize("wrong", [{"shape": "star"}, {"measure": "weight"}, {"turn": 91.0}, {"turn": -1.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ThreatError):
        Patch(**wrong)


def test_it_reads_as_a_sentence_and_is_refused_for_tables() -> None:
    task = Task("classes", ("normal", "nodule"))
    threat = ThreatModel(Patch(turn=0), 0.4, label="0.4")
    assert threat.sentence(Space("image", (1, 8, 8), "grey level (0-1)"), task) == (
        "An attacker who sees gradients may lay a patch of any valid content, measuring at most 0.4 of the shortest "
        "side, anywhere over the case, and wants any wrong decision."
    )
    with pytest.raises(ThreatError, match="can undergo"):
        threat.check(Space("table", (4,), "unit"), task)

"""Pictures that are turned, shifted and enlarged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from titer.threats.change import Field
from titer.threats.changes.affine import Affine

LOW, HIGH = torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)


def picture(*shape: int, spacing: tuple[float, ...] | None = None) -> Field:
    clean = torch.from_numpy(np.random.default_rng(0).uniform(size=(1, *shape)))
    return Field(clean, LOW, HIGH, HIGH, spacing=spacing)


def moved(change: Affine, here: Field, *params: float) -> Tensor:
    return change.apply(here, torch.tensor([params], dtype=torch.float64))


def disc(size: int) -> Tensor:
    steps = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return torch.hypot(steps[:, None], steps[None])


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("padding", ["black", "reflect", "border"])
@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns_are_those_of_arrays(size: int, padding: str, quarters: int) -> None:
    here = picture(2, size, size)
    change = Affine(rotation=90, shift=0, padding=padding)  # type: ignore[arg-type]
    found = moved(change, here, float(quarters))
    torch.testing.assert_close(found, torch.rot90(here.clean, quarters, (2, 3)), atol=1e-9, rtol=0)


def test_single_precision_turns_a_quarter_to_a_millionth() -> None:
    here = picture(1, 32, 32)
    single = Field(here.clean.float(), LOW.float(), HIGH.float(), HIGH.float())
    found = Affine(rotation=90, shift=0).apply(single, torch.ones(1, 1))
    torch.testing.assert_close(found, torch.rot90(single.clean, 1, (2, 3)), atol=3e-6, rtol=0)


def test_whole_shifts_are_those_of_arrays() -> None:
    here = picture(1, 5, 10)
    change = Affine(rotation=0, shift=0.2)
    found = moved(change, here, 1.0, -1.0)[0, 0]
    expected = torch.zeros(5, 10, dtype=torch.float64)
    expected[1:, :-2] = here.clean[0, 0, :-1, 2:]
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_any_angle_agrees_with_scipy() -> None:
    here = picture(1, 15, 15)
    change = Affine(rotation=30, shift=0)
    for share in (0.5, -1.0):
        found = moved(change, here, share)[0, 0].numpy()
        # Inside, since both fill the corners in their own way; scipy counts angles the other way round.
        other = ndimage.rotate(here.clean[0, 0].numpy(), 30 * share, reshape=False, order=1)
        np.testing.assert_allclose(found[3:-3, 3:-3], other[3:-3, 3:-3], atol=1e-9)


def test_enlarging_brings_the_border_nearer() -> None:
    radius = disc(41)
    here = Field((radius < 8).double()[None, None], LOW, HIGH, HIGH)
    change = Affine(rotation=0, shift=0, scale=50)
    for share, size in ((1.0, 12.0), (-1.0, 8 / 1.5)):
        area = float(moved(change, here, share).sum())
        assert area == pytest.approx(np.pi * size**2, rel=0.05)


def test_what_enters_is_as_the_padding_says() -> None:
    clean = torch.full((1, 1, 8, 8), 0.5, dtype=torch.float64)
    dark = Field(clean, torch.tensor(-1.0, dtype=torch.float64), HIGH, HIGH)
    corner = {
        padding: float(moved(Affine(rotation=0, shift=0.5, padding=padding), dark, 1.0, 0.0)[0, 0, 0, 0])  # type: ignore[arg-type]
        for padding in ("black", "reflect", "border")
    }
    assert corner == pytest.approx({"black": -1.0, "reflect": 0.5, "border": 0.5})


def test_means_over_rings_do_not_change_with_the_angle() -> None:
    radius = disc(33)
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).uniform(size=(33, 33)), 2.0)
    here = Field(torch.from_numpy(smooth)[None, None], LOW, HIGH, HIGH)
    change = Affine(rotation=180, shift=0)

    def rings(values: Tensor) -> Tensor:
        return torch.stack([values[0, 0][(radius >= r) & (radius < r + 2)].mean() for r in range(0, 14, 2)])

    for share in (0.1, 0.37, 0.5, 1.0):
        torch.testing.assert_close(rings(moved(change, here, share)), rings(here.clean), atol=4e-3, rtol=0)


def test_turns_follow_millimeters_where_pixels_are_not_square() -> None:
    # A bar of 12 mm by 4 mm; half as many rows, since each is 2 mm high.
    here = picture(1, 16, 32, spacing=(2.0, 1.0))
    lying = torch.zeros(1, 1, 16, 32, dtype=torch.float64)
    lying[..., 7:9, 10:22] = 1.0
    field = Field(lying, LOW, HIGH, HIGH, spacing=here.spacing)
    standing = moved(Affine(rotation=90, shift=0), field, 1.0)
    expected = torch.zeros_like(lying)
    expected[..., 5:11, 14:18] = 1.0
    assert torch.equal((standing > 0.5).double(), expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volumes_turn_around_the_axis_chosen(axis: int) -> None:
    here = picture(2, 6, 6, 6)
    change = Affine(rotation=90, shift=0, axis=axis)
    planes = [place + 2 for place in range(3) if place != axis]
    expected = torch.rot90(here.clean, 1, tuple(planes))
    torch.testing.assert_close(moved(change, here, 1.0), expected, atol=1e-9, rtol=0)


def test_every_plane_of_a_volume_moves_as_a_picture_does() -> None:
    here = picture(1, 3, 8, 8, spacing=(9.0, 2.0, 1.0))
    change = Affine(scale=10)
    params = (0.4, 0.7, -0.2, 0.5)
    found = moved(change, here, *params)
    for plane in range(3):
        flat = Field(here.clean[:, :, plane], LOW, HIGH, HIGH, spacing=(2.0, 1.0))
        torch.testing.assert_close(found[:, :, plane], moved(change, flat, *params))

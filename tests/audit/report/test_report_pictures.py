"""Arrays as pictures: what is drawn is what was given."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from titer.audit.report.pictures import LARGEST_SIDE, image_uri, magnification, perturbation_uri
from titer.errors import DataError

SHAPES = st.one_of(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)),
)


def decoded(uri: str) -> np.ndarray:
    """Pixels as Pillow (an outside decoder) reads them."""
    image = pytest.importorskip("PIL.Image")
    picture = image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    picture.verify()
    return np.asarray(image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1))))
def test_pixels_survive(image: np.ndarray) -> None:
    assert np.array_equal(decoded(image_uri(image)), np.round(image * 255).astype(np.uint8))


def test_large_pictures_shrink_by_averaging() -> None:
    image = np.kron(np.eye(150), np.ones((4, 4)))
    shown = decoded(image_uri(image))
    assert max(shown.shape) <= LARGEST_SIDE
    assert np.array_equal(shown, (np.eye(150) * 255).astype(np.uint8))


@given(st.floats(1e-9, 0.5))
def test_magnification_fills_half_of_the_range_and_is_round(largest: float) -> None:
    scale = magnification(largest, reach=1.0)
    assert scale * largest <= 0.5 * (1 + 1e-9)
    assert scale * largest > 0.2 * (1 - 1e-9)
    assert f"{scale:.0e}"[0] in "125"


def test_no_change_is_mid_gray() -> None:
    uri, scale = perturbation_uri(np.zeros((3, 3)), reach=1.0)
    assert scale == 1.0
    assert set(decoded(uri).ravel()) == {128}


@pytest.mark.parametrize("image", [np.zeros(4), np.zeros((2, 2, 2)), np.full((2, 2), np.nan)])
def test_what_is_no_picture_is_refused(image: np.ndarray) -> None:
    with pytest.raises(DataError):
        image_uri(image)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(DataError, match=r"1\.0 to 1\.0"):
        image_uri(np.zeros((2, 2)), low=1.0, high=1.0)

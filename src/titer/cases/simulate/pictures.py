"""Parts of simulated pictures: smooth shapes, textures and exposure, for many cases at once."""

from __future__ import annotations

import numpy as np

from titer.cases.case import Array


def grid(size: int) -> tuple[Array, Array]:
    """Rows y and columns x of a square picture, from -1 (top, left) to 1; [1, size, 1] and [1, 1, size].

    >>> y, x = grid(3)
    >>> (y.shape, x.ravel().tolist())
    ((1, 3, 1), [-1.0, 0.0, 1.0])
    """
    line = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    return line[None, :, None], line[None, None, :]


def columns(*numbers: Array) -> tuple[Array, ...]:
    """One number per case, [n], shaped to meet pictures [n, size, size]."""
    return tuple(each.astype(np.float32)[:, None, None] for each in numbers)


def distance(y: Array, x: Array, at: tuple[Array, ...], radii: tuple[Array, ...], turn: Array | float = 0.0) -> Array:
    """Squared elliptic distance [n, size, size]: 1 on the ellipse; all numbers already shaped by `columns`."""
    down, right = y - at[0], x - at[1]
    cos, sin = np.cos(turn), np.sin(turn)
    along, across = cos * right + sin * down, cos * down - sin * right
    return np.asarray((across / radii[0]) ** 2 + (along / radii[1]) ** 2, dtype=np.float32)


def inside(squared: Array, sharpness: float) -> Array:
    """1 inside an ellipse, 0 outside, smooth between: a logistic curve of the squared distance."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(sharpness * (squared - 1.0), -40, 40))), dtype=np.float32)


def blob(squared: Array) -> Array:
    """A soft spot: exp(-d^2), 1 in its middle."""
    return np.asarray(np.exp(-squared), dtype=np.float32)


def enlarge(coarse: Array, size: int) -> Array:
    """Coarse pictures [n, k, k] as smooth pictures [n, size, size], by linear interpolation both ways."""
    place = np.linspace(0, coarse.shape[1] - 1, size)
    low = np.minimum(place.astype(np.int64), coarse.shape[1] - 2)
    weight = np.zeros((size, coarse.shape[1]), dtype=np.float32)
    weight[np.arange(size), low] = 1 - (place - low)
    weight[np.arange(size), low + 1] = place - low
    return np.asarray(weight @ coarse.astype(np.float32) @ weight.T)


def blocks(coarse: Array, size: int) -> Array:
    """Coarse pictures [n, k, k] as pictures of square blocks [n, size, size]."""
    index = np.arange(size) * coarse.shape[1] // size
    return np.asarray(coarse[:, index][:, :, index])


def expose(pictures: Array, mean: Array) -> Array:
    """Pictures with the wanted mean, as an X-ray tube's automatic exposure does; brightness then tells nothing."""
    return np.asarray(pictures - _mean(pictures) + mean)


def amplify(pictures: Array, mean: Array) -> Array:
    """Pictures with the wanted mean by a factor, as a scanner's receiver gain does."""
    return np.asarray(pictures * (mean / _mean(pictures)))


def _mean(pictures: Array) -> Array:
    """[n, 1, 1] summed in an order that the number of pictures does not change."""
    rows = np.ascontiguousarray(pictures).reshape(len(pictures), -1)
    return np.asarray(rows.mean(axis=1, dtype=np.float64).astype(np.float32))[:, None, None]


def in_pieces(count: int, piece: int = 1000) -> list[slice]:
    """Rows in pieces, to keep memory small.

    >>> in_pieces(3, 2)
    [slice(0, 2, None), slice(2, 3, None)]
    """
    return [slice(start, min(start + piece, count)) for start in range(0, count, piece)]

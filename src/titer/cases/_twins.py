"""Near-identical cases: what counts as one, per kind of case, and how they are found quickly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from titer.cases.case import Array
from titer.cases.space import Space

# Chosen on real data: pictures of different patients reach 0.91 (chest X-rays), beats 0.992 (MIT-BIH), notes 0.6.
PICTURE, PICTURE_FEW, SIGNAL, NOTE = 0.98, 0.995, 0.997, 0.8
TABLE = 1e-3
# Below this many pictures, their mean still looks like each of them.
FEW = 30
_BLOCK = 1024

Links = Array
"""[m, 2] rows: a case, and a near-identical one of another part."""


def words_for(kind: str) -> str:
    """What counts as near-identical, as a phrase."""
    if kind in ("image", "volume"):
        return f"correlation of {PICTURE:g} or more after the mean picture is taken away"
    if kind == "signal":
        return f"correlation of {SIGNAL:g} or more"
    if kind == "tokens":
        return f"{NOTE:.0%} or more of their three-word phrases in common"
    return f"equal within {TABLE:g} SD in every feature"


def identical(inputs: Array, part: Array) -> tuple[Links, int]:
    """Links between cases of equal bytes in different parts, and how many repeat one of their own part.

    Arguments
        inputs: [n, ...]. part: [n] part numbers; -1 for none.
    """
    names = np.array([hashlib.blake2b(np.ascontiguousarray(x).tobytes(), digest_size=16).digest() for x in inputs])
    _, group, sizes = np.unique(names, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    links: list[tuple[int, int]] = []
    repeated = 0
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for number in np.flatnonzero(sizes > 1):
        rows = order[starts[number] : starts[number + 1]]
        rows = rows[part[rows] >= 0]
        present, heads = np.unique(part[rows], return_index=True)
        repeated += len(rows) - len(present)
        for other, head in zip(present, heads, strict=True):
            links.extend((int(row), int(rows[head])) for row in rows[part[rows] != other])
    return np.array(links, dtype=np.int64).reshape(-1, 2), repeated


def alike(inputs: Array, space: Space, part: Array) -> Links:
    """Links between near-identical cases of different parts.

    Arguments
        inputs: [n, *space.shape]. space: its kind decides what near-identical means. part: [n]; -1 for none.
    """
    rows = np.flatnonzero(part >= 0)
    if space.kind == "tokens":
        from titer.cases._twin_notes import alike_notes

        return _rows(rows, alike_notes(inputs[rows], space, part[rows], NOTE))
    if space.kind == "table":
        return _rows(rows, _alike_rows(inputs[rows], space, part[rows]))
    if space.kind == "signal":
        return _rows(rows, _correlated(inputs[rows], part[rows], lambda x: _shrunk(x, 512), SIGNAL, centered=False))
    side = 16 if space.kind == "image" else 8
    centered = len(rows) >= FEW
    limit = PICTURE if centered else PICTURE_FEW
    return _rows(rows, _correlated(inputs[rows], part[rows], lambda x: _shrunk(x, side), limit, centered=centered))


def chance_rows(inputs: Array, space: Space, part: Array) -> float:
    """Pairs of table rows in different parts that would be equal by chance, were the features independent."""
    sizes = np.bincount(part[part >= 0], minlength=3)
    pairs = (sizes.sum() ** 2 - (sizes**2).sum()) / 2
    step = TABLE * np.broadcast_to(np.asarray(space.scale, dtype=float), space.shape)
    cells = np.round(inputs[part >= 0] / step)
    share = 1.0
    for column in cells.T:
        counts = np.unique(column, return_counts=True)[1].astype(float)
        share *= float(((counts / counts.sum()) ** 2).sum())
    return float(pairs * share)


def _rows(rows: Array, links: Links) -> Links:
    return rows[links] if len(links) else np.empty((0, 2), dtype=np.int64)


def _correlated(inputs: Array, part: Array, small: Callable[[Array], Array], limit: float, *, centered: bool) -> Links:
    """Pairs of different parts whose correlation reaches a limit: found small, checked in full."""
    sketch = _unit(small(inputs))
    if centered:
        sketch = _unit(sketch - sketch.mean(axis=0), shifted=False)
    # A copy that was re-encoded loses little of its coarse shape, so the sketch may be asked for nearly as much.
    lax = 1 - 3 * (1 - limit)
    middle = _mean_unit(inputs) if centered else None
    found = []
    for earlier in (0, 1):
        left = np.flatnonzero(part == earlier)
        right = np.flatnonzero(part > earlier)
        for start in range(0, len(left), _BLOCK):
            mine = left[start : start + _BLOCK]
            near = np.argwhere(sketch[mine] @ sketch[right].T >= lax)
            for piece in range(0, len(near), _BLOCK):
                a, b = mine[near[piece : piece + _BLOCK, 0]], right[near[piece : piece + _BLOCK, 1]]
                found.append(np.column_stack([a, b])[_confirmed(inputs, a, b, middle, limit)])
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)


def _confirmed(inputs: Array, a: Array, b: Array, middle: Array | None, limit: float) -> Array:
    left, right = _unit(inputs[a].reshape(len(a), -1)), _unit(inputs[b].reshape(len(b), -1))
    if middle is not None:
        left, right = _unit(left - middle, shifted=False), _unit(right - middle, shifted=False)
    return np.asarray((left * right).sum(axis=1) >= limit)


def _mean_unit(inputs: Array) -> Array:
    """The mean of all cases, each brought to mean 0 and length 1, piece by piece."""
    total = np.zeros(int(np.prod(inputs.shape[1:])), dtype=np.float64)
    for start in range(0, len(inputs), _BLOCK):
        piece = inputs[start : start + _BLOCK]
        total += _unit(piece.reshape(len(piece), -1)).sum(axis=0)
    return (total / len(inputs)).astype(np.float32)


def _unit(rows: Array, *, shifted: bool = True) -> Array:
    """Rows of length 1, after their mean is taken away where `shifted`; a constant row becomes 0."""
    rows = rows.astype(np.float32)
    if shifted:
        rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None].astype(np.float32)
    return np.asarray(np.where(length > 1e-6, rows / np.maximum(length, 1e-6), 0.0))


def _shrunk(inputs: Array, side: int) -> Array:
    """[n, features]: block means of at most `side` values along each dimension but the channels."""
    pieces = []
    for start in range(0, len(inputs), _BLOCK):
        piece = inputs[start : start + _BLOCK].astype(np.float32)
        for axis in range(2, inputs.ndim):
            length = piece.shape[axis]
            if length > side:
                starts = (np.arange(side) * length) // side
                counts = np.diff(np.append(starts, length)).astype(np.float32)
                shape = [-1 if each == axis else 1 for each in range(piece.ndim)]
                piece = np.asarray(np.add.reduceat(piece, starts, axis=axis) / counts.reshape(shape), np.float32)
        pieces.append(piece.reshape(len(piece), -1))
    return np.concatenate(pieces)


def _alike_rows(inputs: Array, space: Space, part: Array) -> Links:
    from scipy.spatial import cKDTree

    scale = np.broadcast_to(np.asarray(space.scale, dtype=float), space.shape)
    points = inputs.astype(np.float64) / scale
    found: list[tuple[int, int]] = []
    for earlier in (0, 1):
        left, right = np.flatnonzero(part == earlier), np.flatnonzero(part > earlier)
        if not len(left) or not len(right):
            continue
        near = cKDTree(points[left]).query_ball_tree(cKDTree(points[right]), TABLE, p=np.inf)
        found.extend((int(left[row]), int(right[each])) for row, many in enumerate(near) for each in many[:8])
    return np.array(found, dtype=np.int64).reshape(-1, 2)

"""Heads of the IXI data set with their lateral ventricles: cubes to learn from, and whole brains to attack."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space

VOXEL_ML = 0.008
# The part of each head that holds the whole brain and little of the face, [foot to head, front to back, right to left].
_BRAIN = (slice(27, 107), slice(18, 114), slice(8, 80))
_SIDE, _STEP = 24, 8
_VENTRICLES = (51, 52)
# Codes of a NIfTI header for the type of its voxels.
_TYPES = {2: "u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8", 256: "i1", 512: "<u2"}
_UNIT = "% of white matter"
_CLASSES = ("elsewhere", "lateral ventricle")
_CARD = DataCard(
    name="brain_mri_ixi",
    title="T1-weighted MRI of four healthy adults at 2 mm, with their lateral ventricles",
    licence="CC BY-SA 3.0",
    citation="IXI data set, Imperial College London, https://brain-development.org/ixi-dataset/; labels by DLMUSE",
    source="four volumes reduced to 2 mm",
    subjects="one volume a person",
)


@dataclass(frozen=True, eq=False)
class Head:
    """One brain: values [80, 96, 72] in percent of white matter, where the brain is, and where its ventricles are."""

    name: str
    values: Array
    brain: Array
    ventricles: Array


def heads(folder: Path) -> tuple[Head, ...]:
    """The four heads, in the order of their names."""
    found = []
    for path in sorted(folder.glob("*-T1_ds.nii.gz")):
        volume = _voxels(path)[_BRAIN].astype(np.float32)
        labels = _voxels(path.with_name(path.name.replace("_ds.nii", "_ds_DLMUSE.nii")))[_BRAIN]
        brain = labels > 0
        # The brightest tenth of a T1-weighted brain is white matter.
        white = float(np.percentile(volume[brain], 90))
        values = np.clip(100 * volume / white, 0, 200).astype(np.float32)
        found.append(Head(path.name.partition("-")[0], values, brain, np.isin(labels, _VENTRICLES)))
    return tuple(found)


def cubes(known: tuple[Head, ...]) -> Dataset:
    """Cubes of 48 mm that a network learns from: two persons train it, a third says when to stop."""
    cut = [(person, corner) for person in range(3) for corner in _corners(known[person])]
    inputs, maps = (
        np.stack([_cube(getattr(known[person], what), corner) for person, corner in cut])
        for what in ("values", "ventricles")
    )
    people = np.array([person for person, _ in cut])
    ids = tuple(f"cube-{person}-{'-'.join(map(str, corner))}" for person, corner in cut)
    batch = Batch(inputs[:, None], maps.astype(np.int64), people, ids)
    parts = np.array(["train", "train", "validation"])[people]
    return Dataset(_CARD, space(inputs.shape[1:]), "segmentation", _CLASSES, (1,), batch, parts)


def whole(known: tuple[Head, ...]) -> Batch:
    """Whole brains with the mask of what is brain."""
    inputs, maps, brains = (
        np.stack([getattr(each, what) for each in known]) for what in ("values", "ventricles", "brain")
    )
    masks = brains[:, None].astype(np.float32)
    ids = tuple(each.name for each in known)
    return Batch(inputs[:, None], maps.astype(np.int64), np.arange(len(known)), ids, masks=masks)


def space(shape: tuple[int, ...]) -> Space:
    """What a scanner of 2 mm records."""
    return Space("volume", (1, *shape), _UNIT, 0.0, 200.0, spacing=(2.0, 2.0, 2.0))


def _corners(head: Head) -> Iterator[tuple[int, ...]]:
    """Where cubes begin: all that hold some ventricle, and of the others every twelfth."""
    edges = [range(0, length - _SIDE + 1, _STEP) for length in head.values.shape]
    others = 0
    for corner in ((a, b, c) for a in edges[0] for b in edges[1] for c in edges[2]):
        if _cube(head.ventricles, corner).mean() > 0.03:
            yield corner
        else:
            others += 1
            if others % 12 == 0:
                yield corner


def _cube(values: Array, corner: tuple[int, ...]) -> Array:
    return values[tuple(slice(start, start + _SIDE) for start in corner)]


def _voxels(path: Path) -> Array:
    """The voxels of a NIfTI file that lie [front to back, foot to head, left to right], in the order of this module.

    A file's own scale is left out, since values are divided by white matter anyway.
    """
    data = gzip.decompress(path.read_bytes())
    shape, code = struct.unpack_from("<3h", data, 42), struct.unpack_from("<h", data, 70)[0]
    start = int(struct.unpack_from("<f", data, 108)[0])
    rows = np.array([struct.unpack_from("<4f", data, 280 + 16 * row) for row in range(3)])[:, :3]
    # Columns of the affine say which way each index goes in [right, front, head].
    if not np.array_equal(np.sign(rows) * (np.abs(rows) > 1), [[0, 0, 1], [-1, 0, 0], [0, 1, 0]]):
        raise ValueError(f"{path.name} lies another way than the heads of this data set")
    flat = np.frombuffer(data, np.dtype(_TYPES[code]), int(np.prod(shape)), start)
    lying = flat.reshape(shape, order="F")
    return np.ascontiguousarray(lying.transpose(1, 0, 2)[:, :, ::-1])

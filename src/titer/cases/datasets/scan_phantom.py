"""Simulated head scans, without and with a lesion that is known pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.options import refuse_unknown, whole
from titer.cases.simulate.patients import Roster, enlist
from titer.cases.simulate.pictures import amplify, blob, columns, distance, enlarge, grid, in_pieces, inside
from titer.cases.simulate.streams import between, normals, uniforms
from titer.cases.space import Space

_ABNORMAL = 0.35


class ScanPhantom(DatasetSource):
    """A skull, a brain with ventricles and folds, bias field and noise; 35 of 100 scans have a lesion.

    Anatomy belongs to the patient; bias field, small movements and Rician noise to the scan. A lesion is brighter or
    darker than the brain around it. The receiver gain is set so that mean brightness is drawn apart from the truth.
    `masks` is 1 where the lesion reaches half its height. The task is to tell abnormal scans after seeing normal ones
    only.

    Options
        cases: number of scans (2000).
        size: pixels per side (32).
        seed: other numbers give other patients; the first cases are the same whatever their number.
        cases_per_patient: scans per patient on average (3).

    >>> data = ScanPhantom().load(None, cases=40, size=16)
    >>> data.task, bool((data.cases.masks[data.cases.targets == 0] == 0).all())
    ('anomaly', True)
    """

    name: ClassVar[str] = "scan_phantom"
    embedded: ClassVar[bool] = True

    def load(
        self,
        root: Path | None,
        *,
        cases: int = 2000,
        size: int = 32,
        seed: int = 0,
        cases_per_patient: int = 3,
        **more: Any,
    ) -> Dataset:
        refuse_unknown(more, self.load)
        whole(cases, "cases", 20, 100_000)
        whole(seed, "seed", 0, 2**31)
        whole(cases_per_patient, "cases_per_patient", 1, 50)
        whole(size, "size", 16, 256)
        roster = enlist(cases, seed=seed, per_patient=cases_per_patient)
        draws = uniforms(seed, "scan", range(cases), 32)
        targets = (draws[:, 0] < _ABNORMAL).astype(np.int64)
        inputs = np.empty((cases, 1, size, size), dtype=np.float32)
        masks = np.zeros(inputs.shape, dtype=np.uint8)
        for rows in in_pieces(cases):
            inputs[rows, 0], masks[rows, 0] = _pictures(size, seed, roster, draws, targets, rows)
        ids = tuple(f"scan-{number:06d}" for number in range(cases))
        batch = Batch(inputs, targets, roster.codes, ids, roster.groups, masks)
        spacing = 220.0 / size
        space = Space("image", (1, size, size), "grey level (0-1)", 0.0, 1.0, spacing=(spacing, spacing))
        return Dataset(_CARD, space, "anomaly", ("normal", "lesion"), (1,), batch)


def _pictures(size: int, seed: int, roster: Roster, draws: Array, targets: Array, rows: slice) -> tuple[Array, Array]:
    y, x = grid(size)
    traits, own = roster.traits[rows], draws[rows]
    numbers = range(rows.start, rows.stop)
    middle = columns(between(own[:, 1], -0.025, 0.025), between(own[:, 2], -0.025, 0.025))
    turn = columns(between(own[:, 3], -0.06, 0.06))[0]
    radii = columns(between(traits[:, 0], 0.78, 0.88), between(traits[:, 1], 0.62, 0.74))
    head = distance(y, x, (middle[0], middle[1]), (radii[0], radii[1]), turn)
    brain = inside(head / 0.83, 14.0)
    ring = blob(((np.sqrt(head) - 1.0) / 0.09) ** 2)
    folds = columns(between(traits[:, 2], 0.03, 0.07))[0] * np.sin(
        columns(between(traits[:, 3], 11.0, 13.0))[0] * np.sqrt(head) + columns(between(traits[:, 4], 0.0, 6.28))[0]
    )
    picture = 0.55 * brain + 0.75 * ring + brain * (folds - _ventricles(y, x, traits, middle, turn))
    shape, height = _lesion(y, x, own, middle, radii)
    sick = columns(targets[rows])[0]
    picture = picture + sick * height * shape * brain
    bias = 1 + 0.12 * np.tanh(enlarge(normals(seed, "scan bias", numbers, (3, 3)), size))
    (gain,) = columns(between(own[:, 4], 0.30, 0.36))
    picture = amplify(np.maximum(picture, 0.0) * bias, gain)
    lesion = (sick * shape * brain > 0.5).astype(np.uint8)
    return np.clip(_rician(picture, seed, numbers), 0.0, 1.0), lesion


def _ventricles(y: Array, x: Array, traits: Array, middle: tuple[Array, ...], turn: Array) -> Array:
    """How much darker the two ventricles are."""
    dark: Any = 0.0
    for side in (-1.0, 1.0):
        at = columns(between(traits[:, 5], -0.1, 0.1), side * between(traits[:, 6], 0.12, 0.18))
        radii = columns(between(traits[:, 7], 0.2, 0.32), between(traits[:, 8], 0.07, 0.12))
        squared = distance(y, x, (middle[0] + at[0], middle[1] + at[1]), (radii[0], radii[1]), turn + side * 0.2)
        dark = dark + 0.35 * inside(squared, 4.0)
    return np.asarray(dark, dtype=np.float32)


def _lesion(y: Array, x: Array, own: Array, middle: tuple[Array, ...], radii: tuple[Array, ...]) -> tuple[Array, Array]:
    """A soft spot somewhere in the brain, and its height (below 0: darker)."""
    turn = 2 * np.pi * own[:, 5]
    reach = 0.15 + 0.5 * np.sqrt(own[:, 6])
    up, aside = columns(reach * np.sin(turn), reach * np.cos(turn))
    wide = columns(between(own[:, 7], 0.14, 0.26), between(own[:, 8], 0.14, 0.26))
    squared = distance(y, x, (middle[0] + up * radii[0], middle[1] + aside * radii[1]), (wide[0], wide[1]),
                       columns(between(own[:, 9], 0.0, 3.14))[0])  # fmt: skip
    height = np.where(own[:, 10] < 0.65, 1.0, -0.9) * between(own[:, 11], 0.24, 0.46)
    return blob(squared), columns(height)[0]


def _rician(picture: Array, seed: int, numbers: range) -> Array:
    """The length of a complex number with noise in both parts, as a scanner's magnitude picture has it."""
    real, imaginary = np.moveaxis(normals(seed, "scan noise", numbers, (2, *picture.shape[1:])), 1, 0)
    return np.asarray(np.hypot(picture + 0.025 * real, 0.025 * imaginary))


_CARD = DataCard(
    name="scan_phantom",
    title="Simulated head scans with a known lesion",
    licence="Apache-2.0 (made by Titer)",
    citation="Titer, procedural head phantom; noise after Gudbjartsson and Patz 1995, doi 10.1002/mrm.1910340618",
    source="computed on request; nothing is downloaded",
    subjects="simulated patients, each with own anatomy and one to several scans",
    cautions=("No patient was involved: scores say nothing about clinical use.",),
    synthetic=True,
)

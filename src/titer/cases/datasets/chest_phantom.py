"""Simulated chest X-rays whose lesion is known pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource, TaskKind
from titer.cases.options import one_of, refuse_unknown, whole
from titer.cases.simulate.patients import Roster, enlist
from titer.cases.simulate.pictures import blob, blocks, columns, distance, expose, grid, in_pieces, inside
from titer.cases.simulate.streams import between, normals, uniforms
from titer.cases.space import Space

CLASSES = ("normal", "consolidation", "nodule", "effusion")


class ChestPhantom(DatasetSource):
    """Two lung fields, ribs, texture, sensor noise, and an opacity that decides the class.

    A picture is soft tissue minus two smooth lung fields, plus heart, rib-like sinusoids, square texture, soft spots
    outside the lungs that mean nothing, the opacity of the class inside a lung, and noise. Anatomy belongs to the
    patient. Exposure is set so that mean brightness is drawn apart from the class. `masks` is 1 where the opacity
    reaches half its height.

    Options
        cases: number of pictures (2000).
        size: pixels per side (32).
        classes: 2 (normal, consolidation), 3 (and nodule) or 4 (and effusion).
        task: "classes", or "segmentation": to mark the opacity, whose map (`masks`, by the number of its class) is the
            target.
        seed: other numbers give other patients; the first cases are the same whatever their number.
        cases_per_patient: pictures per patient on average (3).

    >>> data = ChestPhantom().load(None, cases=40, size=16)
    >>> data.cases.inputs.shape, bool((data.cases.masks[data.cases.targets == 0] == 0).all())
    ((40, 1, 16, 16), True)
    """

    name: ClassVar[str] = "chest_phantom"
    embedded: ClassVar[bool] = True

    def load(
        self,
        root: Path | None,
        *,
        cases: int = 2000,
        size: int = 32,
        classes: int = 2,
        task: str = "classes",
        seed: int = 0,
        cases_per_patient: int = 3,
        **more: Any,
    ) -> Dataset:
        refuse_unknown(more, self.load)
        whole(cases, "cases", 20, 100_000)
        whole(seed, "seed", 0, 2**31)
        whole(cases_per_patient, "cases_per_patient", 1, 50)
        whole(size, "size", 16, 256)
        whole(classes, "classes", 2, 4)
        one_of(task, "task", ("classes", "segmentation"))
        roster = enlist(cases, seed=seed, per_patient=cases_per_patient)
        draws = uniforms(seed, "chest", range(cases), 32)
        targets = (draws[:, 0] * classes).astype(np.int64)
        inputs = np.empty((cases, 1, size, size), dtype=np.float32)
        masks = np.zeros(inputs.shape, dtype=np.uint8)
        for rows in in_pieces(cases):
            inputs[rows, 0], masks[rows, 0] = _pictures(size, seed, roster, draws, targets, rows)
        ids = tuple(f"chest-{number:06d}" for number in range(cases))
        names = CLASSES[:classes]
        if task == "segmentation":
            names = ("background", *names[1:])
            targets = masks[:, 0].astype(np.int64) * targets[:, None, None]
        batch = Batch(inputs, targets, roster.codes, ids, roster.groups, masks)
        spacing = 320.0 / size
        space = Space("image", (1, size, size), "grey level (0-1)", 0.0, 1.0, spacing=(spacing, spacing))
        kind: TaskKind = "segmentation" if task == "segmentation" else "classes"
        return Dataset(_CARD, space, kind, names, tuple(range(1, len(names))), batch)


def _pictures(size: int, seed: int, roster: Roster, draws: Array, targets: Array, rows: slice) -> tuple[Array, Array]:
    y, x = grid(size)
    traits, own = roster.traits[rows], draws[rows]
    numbers = range(rows.start, rows.stop)
    lungs, fields = _lungs(y, x, traits, own)
    (depth, rib_height, rib_rate, rib_phase) = columns(
        between(traits[:, 6], 0.26, 0.46),
        between(traits[:, 7], 0.02, 0.06),
        between(traits[:, 8], 9.0, 13.0),
        between(traits[:, 9], 0.0, 6.28),
    )
    heart = distance(y, x, columns(between(traits[:, 10], 0.2, 0.4), between(traits[:, 11], 0.05, 0.2)),
                     columns(between(traits[:, 12], 0.3, 0.4), between(traits[:, 13], 0.2, 0.3)))  # fmt: skip
    ribs = rib_height * np.sin(rib_rate * (y + 0.35 * x**2) + rib_phase)
    opacity, lesion = _opacity(y, x, targets[rows], own, lungs)
    fine = normals(seed, "chest noise", numbers, (size, size))
    coarse = blocks(normals(seed, "chest texture", numbers, (8, 8)), size)
    picture = 0.65 - depth * fields + 0.15 * inside(heart, 6.0) * (1 - 0.4 * fields) + ribs
    picture = picture + 0.02 * coarse + opacity + _meaningless(y, x, own)
    (exposure,) = columns(between(own[:, 1], 0.40, 0.52))
    # Site C has the oldest detector.
    (noise,) = columns(np.where(roster.groups["site"][rows] == "C", 0.05, 0.035))
    return np.clip(expose(picture, exposure) + noise * fine, 0.0, 1.0), lesion


def _lungs(
    y: Array, x: Array, traits: Array, own: Array
) -> tuple[list[tuple[tuple[Array, ...], tuple[Array, ...]]], Array]:
    """Middle and radii of both lungs, and the picture of both fields."""
    tilt = between(own[:, 2], -0.05, 0.05)
    lungs = []
    fields: Any = 0.0
    for side, first in ((-1.0, 0), (1.0, 3)):
        middle = columns(
            between(traits[:, first], -0.1, 0.05) + side * tilt,
            side * between(traits[:, first + 1], 0.42, 0.5) + tilt,
        )
        radii = columns(between(traits[:, 14], 0.62, 0.75), between(traits[:, first + 2], 0.27, 0.34))
        lungs.append((middle, radii))
        fields = fields + inside(distance(y, x, (middle[0], middle[1]), (radii[0], radii[1])), 5.0)
    return lungs, np.asarray(fields, dtype=np.float32)


def _opacity(y: Array, x: Array, targets: Array, own: Array, lungs: Any) -> tuple[Array, Array]:
    """What the class adds, [n, size, size], and where it reaches half its height."""
    right = own[:, 3] < 0.5
    middle = [np.where(right[:, None, None], lungs[1][0][k], lungs[0][0][k]) for k in (0, 1)]
    radii = [np.where(right[:, None, None], lungs[1][1][k], lungs[0][1][k]) for k in (0, 1)]
    up, aside = columns(between(own[:, 4], -0.6, 0.6), between(own[:, 5], -0.4, 0.4))
    at = (middle[0] + up * radii[0], middle[1] + aside * radii[1])
    wide = columns(between(own[:, 6], 0.24, 0.36), between(own[:, 7], 0.18, 0.28))
    small = columns(between(own[:, 6], 0.10, 0.14), between(own[:, 6], 0.10, 0.14))
    level = middle[0] + 0.55 * radii[0] + 0.15 * (x - middle[1]) ** 2
    lung = inside(distance(y, x, (middle[0], middle[1]), (radii[0], radii[1])), 5.0)
    shapes = {
        1: blob(distance(y, x, at, (wide[0], wide[1]), columns(between(own[:, 8], 0.0, 3.14))[0])),
        2: blob(distance(y, x, at, (small[0], small[1]))),
        3: lung / (1.0 + np.exp(np.clip((level - y) * 25.0, -40, 40))),
    }
    heights = {1: between(own[:, 9], 0.13, 0.26), 2: between(own[:, 9], 0.25, 0.4), 3: between(own[:, 9], 0.15, 0.3)}
    opacity = np.zeros((len(targets), y.shape[1], x.shape[2]), dtype=np.float32)
    lesion = np.zeros(opacity.shape, dtype=np.uint8)
    for number, shape in shapes.items():
        mine = targets == number
        opacity[mine] = heights[number][mine, None, None] * shape[mine]
        lesion[mine] = shape[mine] > 0.5
    return opacity, lesion


def _meaningless(y: Array, x: Array, own: Array) -> Array:
    """Soft spots in shoulder and belly, in every class alike."""
    spots: Any = 0.0
    for first, side in ((10, -1.0), (15, 1.0)):
        down, aside, radius, height = columns(
            np.where(own[:, first] < 0.5, -0.85, 0.85),
            side * between(own[:, first + 1], 0.1, 0.9),
            between(own[:, first + 2], 0.12, 0.3),
            between(own[:, first + 3], 0.0, 0.25),
        )
        spots = spots + height * blob(distance(y, x, (down, aside), (radius, radius)))
    return np.asarray(spots, dtype=np.float32)


_CARD = DataCard(
    name="chest_phantom",
    title="Simulated chest X-rays with a known opacity",
    licence="Apache-2.0 (made by Titer)",
    citation="Titer, procedural chest phantom",
    source="computed on request; nothing is downloaded",
    subjects="simulated patients, each with own anatomy and one to several pictures",
    cautions=(
        "No patient was involved: scores say nothing about clinical use.",
        "Site C has a noisier detector by construction.",
    ),
    synthetic=True,
)

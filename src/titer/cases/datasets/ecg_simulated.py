"""Simulated single-lead ECGs of four rhythms and shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.options import refuse_unknown, whole
from titer.cases.simulate.mcsharry import ANGLES, WIDTHS, Beats, solve
from titer.cases.simulate.patients import Roster, enlist
from titer.cases.simulate.pictures import in_pieces
from titer.cases.simulate.streams import between, normals, uniforms
from titer.cases.space import Space

CLASSES = ("normal", "AF-like", "PVC-like", "ST shift")
RATE = 125.0
_WAVES = 6  # P, Q, R, S, T and the plateau of the ST segment
_LIMIT = 5.0


class EcgSimulated(DatasetSource):
    """Records of the McSharry model: normal, AF-like, PVC-like, ST shift.

    AF-like has irregular RR intervals, no P wave and a fine fibrillation instead; PVC-like one early, wide beat
    without P wave and a pause after it; ST shift a raised or lowered ST segment. Amplitude, axis, rate and wave
    shapes belong to the patient; baseline wander, mains hum and muscle noise to the record.

    Options
        cases: number of records (2000).
        length: samples at 125 Hz (375, three seconds).
        classes: the first 2, 3 or all 4.
        seed: other numbers give other patients; the first cases are the same whatever their number.
        cases_per_patient: records per patient on average (3).

    >>> data = EcgSimulated().load(None, cases=40)
    >>> data.space.describe()
    'signal of 1 channel x 375 samples at 125 Hz, -5 to 5 mV'
    """

    name: ClassVar[str] = "ecg_simulated"
    embedded: ClassVar[bool] = True

    def load(
        self,
        root: Path | None,
        *,
        cases: int = 2000,
        length: int = 375,
        classes: int = 4,
        seed: int = 0,
        cases_per_patient: int = 3,
        **more: Any,
    ) -> Dataset:
        refuse_unknown(more, self.load)
        whole(cases, "cases", 20, 100_000)
        whole(seed, "seed", 0, 2**31)
        whole(cases_per_patient, "cases_per_patient", 1, 50)
        whole(length, "length", 250, 2500)
        whole(classes, "classes", 2, 4)
        roster = enlist(cases, seed=seed, per_patient=cases_per_patient)
        count = 8 + int(np.ceil(length / RATE / 0.3)) + 6
        draws = uniforms(seed, "ecg", range(cases), 24 + count)
        targets = (draws[:, 0] * classes).astype(np.int64)
        inputs = np.empty((cases, 1, length), dtype=np.float32)
        for rows in in_pieces(cases, 200):
            beats = _beats(roster.traits[rows], draws[rows], targets[rows], length / RATE)
            clean = solve(beats, rate=RATE, samples=length)
            inputs[rows, 0] = np.clip(clean + _disturbance(length, seed, roster, draws, targets, rows), -_LIMIT, _LIMIT)
        ids = tuple(f"ecg-{number:06d}" for number in range(cases))
        batch = Batch(inputs, targets, roster.codes, ids, roster.groups)
        space = Space("signal", (1, length), "mV", -_LIMIT, _LIMIT, names=("lead",), rate=RATE)
        names = CLASSES[:classes]
        return Dataset(_CARD, space, "classes", names, tuple(range(1, len(names))), batch)


def _beats(traits: Array, own: Array, targets: Array, seconds: float) -> Beats:
    """Times and shapes of all beats of some records."""
    n, count = len(own), own.shape[1] - 24
    af, pvc, st = (targets == k for k in (1, 2, 3))
    mean = between(traits[:, 0], 0.65, 1.0) * between(own[:, 1], 0.92, 1.08)
    spread = np.where(af, between(own[:, 2], 0.18, 0.3), between(own[:, 2], 0.01, 0.05))
    intervals = mean[:, None] * (1 + spread[:, None] * np.sqrt(3) * (2 * own[:, 24:] - 1))
    start = -mean * (2 + own[:, 3])
    times = start[:, None] + np.concatenate([np.zeros((n, 1)), np.cumsum(np.maximum(intervals, 0.32), axis=1)], axis=1)
    # One beat inside the record comes early; the pause behind it makes up for that.
    rows = np.flatnonzero(pvc)
    hurry = (mean * between(own[:, 5], 0.28, 0.45))[rows]
    inside = (times[rows] > 0.25 + hurry[:, None]) & (times[rows] < seconds - 0.2 + hurry[:, None])
    early = inside.argmax(axis=1) + (own[rows, 4] * inside.sum(axis=1)).astype(np.int64)
    times[rows, early] -= hurry
    heights, angles, widths = _shapes(traits, own, count + 1)
    heights[af, :, 0] = 0.0
    shift = np.where(own[:, 6] < 0.5, -1.0, 1.0) * between(own[:, 7], 0.12, 0.32)
    heights[st, :, 5] = shift[st, None]
    side = np.where(own[:, 8] < 0.5, -1.0, 1.0) * between(own[:, 9], 0.45, 1.0)
    heights[rows, early] = np.stack([side * h for h in (0.0, 0.0, 1.0, -0.3, -0.35, 0.0)], axis=1)[rows]
    widths[rows, early, 2:4] *= between(own[:, 10], 2.4, 3.2)[rows, None]
    angles[rows, early, 3] *= 2.2
    return Beats(times, heights, angles, widths)


def _shapes(traits: Array, own: Array, count: int) -> tuple[Array, Array, Array]:
    """Heights (mV), angles and widths [n, B, 6] of a patient's normal beats; the ST plateau has height 0."""
    n = len(traits)
    gain = between(traits[:, 1], 0.7, 1.4) * between(own[:, 11], 0.9, 1.1)
    axis = between(traits[:, 2], -0.9, 0.9)
    tall = np.stack(
        [
            between(traits[:, 3], 0.10, 0.20),
            -between(traits[:, 4], 0.02, 0.16),
            np.cos(axis) * between(traits[:, 5], 0.8, 1.2),
            -between(traits[:, 6], 0.05, 0.35) * (1 + np.abs(np.sin(axis))),
            between(traits[:, 7], 0.15, 0.40) * np.where(traits[:, 8] < 0.12, -0.6, 1.0),
            np.zeros(n),
        ],
        axis=1,
    )
    middle = np.append(ANGLES, 0.62)[None] * (1 + 0.06 * (2 * traits[:, 9:15] - 1))
    wide = np.append(WIDTHS, 0.28)[None] * (1 + 0.12 * (2 * traits[:, 15:20] - 1).repeat([1, 1, 1, 1, 2], axis=1))
    return tuple(np.repeat(each[:, None], count, axis=1) for each in (tall * gain[:, None], middle, wide))  # type: ignore[return-value]


def _disturbance(length: int, seed: int, roster: Roster, draws: Array, targets: Array, rows: slice) -> Array:
    """Fibrillation of AF, baseline wander, mains hum and muscle noise, [n, samples] mV."""
    own = draws[rows]
    clock = np.arange(length) / RATE
    turn = 2 * np.pi * own[:, 12:18, None]
    waves = np.where(targets[rows] == 1, between(own[:, 18], 0.02, 0.07), 0.0)[:, None]
    rate = between(own[:, 19], 5.0, 8.0)[:, None]
    fine = waves * np.sin(2 * np.pi * rate * clock + turn[:, 0] + 1.5 * np.sin(2 * np.pi * 0.7 * clock + turn[:, 1]))
    wander = between(own[:, 20], 0.0, 0.15)[:, None] * np.sin(
        2 * np.pi * between(own[:, 21], 0.1, 0.4)[:, None] * clock + turn[:, 2]
    )
    offset = between(own[:, 22], -0.15, 0.15)[:, None]
    hum = between(own[:, 23], 0.0, 0.02)[:, None] * np.sin(2 * np.pi * 50.0 * clock + turn[:, 3])
    # Site C records with dry electrodes.
    size = np.where(roster.groups["site"][rows] == "C", 0.045, 0.03)[:, None]
    noise = normals(seed, "ecg noise", range(rows.start, rows.stop), (length,))
    return np.asarray(fine + wander + offset + hum + size * noise)


_CARD = DataCard(
    name="ecg_simulated",
    title="Simulated ECGs: normal, AF-like, PVC-like, ST shift",
    licence="Apache-2.0 (made by Titer)",
    citation="McSharry, Clifford, Tarassenko, Smith 2003, doi 10.1109/TBME.2003.808805",
    source="computed on request; nothing is downloaded",
    subjects="simulated patients, each with own axis, amplitude, rate and one to several records",
    cautions=(
        "No patient was involved: scores say nothing about clinical use.",
        "Site C has noisier records by construction.",
    ),
    synthetic=True,
)

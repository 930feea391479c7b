"""Simulated scalp EEGs with and without a seizure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.options import refuse_unknown, whole
from titer.cases.simulate.brainwaves import ELECTRODES, blinks, colored, discharge, even, places, reach, rhythm
from titer.cases.simulate.patients import Roster, enlist
from titer.cases.simulate.pictures import in_pieces
from titer.cases.simulate.streams import between, normals, uniforms
from titer.cases.space import Space

CLASSES = ("no seizure", "seizure")
RATE = 128.0
_LIMIT = 500.0
_SOURCES = 12


class EegSimulated(DatasetSource):
    """Windows of several electrodes, in microvolt: ordinary activity, or a seizure on top of it.

    Ordinary activity is 1/f noise of sources within the head, mixed by the head of the patient, with an alpha rhythm at
    the back, blinks at the front and bursts of muscle at the sides; half of such windows hold an even rhythm of 3 to
    6 Hz, as tremor and chewing make it. A seizure is a discharge of 2.5 to 6 Hz that slows down, grows,
    has harmonics and spreads from a focus of the patient's. Both have the same range of sizes, so size tells nothing.
    Each patient has own head, gains, alpha frequency, and a signature: a fixed pattern with a spectral peak.

    Options
        cases: number of windows (2000).
        length: samples at 128 Hz (256, two seconds).
        channels: electrodes of the 10-20 system, the first of Fp1, Fp2, C3, C4, T7, T8, O1, O2, F3, F4, ... (8).
        seed: other numbers give other patients; the first cases are the same whatever their number.
        cases_per_patient: windows per patient on average (3).

    >>> data = EegSimulated().load(None, cases=40)
    >>> data.space.describe()
    'signal of 8 channels x 256 samples at 128 Hz, -500 to 500 uV'
    """

    name: ClassVar[str] = "eeg_simulated"
    embedded: ClassVar[bool] = True

    def load(
        self,
        root: Path | None,
        *,
        cases: int = 2000,
        length: int = 256,
        channels: int = 8,
        seed: int = 0,
        cases_per_patient: int = 3,
        **more: Any,
    ) -> Dataset:
        refuse_unknown(more, self.load)
        whole(cases, "cases", 20, 100_000)
        whole(seed, "seed", 0, 2**31)
        whole(cases_per_patient, "cases_per_patient", 1, 1000)
        whole(length, "length", 128, 2560)
        whole(channels, "channels", 4, len(ELECTRODES))
        roster = enlist(cases, seed=seed, per_patient=cases_per_patient)
        draws = uniforms(seed, "eeg", range(cases), 32)
        targets = (draws[:, 0] * 2).astype(np.int64)
        inputs = np.empty((cases, channels, length), dtype=np.float32)
        for rows in in_pieces(cases, 200):
            made = _windows(seed, roster, draws, targets, rows, inputs.shape[1:])
            inputs[rows] = np.clip(made, -_LIMIT, _LIMIT)
        ids = tuple(f"eeg-{number:06d}" for number in range(cases))
        batch = Batch(inputs, targets, roster.codes, ids, roster.groups)
        names = tuple(ELECTRODES)[:channels]
        space = Space("signal", (channels, length), "uV", -_LIMIT, _LIMIT, names=names, rate=RATE)
        return Dataset(_CARD, space, "classes", CLASSES, (1,), batch)


def _windows(seed: int, roster: Roster, draws: Array, targets: Array, rows: slice, shape: tuple[int, ...]) -> Array:
    """[n, C, T] microvolt of some cases."""
    own, traits, sick = draws[rows], roster.traits[rows].astype(np.float64), targets[rows] == 1
    numbers, (channels, length) = range(rows.start, rows.stop), shape
    clock, electrodes = np.arange(length) / RATE, places(channels)
    heads, gains, signature = _heads(seed, roster, rows, channels)
    slope = between(traits[:, 0], 0.9, 1.5).astype(np.float64)
    noise = normals(seed, "eeg sources", numbers, (_SOURCES, length))
    ground = even(heads @ colored(noise, RATE, slope=slope, low=0.5, high=60.0))
    alpha = rhythm(clock, between(traits[:, 1], 8.5, 11.5), own[:, 1], own[:, 2])
    ground += _placed(electrodes, (0.0, -1.0), 0.6) * (between(own[:, 3], 0.1, 1.1)[:, None, None] * alpha[:, None])
    beats = rhythm(clock, between(traits[:, 2], 14.0, 25.0), own[:, 4], own[:, 5])
    ground += 0.25 * signature[..., None] * beats[:, None]
    # Half of the windows without a seizure hold an even rhythm, so that a rhythm alone is none.
    foci = _foci(traits)
    calm = even(np.sin(2 * np.pi * (between(own[:, 6], 3.0, 6.0)[:, None] * clock + own[:, 7, None])))[:, None]
    away = np.sqrt(((electrodes - foci[:, None]) ** 2).sum(axis=-1))
    lag = between(traits[:, 5], 0.2, 1.0)[:, None] * away
    wild = discharge(clock, between(own[:, 8], 4.0, 6.0), between(own[:, 9], 0.1, 0.37), own[:, 10], lag)
    spread = np.exp(-0.5 * (away / between(traits[:, 6], 0.5, 1.1)[:, None]) ** 2)[..., None]
    size = between(own[:, 11], 0.8, 1.6)[:, None, None]
    quiet = np.where(own[:, 12] < 0.5, 1.0, 0.0)[:, None, None]
    ground += spread * size * np.where(sick[:, None, None], even(wild), quiet * calm)
    # The size of a window is its own affair, whatever it holds.
    whole_ = np.sqrt((ground**2).mean(axis=(1, 2), keepdims=True))
    brain = ground / whole_ * between(own[:, 13], 18.0, 40.0)[:, None, None]
    return np.asarray(gains[..., None] * (brain + _artifacts(seed, own, roster, rows, shape)))


def _heads(seed: int, roster: Roster, rows: slice, channels: int) -> tuple[Array, Array, Array]:
    """Mixing [n, C, K], gains [n, C] and signature pattern [n, C] of the patient of each case."""
    codes = roster.codes[rows]
    people = range(int(codes[0]), int(codes[-1]) + 1)
    drawn = normals(seed, "eeg head", people, (len(ELECTRODES), _SOURCES + 2))[codes - people.start].astype(np.float64)
    ring = 2 * np.pi * np.arange(_SOURCES) / _SOURCES
    far = np.where(np.arange(_SOURCES) % 2 == 0, 0.85, 0.4)
    sources = np.stack([far * np.cos(ring), far * np.sin(ring)], axis=-1)
    heads = reach(places(channels), sources, 0.45) + 0.15 * drawn[:, :channels, :_SOURCES]
    gains = np.exp(0.08 * drawn[:, :channels, _SOURCES])
    return heads, gains, drawn[:, :channels, _SOURCES + 1]


def _foci(traits: Array) -> Array:
    """[n, 2] where the seizures of each patient begin."""
    turn = 2 * np.pi * traits[:, 3]
    return np.asarray((0.3 + 0.6 * traits[:, 4, None]) * np.stack([np.cos(turn), np.sin(turn)], axis=-1))


def _placed(electrodes: Array, where: tuple[float, float], width: float) -> Array:
    """[1, C, 1] how strongly each electrode sees one place."""
    return reach(electrodes, np.array([where]), width)[None]


def _artifacts(seed: int, own: Array, roster: Roster, rows: slice, shape: tuple[int, ...]) -> Array:
    """Blinks, muscle and the noise of the amplifier, in microvolt."""
    channels, length = shape
    clock, electrodes = np.arange(length) / RATE, places(channels)
    seconds = length / RATE
    heights = between(own[:, 16:18], 40.0, 110.0) * (own[:, 18:20] < 0.25)
    lids = blinks(clock, own[:, 20:22] * seconds, heights)
    noise = normals(seed, "eeg noise", range(rows.start, rows.stop), (channels + 1, length))
    tense = between(own[:, 22], 5.0, 18.0) * (own[:, 23] < 0.3)
    burst = np.exp(-0.5 * ((clock - own[:, 24, None] * seconds) / 0.3) ** 2) * tense[:, None]
    muscle = colored(noise[:, :1], RATE, slope=np.zeros(len(own)), low=20.0, high=60.0) * burst[:, None]
    sides = _placed(electrodes, (-1.0, 0.2), 0.4) + _placed(electrodes, (1.0, 0.2), 0.4)
    # Site C records with dry electrodes.
    size = np.where(roster.groups["site"][rows] == "C", 3.0, 1.5)[:, None, None]
    return np.asarray(_placed(electrodes, (0.0, 1.1), 0.4) * lids[:, None] + sides * muscle + size * noise[:, 1:])


_CARD = DataCard(
    name="eeg_simulated",
    title="Simulated EEGs: no seizure, seizure",
    licence="Apache-2.0 (made by Titer)",
    citation="none; parts after the clinical description of electrographic seizures (Hirsch et al. 2021, ACNS "
    "terminology, doi 10.1097/WNP.0000000000000806)",
    source="computed on request; nothing is downloaded",
    subjects="simulated patients, each with own head, gains, rhythms, seizure focus and signature",
    cautions=(
        "No patient was involved: scores say nothing about clinical use.",
        "Site C has noisier records by construction.",
        "Half of the windows hold a seizure; clinical recordings hold few.",
    ),
    synthetic=True,
)

"""Small data sets and splits that trained models are tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space

CARD = DataCard("made", "made for a test", "none", "none", "none", "none", synthetic=True)


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows of a split."""

    train: Array
    validation: Array
    test: Array


def halves(count: int) -> Parts:
    """Half to train, a quarter each to validate and to test."""
    return Parts(*np.split(np.arange(count), [count // 2, count * 3 // 4]))


def patches(count: int = 240, *, classes: int = 2, size: int = 16, seed: int = 0, channels: int = 1) -> Dataset:
    """Noise with a bright patch in the corner of the class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    inputs = rng.uniform(0.3, 0.6, size=(count, channels, size, size)).astype(np.float32)
    half = size // 2
    corners = [
        (slice(0, half), slice(0, half)),
        (slice(half, None), slice(half, None)),
        (slice(0, half), slice(half, None)),
    ]
    for row, target in enumerate(targets):
        inputs[row][(slice(None), *corners[target])] += 0.25
    space = Space("image", (channels, size, size), "grey level (0-1)")
    names = ("left", "right", "upper right")[:classes]
    return Dataset(CARD, space, "classes", names, (1,), Batch.of(inputs, targets))


def waves(count: int = 160, *, length: int = 64, task: str = "classes", channels: int = 1) -> Dataset:
    """Slow and fast sines in noise; for a regression their height."""
    rng = np.random.default_rng(1)
    targets: Array = np.arange(count) % 2
    clock = np.linspace(0, 2 * np.pi, length)
    height = rng.uniform(0.5, 2.0, size=(count, 1, 1)) if task == "regression" else np.ones((count, 1, 1))
    sine = np.sin(clock * (2 + 6 * targets[:, None, None]) + rng.uniform(0, 6, size=(count, 1, 1)))
    inputs = (height * sine + 0.1 * rng.normal(size=(count, channels, length))).astype(np.float32)
    space = Space("signal", (channels, length), "mV", -5.0, 5.0, rate=125.0)
    if task == "regression":
        return Dataset(CARD, space, "regression", ("height",), (), Batch.of(inputs, 70.0 + 10 * height[:, 0, 0]))
    if task == "multilabel":
        both = np.stack([targets, 1 - targets], axis=1)
        return Dataset(CARD, space, "multilabel", ("fast", "slow"), (0, 1), Batch.of(inputs, both))
    return Dataset(CARD, space, "classes", ("slow", "fast"), (1,), Batch.of(inputs, targets))


def notes(count: int = 160, *, length: int = 12) -> Dataset:
    """Words 1 to 9 at random, and word 10 or 11 that tells the class; short notes are padded."""
    rng = np.random.default_rng(2)
    targets = np.arange(count) % 2
    inputs = rng.integers(1, 10, size=(count, length))
    inputs[np.arange(count), rng.integers(0, length // 2, size=count)] = 10 + targets
    inputs[np.arange(length)[None] >= rng.integers(length // 2, length + 1, size=count)[:, None]] = 0
    space = Space("tokens", (length,), "word", vocabulary=("[padding]", *(f"word{k}" for k in range(1, 12))))
    return Dataset(CARD, space, "classes", ("well", "ill"), (1,), Batch.of(inputs, targets))


def spots(count: int = 160, *, size: int = 16) -> Dataset:
    """The same smooth picture at several brightnesses; abnormal ones have a spot."""
    rng = np.random.default_rng(3)
    line = np.linspace(-1, 1, size)
    picture = np.exp(-(line[:, None] ** 2 + line**2))
    inputs = picture * rng.uniform(0.5, 0.7, size=(count, 1, 1, 1)) + 0.01 * rng.normal(size=(count, 1, size, size))
    targets = (np.arange(count) % 4 == 3).astype(np.int64)
    inputs[targets == 1, :, 3:7, 3:7] += 0.25
    space = Space("image", (1, size, size), "grey level (0-1)")
    values = np.clip(inputs, 0, 1).astype(np.float32)
    return Dataset(CARD, space, "anomaly", ("normal", "spot"), (1,), Batch.of(values, targets))


EXAMPLES: dict[str, Any] = {
    "t_cnn": patches,
    "t_rnn": waves,
    "t_cnn1d": waves,
    "t_trf": notes,
    "t_bow": notes,
    "t_ae": spots,
    "t_pca": spots,
}

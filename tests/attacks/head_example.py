"""Simulated heads whose age shows in ventricles, cortex and a weak texture, and a network that reads it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.models.model import Model
from titer.models.task import Task
from titer.models.training import train
from titer.models.zoo.t_cnn import TCNN

SIDE = 12
TASK = Task("regression", ("age [years]",), tolerance=5.0)
CARD = DataCard("heads", "made for a test", "none", "none", "none", "none", synthetic=True)


def heads(count: int, seed: int) -> tuple[Array, Array]:
    """Volumes and ages: ventricles grow and the cortex thins with age, beside a texture too faint to see."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 90, count)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 3, indexing="ij"))
    texture = np.random.default_rng(99).normal(size=(SIDE, SIDE, SIDE))
    part, spread = ((age - 20) / 70)[:, None, None, None], rng.normal(size=(5, count, 1, 1, 1))
    depth = np.sqrt((grid**2).sum(axis=0))
    within = np.sqrt((grid**2 * np.array([1.0, 1.7, 3.2])[:, None, None, None]).sum(axis=0))

    def inside(distance: Array, radius: Array) -> Array:
        return np.asarray(1 / (1 + np.exp((distance - radius) * 12)))

    volume = 0.35 * inside(depth, 0.85 + 0.05 * spread[0]) + 0.25 * inside(depth, 0.7 - 0.15 * part + 0.05 * spread[1])
    volume = volume - 0.45 * inside(within, 0.15 + 0.2 * part + 0.06 * spread[2])
    volume = volume * (1 + 0.05 * spread[3]) + 0.2 + 0.03 * spread[4] + 0.02 * (part - 0.5) * texture
    noisy = volume + 0.03 * rng.normal(size=volume.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)[:, None], age


@lru_cache(maxsize=1)
def aged() -> tuple[Model, Batch, Batch]:
    """The model, the heads it was trained on, and unseen ones; trained once per session."""
    inputs, ages = heads(500, 0)
    space = Space("volume", (1, SIDE, SIDE, SIDE), "grey level (0-1)", 0.0, 1.0)
    data = Dataset(CARD, space, "regression", ("age [years]",), (), Batch.of(inputs, ages))

    class Rows:
        train, validation = np.arange(350), np.arange(350, 400)

    recipe = TCNN(size="mini", batch=16, rate=6e-3, patience=20, shift=0.0)
    model = train(recipe, data, Rows(), seed=0, epochs=20, task=TASK)
    return model, data.cases.take(Rows.train), data.cases.take(np.arange(400, 500))

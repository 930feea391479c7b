"""A small network trained on simulated chest X-rays, shared by the tests of attacks that learn from a pool."""

from __future__ import annotations

from functools import lru_cache

from titer.cases.case import Batch
from titer.cases.datasets.chest_phantom import ChestPhantom
from titer.cases.splits import split
from titer.models.model import Model
from titer.models.training import train
from titer.models.zoo.t_cnn import TCNN


@lru_cache(maxsize=1)
def chest() -> tuple[Model, Batch, Batch]:
    """The model, the cases it was trained on, and unseen ones; trained once per test session."""
    data = ChestPhantom().load(None, cases=1200, size=24)
    parts = split(data, seed=0, fractions=(0.6, 0.2, 0.2), by="patient")
    model = train(TCNN(size="mini"), data, parts, seed=0, epochs=24)
    return model, data.cases.take(parts.train), data.cases.take(parts.test)

"""A small network trained on simulated chest X-rays, shared by the tests of attacks that learn from a pool."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from titer.cases.case import Batch
from titer.cases.datasets.chest_phantom import ChestPhantom
from titer.cases.splits import split
from titer.models.model import Model
from titer.models.training import train
from titer.models.zoo.t_cnn import TCNN
from titer.threats.change import Field
from titer.threats.changes.patch import Patch
from titer.threats.random import CaseRandom


@lru_cache(maxsize=1)
def chest() -> tuple[Model, Batch, Batch]:
    """The model, the cases it was trained on, and unseen ones that it gets right; trained once per session.

    Two of three pictures are partly covered by random values while it learns, so that covering alone fools it little.
    """
    data = ChestPhantom().load(None, cases=1200, size=24)
    parts = split(data, seed=0, fractions=(0.6, 0.2, 0.2), by="patient")
    pictures = torch.from_numpy(data.cases.inputs)
    field = Field(pictures, torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0))
    rng = CaseRandom.of("cover", data.cases.ids)
    covers = Patch().sample(field, rng.uniform((1,), 7)[:, 0] * 0.5, rng, 0)
    some = np.arange(len(pictures)) % 3 != 0
    inputs = np.where(some[:, None, None, None], Patch().apply(field, covers).numpy(), data.cases.inputs)
    covered = replace(data, cases=replace(data.cases, inputs=inputs))
    model = train(TCNN(), covered, parts, seed=0, epochs=24)
    unseen = data.cases.take(parts.test)
    right = model.task.correct(model.predict(unseen.inputs), unseen.targets)
    return model, data.cases.take(parts.train), unseen.take(right)

"""Pigmented lesions whose truth has no orientation, and a network that has only seen them upright."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from titer.cases.case import Batch
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task

Array = np.ndarray[Any, Any]
SIZE = 24


def lesions(count: int, seed: int) -> tuple[Array, Array]:
    """Dark spots: round with a lobe or two (1) or nearly round (0), long axis within 15 degrees of upright."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size=count)
    y, x = (np.arange(SIZE) - (SIZE - 1) / 2)[:, None], (np.arange(SIZE) - (SIZE - 1) / 2)[None]
    pictures = np.empty((count, 1, SIZE, SIZE), dtype=np.float32)
    for number, sick in enumerate(truth):
        lobes = rng.uniform(0.22, 0.35) if sick else rng.uniform(0.0, 0.12)
        at = np.arctan2(x - rng.normal(0, 0.4), y - rng.normal(0, 0.4)) + np.deg2rad(rng.uniform(-15, 15))
        border = rng.uniform(5.5, 6.5) * (1 + lobes * np.cos(2 * at))
        spot = 1 / (1 + np.exp((np.hypot(y, x) - border) / 0.7))
        pictures[number, 0] = 0.8 - rng.uniform(0.35, 0.5) * spot + rng.normal(0, 0.03, size=(SIZE, SIZE))
    return pictures.clip(0, 1), truth.astype(np.int64)


@lru_cache(maxsize=1)
def trained() -> tuple[TorchModel, Batch]:
    """A small network after a few seconds of training, and 120 cases that it has not seen."""
    pictures, truth = lesions(500, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(8 * 36, 2),
        )  # fmt: skip
        steps = torch.optim.Adam(net.parameters(), 3e-3)
        inputs, wanted = torch.from_numpy(pictures), torch.from_numpy(truth)
        for _ in range(10):
            for rows in torch.randperm(len(inputs)).split(50):
                steps.zero_grad()
                nn.functional.cross_entropy(net(inputs[rows]), wanted[rows]).backward()
                steps.step()
    space = Space("image", (1, SIZE, SIZE), "grey level (0-1)")
    model = TorchModel(net, space, Task("classes", ("nevus", "melanoma"), positive=(1,)), name="upright lesions")
    return model, Batch.of(*lesions(120, seed=2))

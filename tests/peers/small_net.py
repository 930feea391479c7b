"""The model that all libraries attack: a small net for the digits that scikit-learn ships."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def build() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def digits() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Images [n, 1, 8, 8] in [0, 1] and labels, shuffled."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    order = np.random.default_rng(0).permutation(len(raw.target))
    images = (raw.images / 16).astype(np.float32)[:, None]
    return images[order], raw.target[order].astype(np.int64)


def train(net: nn.Module, images: Tensor, labels: Tensor, noise: float, steps: int = 250) -> None:
    """Training on images with noise, which leaves a model that is neither lost nor safe."""
    adam = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(steps):
        rows = torch.randint(len(images), (128,))
        shaken = (images[rows] + noise * torch.randn_like(images[rows])).clamp(0, 1)
        adam.zero_grad()
        nn.functional.cross_entropy(net(shaken), labels[rows]).backward()
        adam.step()
    net.eval()

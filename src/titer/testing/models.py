"""Small models with known answers, for tests and examples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from titer.cases.case import Batch
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task


class Affine(nn.Module):
    """z = W x + b on flattened cases."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


def linear(
    features: int, cases: int, *, seed: int = 0, outputs: int = 2, low: float = -100.0, high: float = 100.0
) -> tuple[TorchModel, Batch]:
    """A linear model and cases that it classifies correctly, in float64.

    The exact distance of case i to the decision border is |m_i| / ||w||_1 (L-infinity) or |m_i| / ||w||_2 (L2), where m is
    the difference of two logits and w that of their weights.

    >>> model, batch = linear(features=3, cases=5)
    >>> model.task.correct(model.predict(batch.inputs), batch.targets).all()
    np.True_
    """
    rng = np.random.default_rng(seed)
    module = Affine(torch.from_numpy(rng.normal(size=(outputs, features))), torch.from_numpy(rng.normal(size=outputs)))
    inputs = rng.uniform(max(low, -1), min(high, 1), size=(cases, features))
    space = Space("table", (features,), "unit", low, high)
    classes = tuple(f"class {k}" for k in range(outputs)) if outputs > 1 else ("negative", "positive")
    task = Task("classes" if outputs > 1 else "binary", classes, positive=(1,))
    model = TorchModel(module, space, task, name="linear")
    targets = task.decide(model.predict(inputs))
    return model, Batch.of(inputs, targets)

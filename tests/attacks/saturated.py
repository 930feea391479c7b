"""Models that only look robust: so sure of themselves that the slope of their cross-entropy is zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from titer.cases.case import Batch
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models


class Sure(nn.Module):
    """A net with its logits multiplied, and perhaps a softmax or sigmoid behind."""

    def __init__(self, net: nn.Module, times: float, ending: str = "") -> None:
        super().__init__()
        self.net, self.times, self.ending = net, times, ending

    def forward(self, x: Tensor) -> Tensor:
        logits = self.times * self.net(x)
        if not self.ending:
            return logits
        return torch.softmax(logits, 1) if self.ending == "softmax" else torch.sigmoid(logits)


def sure(kind: Any, answer: Any, times: float = 5e4, *, ending: str = "", cases: int = 40) -> tuple[TorchModel, Batch]:
    """A small saturated net and cases that it answers rightly by some distance."""
    plain, batch = models.network(kind, cases, answer=answer, seed=3)
    task: Task = plain.task
    net = Sure(plain.module, times, ending)
    # Nobody on the line: what float32 does not round to certainty would be fooled by any attack.
    scores = times * plain.predict(batch.inputs)
    gap = np.abs(scores) if task.outputs == 1 else np.diff(np.sort(scores, axis=1)[:, -2:], axis=1)
    far = (gap > 120).all(axis=1)
    return TorchModel(net, plain.space, task, probabilities=bool(ending)), batch.take(far)

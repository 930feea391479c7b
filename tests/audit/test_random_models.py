"""An audit of a model that answers at random averages it by itself, and says so."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import titer
from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space


class Noisy(nn.Module):
    """The sum of all features, with noise on each."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + 0.3 * torch.randn_like(x)).sum(dim=1, keepdim=True)


def test_a_random_model_is_averaged_and_the_report_says_so() -> None:
    inputs = np.random.default_rng(0).uniform(-1, 1, size=(80, 4))
    cases = Batch.of(inputs, (inputs.sum(axis=1) > 0).astype(np.int64))
    card = DataCard("sums", "sums of four numbers", "CC0-1.0", "made here", "made here", "none", synthetic=True)
    data = Dataset(card, Space("table", (4,), "unit", -1.0, 1.0), "classes", ("low", "high"), (1,), cases)
    plan = {"threats": [{"change": "additive", "norm": "linf", "limits": [0.05, 0.3]}], "attacks": ["fgsm", "noise"]}
    report = titer.audit(Noisy(), data, plan, probabilities=False)
    text = report.model_dump_json()
    assert "nswers at random: attacked by the mean of 16 draws, judged by 40 other ones" in text
    traps = {trap.id: trap.status for trap in report.traps}
    assert traps["steady_answers"] == "passed"
    by_attack = {cell.attack: cell.metrics for cell in report.cells if cell.limit.value == 0.3}
    assert by_attack["fgsm"].robust_accuracy.value < by_attack["noise"].robust_accuracy.value

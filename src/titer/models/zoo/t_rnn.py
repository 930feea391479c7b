"""T-RNN: a recurrent network for signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from titer.cases.space import Space
from titer.models.task import Task
from titer.models.zoo._parts import block
from titer.models.zoo._signal import OwnScale, SignalRecipe


@dataclass(frozen=True, kw_only=True)
class TRNN(SignalRecipe):
    """Two convolutions, a bidirectional GRU, attention over time, and a linear layer.

    Two convolutions (kernel 7; 16 and 32 channels) shorten the record by 2 and by `stride`; the GRU (Cho et al. 2014,
    arXiv 1406.1078) reads it both ways; attention averages its states with learned weights (Bahdanau et al. 2015,
    arXiv 1409.0473, with one query). Gradients fade on their way through a recurrent net, which can pass for
    robustness: measure `t_cnn1d` beside it.

    Source: the RNN of Soberano and Condes 2025 (doi 10.6000/1929-6029.2025.14.71), who do not state their
    architecture; this one is ours.

    Arguments
        hidden: states of the GRU in each direction.
        stride: step of the second convolution; 2 halves the time that the GRU takes.

    >>> model = TRNN().module(Space("signal", (1, 250), "mV", -5.0, 5.0), Task("classes", ("a", "b", "c")))
    >>> model(torch.zeros(2, 1, 250)).shape
    torch.Size([2, 3])
    """

    rate: float = 3e-3
    hidden: int = 48
    stride: int = 1

    name: ClassVar[str] = "t_rnn"
    family: ClassVar[str] = "RNN"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, hidden=self.hidden, stride=self.stride)

    def module(self, space: Space, task: Task) -> nn.Module:
        return _Net(space.shape[0], task.outputs, self)


class _Net(nn.Module):
    def __init__(self, channels: int, outputs: int, chosen: TRNN) -> None:
        super().__init__()
        self.own_scale = OwnScale(chosen.own_scale)
        self.stem = nn.Sequential(
            block(1, channels, 16, kernel=7, stride=2), block(1, 16, 32, kernel=7, stride=chosen.stride)
        )
        self.gru = nn.GRU(32, chosen.hidden, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * chosen.hidden, 1)
        self.dropout = nn.Dropout(chosen.dropout)
        self.head = nn.Linear(2 * chosen.hidden, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        states, _ = self.gru(self.stem(self.own_scale(inputs)).transpose(1, 2))
        weights = torch.softmax(self.attention(states), dim=1)
        scores: Tensor = self.head(self.dropout((weights * states).sum(dim=1)))
        return scores

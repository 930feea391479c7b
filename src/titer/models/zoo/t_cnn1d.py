"""T-CNN-1D: a convolutional network for signals, the counterpart of the recurrent one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from titer.cases.space import Space
from titer.models.task import Task
from titer.models.zoo._parts import block
from titer.models.zoo._signal import OwnScale, SignalRecipe

_WIDTHS = (16, 32, 64, 64)


@dataclass(frozen=True, kw_only=True)
class TCNN1d(SignalRecipe):
    """Four blocks of convolution (kernel 7), batch norm, ReLU and pooling, then mean and maximum over time.

    Its gradients reach every sample, so that its robustness is what an attack finds; a recurrent net on the same
    records must not look much stronger (Athalye, Carlini, Wagner 2018, arXiv 1802.00420).

    Arguments
        kernel: samples per convolution, an odd number.

    >>> model = TCNN1d().module(Space("signal", (2, 250), "mV", -5.0, 5.0), Task("binary", ("a", "b")))
    >>> model(torch.zeros(2, 2, 250)).shape
    torch.Size([2, 1])
    """

    kernel: int = 7

    name: ClassVar[str] = "t_cnn1d"
    family: ClassVar[str] = "CNN"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.choose("kernel", self.kernel, (3, 5, 7, 9, 11, 13, 15))

    def module(self, space: Space, task: Task) -> nn.Module:
        return _Net(space, task.outputs, self)


class _Net(nn.Module):
    def __init__(self, space: Space, outputs: int, chosen: TCNN1d) -> None:
        super().__init__()
        self.own_scale = OwnScale(chosen.own_scale)
        blocks: list[nn.Module] = []
        before, length = space.shape
        for after in _WIDTHS:
            pool = 2 if length >= 2 else 1
            blocks.append(block(1, before, after, kernel=chosen.kernel, pool=pool))
            before, length = after, length // pool
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(chosen.dropout)
        self.head = nn.Linear(2 * before, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.blocks(self.own_scale(inputs))
        scores: Tensor = self.head(self.dropout(torch.cat([found.mean(dim=2), found.amax(dim=2)], dim=1)))
        return scores

"""T-UNET: a small U-Net that marks pixels, voxels or samples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titer.cases.space import Kind, Space
from titer.models.recipe import Recipe
from titer.models.task import Task
from titer.models.zoo._parts import block


@dataclass(frozen=True, kw_only=True)
class TUNet(Recipe):
    """An encoder that halves the resolution, a decoder that doubles it again, and a skip connection at every level.

    Each level is one block of 3x3 convolution, batch norm and ReLU on the way down and one on the way up; what comes up
    is repeated to the size of the level above. Widths double from level to level. Training lowers the mean
    cross-entropy per pixel plus 1 minus the soft Dice of the measured classes.

    Source: Ronneberger, Fischer, Brox 2015 (arXiv 1505.04597), with fewer levels, one convolution per block and
    padding; the loss as in Isensee et al. 2021 (doi 10.1038/s41592-020-01008-z).

    Arguments
        width: channels of the finest level.
        levels: how often the resolution is halved.

    >>> space = Space("image", (1, 30, 21), "grey level (0-1)")
    >>> model = TUNet().module(space, Task("segmentation", ("background", "lesion"), tolerance=0.8))
    >>> model(torch.zeros(2, 1, 30, 21)).shape
    torch.Size([2, 2, 30, 21])
    """

    rate: float = 5e-3
    batch: int = 32
    epochs: int = 20
    width: int = 8
    levels: int = 2

    name: ClassVar[str] = "t_unet"
    family: ClassVar[str] = "U-Net"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "volume", "signal")
    maps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, width=self.width, levels=self.levels)

    def module(self, space: Space, task: Task) -> nn.Module:
        return _Net(space, task.outputs, self.width, self.levels)


class _Net(nn.Module):
    def __init__(self, space: Space, outputs: int, width: int, levels: int) -> None:
        super().__init__()
        dims = len(space.shape) - 1
        widths = [width * 2**level for level in range(levels + 1)]
        self.first = block(dims, space.shape[0], width)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(block(dims, fine, coarse, stride=2) for fine, coarse in pairs)
        self.up = nn.ModuleList(block(dims, fine + coarse, fine) for fine, coarse in reversed(pairs))
        self.head = nn.Sequential(block(dims, width, width), _last(dims, width, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        kept = [self.first(inputs)]
        for halve in self.down:
            kept.append(halve(kept[-1]))
        here = kept.pop()
        for join in self.up:
            fine = kept.pop()
            # Nearest neighbors, because their gradient is summed in a fixed order everywhere.
            here = join(torch.cat((fine, F.interpolate(here, size=fine.shape[2:], mode="nearest")), dim=1))
        scores: Tensor = self.head(here)
        return scores


def _last(dims: int, width: int, outputs: int) -> nn.Module:
    return {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims](width, outputs, 1)

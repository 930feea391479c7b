"""A U-Net so small that a test trains it in seconds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titer.cases.space import Space

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class SmallUNet(nn.Module):
    """Two resolutions joined by a skip connection, for signals, images and volumes of any size, odd ones included.

    Source: Ronneberger, Fischer, Brox 2015 (arXiv 1505.04597), with one level instead of four.

    Arguments
        space: what comes in, [n, C, *spatial]. outputs: scores per pixel. width: channels of the finer level.

    >>> SmallUNet(Space("image", (1, 9, 7), "grey level (0-1)"), outputs=2)(torch.zeros(3, 1, 9, 7)).shape
    torch.Size([3, 2, 9, 7])
    """

    def __init__(self, space: Space, outputs: int, width: int = 6) -> None:
        super().__init__()
        layer = _CONVOLUTIONS[len(space.shape) - 1]
        self.fine = layer(space.shape[0], width, 3, padding=1)
        self.down = layer(width, 2 * width, 3, stride=2, padding=1)
        self.coarse = layer(2 * width, 2 * width, 3, padding=1)
        self.join = layer(3 * width, width, 3, padding=1)
        self.head = layer(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.tanh(self.fine(x))
        coarse = torch.tanh(self.coarse(torch.tanh(self.down(fine))))
        # Nearest neighbors, because their gradient is summed in a fixed order everywhere.
        wide = F.interpolate(coarse, size=fine.shape[2:], mode="nearest")
        scores: Tensor = self.head(torch.tanh(self.join(torch.cat((fine, wide), dim=1))))
        return scores

"""T-AE: an autoencoder that finds what it cannot rebuild."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor, nn

from titer.cases.space import Kind, Space
from titer.models.recipe import Recipe
from titer.models.task import Task
from titer.models.zoo._parts import block, shifted


@dataclass(frozen=True, kw_only=True)
class TAE(Recipe):
    """A convolutional autoencoder, trained on normal cases; the score is the mean squared residual.

    The encoder halves the picture three times (16, 32, 64 channels) and passes it through a bottleneck of a few
    numbers; the decoder mirrors it. score = mean over pixels of (x - rebuilt(x))^2, in units of the training cases'
    variance; its gradient flows through x and through rebuilt(x).

    Source: the autoencoder of Soberano and Condes 2025 (doi 10.6000/1929-6029.2025.14.71), who do not state their
    architecture; this one is ours.

    Arguments
        bottleneck: numbers that a case is squeezed into.
        shift: move training cases by up to this share of each side.

    >>> import torch
    >>> space = Space("image", (1, 32, 32), "grey level (0-1)")
    >>> TAE().module(space, Task("anomaly", ("normal", "abnormal")))(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 1])
    """

    rate: float = 4e-3
    batch: int = 32
    epochs: int = 20
    bottleneck: int = 64
    shift: float = 0.0

    name: ClassVar[str] = "t_ae"
    family: ClassVar[str] = "Autoencoder"
    kinds: ClassVar[tuple[Kind, ...]] = ("image",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, bottleneck=self.bottleneck)
        self.require(0, shift=self.shift)

    def module(self, space: Space, task: Task) -> nn.Module:
        return _Net(space, self.bottleneck)

    def augment(self, inputs: Tensor, space: Space, generator: Generator) -> Tensor:
        return shifted(inputs, self.shift, generator) if self.shift else inputs


class _Net(nn.Module):
    def __init__(self, space: Space, bottleneck: int) -> None:
        super().__init__()
        channels, height, width = space.shape
        # Sides that three halvings do not divide are cut off again behind the decoder.
        self.side = (height, width)
        small = (-(-height // 8), -(-width // 8))
        self.encoder = nn.Sequential(
            block(2, channels, 16, stride=2), block(2, 16, 32, stride=2), block(2, 32, 64, stride=2), nn.Flatten()
        )
        self.squeeze = nn.Linear(64 * small[0] * small[1], bottleneck)
        self.decoder = nn.Sequential(
            nn.Linear(bottleneck, 64 * small[0] * small[1]), nn.ReLU(), nn.Unflatten(1, (64, *small)),
            nn.Upsample(scale_factor=2), block(2, 64, 32),
            nn.Upsample(scale_factor=2), block(2, 32, 16),
            nn.Upsample(scale_factor=2), nn.Conv2d(16, channels, 3, padding=1),
        )  # fmt: skip

    def rebuild(self, inputs: Tensor) -> Tensor:
        """[n, C, H, W] what the bottleneck remembers of a case."""
        rebuilt: Tensor = self.decoder(self.squeeze(self.encoder(inputs)))
        return rebuilt[:, :, : self.side[0], : self.side[1]]

    def forward(self, inputs: Tensor) -> Tensor:
        return ((inputs - self.rebuild(inputs)) ** 2).flatten(1).mean(dim=1, keepdim=True)

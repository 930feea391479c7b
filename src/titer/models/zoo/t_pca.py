"""T-PCA: the linear autoencoder, which a convolutional one has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titer.cases.space import Kind, Space
from titer.errors import DataError
from titer.models.recipe import Recipe
from titer.models.task import Task

# Added to variances in units of the training cases', so that an even surface does not become noise.
_FAINT = 0.01


@dataclass(frozen=True, kw_only=True)
class TPCA(Recipe):
    """Principal components of normal cases; the score is the mean squared residual that they leave.

    score = mean of (v - m - B B' (v - m))^2 with v the view of a case, m the mean view and B the leading components.
    It is fitted in closed form: there are no epochs. Scans of many devices differ more in brightness and contrast
    than in anatomy, so the view can be freed of both: "case" gives every case mean 0 and variance 1; "local" subtracts
    from every value the mean of what lies around it and divides by the spread there, weighed by a Gaussian whose
    standard deviation is an eighth of the side.

    Source: Baldi and Hornik 1989, doi 10.1016/0893-6080(89)90014-2, for the equality with a linear autoencoder; local
    contrast normalization: Jarrett et al. 2009, doi 10.1109/ICCV.2009.5459469.

    Arguments
        components: how many are kept; at most one less than there are training cases.
        own_scale: "none", "case" or "local".
        detail: averages over squares leave about this many pixels of the shorter side; 0 leaves all.

    >>> space = Space("image", (1, 32, 32), "grey level (0-1)")
    >>> TPCA().module(space, Task("anomaly", ("normal", "abnormal")))(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 1])
    """

    components: int = 30
    own_scale: Literal["none", "case", "local"] = "local"
    detail: int = 16

    name: ClassVar[str] = "t_pca"
    family: ClassVar[str] = "Autoencoder"
    kinds: ClassVar[tuple[Kind, ...]] = ("image",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, components=self.components)
        self.require(0, detail=self.detail)
        self.choose("own_scale", self.own_scale, ("none", "case", "local"))

    def module(self, space: Space, task: Task) -> nn.Module:
        return _Net(space, self)

    def finish(self, module: nn.Module, inputs: Tensor) -> None:
        if len(inputs) <= self.components:
            raise DataError(
                f"more than {self.components} normal training cases for as many components",
                str(len(inputs)),
                "lower 'components' of t_pca, or give more cases",
            )
        views = (
            torch.cat([module.get_submodule("view")(piece) for piece in torch.split(inputs, 256)]).double().flatten(1)
        )
        middle = views.mean(dim=0)
        _, _, directions = torch.linalg.svd(views - middle, full_matrices=False)
        kept = directions[: self.components]
        # The sign of a component is free; this makes it the same everywhere.
        kept = kept * kept.gather(1, kept.abs().argmax(dim=1, keepdim=True)).sign()
        module.get_buffer("middle").copy_(middle)
        module.get_buffer("basis").zero_()[: len(kept)] = kept.float()


class _Net(nn.Module):
    middle: Tensor
    basis: Tensor

    def __init__(self, space: Space, chosen: TPCA) -> None:
        super().__init__()
        self.view = _View(space, chosen)
        with torch.no_grad():
            size = self.view(torch.zeros(1, *space.shape)).numel()
        self.register_buffer("middle", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(chosen.components, size))

    def forward(self, inputs: Tensor) -> Tensor:
        moved = self.view(inputs).flatten(1) - self.middle
        rest: Tensor = moved - moved @ self.basis.T @ self.basis
        return rest.square().mean(dim=1, keepdim=True)


class _View(nn.Module):
    """What of a case is rebuilt: the case on its own scale, without the finest detail."""

    down: Tensor
    along: Tensor

    def __init__(self, space: Space, chosen: TPCA) -> None:
        super().__init__()
        height, width = space.shape[1:]
        side = min(height, width)
        self.own_scale = chosen.own_scale
        self.square = max(1, side // chosen.detail) if chosen.detail else 1
        self.register_buffer("down", _means(height, side / 8))
        self.register_buffer("along", _means(width, side / 8))

    def forward(self, inputs: Tensor) -> Tensor:
        seen = inputs
        if self.own_scale == "case":
            seen = seen - seen.mean(dim=(1, 2, 3), keepdim=True)
            seen = seen / (seen.square().mean(dim=(1, 2, 3), keepdim=True) + _FAINT).sqrt()
        elif self.own_scale == "local":
            seen = seen - self._around(seen)
            seen = seen / (self._around(seen.square()) + _FAINT).sqrt()
        return F.avg_pool2d(seen, self.square) if self.square > 1 else seen

    def _around(self, values: Tensor) -> Tensor:
        """The weighed mean around every value; beyond the border the nearest value stands."""
        # Two matrix products: convolutions with so long a kernel take twenty times as long.
        return self.down @ values @ self.along.T


def _means(length: int, spread: float) -> Tensor:
    """[length, length] weights with which each place of a line looks at all others."""
    reach = int(2 * spread)
    steps = torch.arange(-reach, reach + 1)
    bell = torch.exp(-0.5 * (steps / spread) ** 2)
    places = (torch.arange(length)[:, None] + steps).clamp(0, length - 1)
    return torch.zeros(length, length).scatter_add(1, places, (bell / bell.sum()).expand(length, -1).contiguous())

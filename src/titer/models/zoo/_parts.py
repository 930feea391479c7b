"""Parts that several recipes share: convolution blocks for 1 to 3 dimensions, the last layer, training losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from titer.cases.space import Space
from titer.models.task import Task

_CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_NORMS: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOLS: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_MEANS: dict[int, type[nn.Module]] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


def block(dims: int, before: int, after: int, *, kernel: int = 3, stride: int = 1, pool: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU and, if `pool` is above 1, max pooling."""
    parts = [
        _CONVOLUTIONS[dims](before, after, kernel, stride=stride, padding=kernel // 2, bias=False),
        _NORMS[dims](after),
        nn.ReLU(),
    ]
    if pool > 1:
        parts.append(_POOLS[dims](pool))
    return nn.Sequential(*parts)


def mean_pool(dims: int, size: int = 1) -> nn.Module:
    """Averages over `size` equal parts per dimension."""
    return _MEANS[dims](size)


def objective(task: Task, scores: Float[Tensor, "n K"], targets: Tensor) -> Float[Tensor, " n"]:
    """The loss of a task: cross-entropy, summed over findings; squared error; for anomalies the score itself; for maps
    the mean cross-entropy per pixel plus 1 minus the soft Dice of the measured classes.

    >>> objective(Task("classes", ("a", "b")), torch.zeros(1, 2), torch.tensor([1]))
    tensor([0.6931])
    """
    if task.kind == "classes":
        return F.cross_entropy(scores, targets, reduction="none")
    if task.kind == "regression":
        return (scores[:, 0] - targets.to(scores.dtype)) ** 2
    if task.kind == "anomaly":
        return scores[:, 0]
    if task.kind == "segmentation":
        entropy = F.cross_entropy(scores, targets.long(), reduction="none").flatten(1).mean(dim=1)
        return entropy + 1 - _soft_dice(scores.softmax(dim=1), targets, task.measured)
    wanted = targets.to(scores.dtype).reshape(len(scores), -1)
    return F.binary_cross_entropy_with_logits(scores, wanted, reduction="none").sum(dim=1)


def _soft_dice(shares: Tensor, targets: Tensor, classes: tuple[int, ...]) -> Float[Tensor, " n"]:
    """Dice of probabilities with the true maps, mean over classes; one more pixel on both sides spares empty maps."""
    total = torch.zeros(len(shares), dtype=shares.dtype, device=shares.device)
    for number in classes:
        said, true = shares[:, number].flatten(1), (targets == number).to(shares.dtype).flatten(1)
        total = total + (2 * (said * true).sum(dim=1) + 1) / (said.sum(dim=1) + true.sum(dim=1) + 1)
    return total / len(classes)


def shifted(inputs: Tensor, share: float, generator: Generator) -> Tensor:
    """Each case moved by up to a share of every side; its border values fill what becomes free."""
    moved = inputs
    for axis in range(2, inputs.dim()):
        length = inputs.shape[axis]
        most = int(share * length)
        if most:
            offset = torch.randint(-most, most + 1, (len(inputs), 1), generator=generator)
            place = (torch.arange(length) + offset).clamp(0, length - 1)
            shape = [len(inputs), *([1] * (axis - 1)), length, *([1] * (inputs.dim() - axis - 1))]
            moved = moved.gather(axis, place.reshape(shape).expand_as(moved))
    return moved


def rescaled(inputs: Tensor, share: float, generator: Generator) -> Tensor:
    """Each case stretched about its mean by a factor of 1 - share to 1 + share: contrast, or amplitude."""
    factor = 1 + share * (2 * torch.rand((len(inputs), *([1] * (inputs.dim() - 1))), generator=generator) - 1)
    middle = inputs.flatten(1).mean(dim=1).reshape(factor.shape)
    return middle + (inputs - middle) * factor


def noisy(inputs: Tensor, size: float, generator: Generator) -> Tensor:
    """Each case with normal noise whose standard deviation is drawn from 0 to `size`, in the unit of the space."""
    spread = size * torch.rand((len(inputs), *([1] * (inputs.dim() - 1))), generator=generator)
    return inputs + spread * torch.randn(inputs.shape, generator=generator)


def within(inputs: Tensor, space: Space) -> Tensor:
    """Values moved back into the valid range."""
    low, high = (torch.as_tensor(edge).to(inputs) for edge in space.bounds())
    return torch.minimum(torch.maximum(inputs, low), high)

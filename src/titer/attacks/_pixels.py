"""Losses of segmentation: what brings a whole map below the agreement that is asked for.

Agreement (Dice, share of right pixels) jumps when a pixel falls, and has no slope. But if pixels are let fall in the
order of their margins, agreement only sinks, so there is one pixel with which it passes below the tolerance. That
pixel's margin is above 0 exactly when the map is wrong: a number per case that moves with the scores.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from titer.models.task import Task

Maps = Float[Tensor, "n K ..."]
PerCase = Float[Tensor, " n"]
# What a tie that is decided against the truth counts as: above 0, and below any real margin.
_TIE = 1e-30
# Keeps soft Dice a number where a class is in neither map.
_SMOOTH = 1e-6


def margin(task: Task, moved: Maps, truth: Int[Tensor, "n ..."]) -> PerCase:
    """The attacker's margin [n] over a map: that of the pixel whose fall makes the map wrong, above 0 when it is.

    With pixels sorted by their own margins max_{j != y} z_j - z_y, largest first, and the first k of them taken as
    wrong, agreement falls with k; the margin is that of the first k at which it lies below the tolerance. For the share
    of right pixels it is an order statistic; for Dice pixels weigh as the two maps' sizes say. Its slope would be
    that of a single pixel; the slope given is that of the mean over the pixels that must still fall (all that must
    fall, once they have), which are what an attacker has to push.

    Source: ours; sorting pixels by their errors as in Berman et al. 2018 (arXiv 1705.08790), for the Jaccard index.

    >>> task = Task("segmentation", ("background", "lesion"), tolerance=0.5, measure="pixels")
    >>> margin(task, torch.tensor([[[-3.0, -2.0, 1.0, -1.0]]]), torch.tensor([[0, 0, 1, 1]]))
    tensor([-2.])
    """
    gap, rival = _gaps(moved.flatten(2), truth.flatten(1))
    with torch.no_grad():
        ordered, order = gap.detach().sort(dim=1, descending=True, stable=True)
        low = _fallen(task, truth.flatten(1).gather(1, order), rival.gather(1, order)) < float(task.tolerance or 0)
        place = torch.where(low.any(dim=1), low.to(torch.int8).argmax(dim=1), low.shape[1] - 1)
        value = ordered.gather(1, place[:, None])[:, 0]
        # A map that stays right whatever falls is never wrong.
        value = torch.where(low.any(dim=1), value, value.clamp(max=0))
    if not gap.requires_grad:
        return value
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(gap.shape[1], device=gap.device).expand_as(order))
    must = rank <= place[:, None]
    still = must & (gap.detach() <= 0)
    slope = _mean_over(gap, torch.where(still.any(dim=1, keepdim=True), still, must))
    return value + (slope - slope.detach())


def cross_entropy(moved: Maps, truth: Int[Tensor, "n ..."]) -> PerCase:
    """The mean cross-entropy of all pixels."""
    maps, true = moved.flatten(2), truth.flatten(1)
    if maps.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(maps[:, 0], true.to(maps.dtype), reduction="none").mean(dim=1)
    return F.cross_entropy(maps, true, reduction="none").mean(dim=1)


def one_class(task: Task, moved: Maps, truth: Int[Tensor, "n ..."], rank: int) -> PerCase:
    """The mean margin of the pixels of one class that are still right (all of its pixels, once none is).

    Classes that are measured come first, so that rank 0 makes a lesion vanish, and the last rank, the background's,
    makes it spread. Where a case has no pixel of the class, all pixels count.
    """
    others = [k for k in range(len(task.classes)) if k not in task.measured]
    wanted = ([*task.measured, *others])[rank % len(task.classes)]
    true = truth.flatten(1)
    gap, _ = _gaps(moved.flatten(2), true)
    mine = true == wanted
    mine = torch.where(mine.any(dim=1, keepdim=True), mine, torch.ones_like(mine))
    right = mine & (gap.detach() <= 0)
    return _mean_over(gap, torch.where(right.any(dim=1, keepdim=True), right, mine))


def soft(task: Task, moved: Maps, truth: Int[Tensor, "n ..."]) -> PerCase:
    """One minus soft Dice, with probabilities in place of decisions (or one minus the mean probability of the truth).

    Source: Milletari, Navab, Ahmadi 2016 (arXiv 1606.04797), with |A| + |B| below the line.
    """
    maps, true = moved.flatten(2), truth.flatten(1)
    if maps.shape[1] == 1:
        maps = torch.cat((torch.zeros_like(maps), maps), dim=1)
    chance = maps.softmax(dim=1)
    if task.measure == "pixels":
        return 1 - chance.gather(1, true[:, None])[:, 0].mean(dim=1)
    total = torch.zeros_like(chance[:, 0, 0])
    for k in task.measured:
        mine = (true == k).to(chance.dtype)
        common = (chance[:, k] * mine).sum(dim=1)
        total = total + (2 * common + _SMOOTH) / (chance[:, k].sum(dim=1) + mine.sum(dim=1) + _SMOOTH)
    return 1 - total / len(task.measured)


def _gaps(maps: Float[Tensor, "n K p"], true: Int[Tensor, "n p"]) -> tuple[Tensor, Tensor]:
    """How far each pixel lies on the wrong side, [n, p], and the class that it would then get."""
    if maps.shape[1] == 1:
        gap = -(2 * true.to(maps.dtype) - 1) * maps[:, 0]
        return gap + _TIE * ((gap == 0) & (true == 1)).to(gap.dtype), 1 - true
    own = maps.gather(1, true[:, None])[:, 0]
    others = maps.scatter(1, true[:, None], float("-inf"))
    best = others.amax(dim=1)
    # The first of equals, as decisions take it.
    numbers = torch.arange(maps.shape[1], device=maps.device)[None, :, None]
    rival = torch.where(others == best[:, None], numbers, maps.shape[1] - 1).amin(dim=1)
    gap = best - own
    return gap + _TIE * ((gap == 0) & (rival < true)).to(gap.dtype), rival


def _fallen(task: Task, true: Int[Tensor, "n p"], rival: Int[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    """Agreement once the first 1, 2, ... p pixels have fallen, by the formula of `titer.models.overlap`."""
    n, p = true.shape
    if task.measure == "pixels":
        left = torch.arange(p - 1, -1, -1, device=true.device, dtype=torch.float64)
        return (left / max(p, 1)).expand(n, p)
    total = torch.zeros((n, p), dtype=torch.float64, device=true.device)
    for k in task.measured:
        mine = true == k
        size = mine.sum(dim=1, keepdim=True)
        common = (size - mine.cumsum(dim=1)).double()
        both = common + (rival == k).cumsum(dim=1) + size
        total += torch.where(both > 0, 2 * common / both.clamp_min(1), 1.0)
    return total / len(task.measured)


def _mean_over(values: Float[Tensor, "n p"], where: Tensor) -> PerCase:
    kept = torch.where(where, values, torch.zeros_like(values))
    return kept.sum(dim=1) / where.sum(dim=1).clamp_min(1).to(values.dtype)

"""Additive change: something is added to every value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from titer.threats.changes._ball import Ball


@dataclass(frozen=True)
class Additive(Ball):
    """x' = x + d, with the size of d / scale limited in a norm.

    The norm is L-infinity (largest change of any value), L2 (root of the summed squares), L1 (sum of the changes) or
    L0 (number of values changed). The scale of the space makes the limit clinical: mV, grey levels, or standard
    deviations of a feature. Projection is onto the ball and the valid range at once: the nearest point that keeps both.

    Source: Szegedy et al. 2014 (arXiv 1312.6199) for the problem; L1 with a range as in Croce and Hein 2021 (arXiv
    2103.01208); L0 as in Papernot et al. 2016 (arXiv 1511.07528).

    Arguments
        norm: "linf", "l2", "l1" or "l0".
        most: with "l0", the furthest that one value may move, in units of the scale; None means to the end of
            its range.

    >>> import torch
    >>> from titer.threats.change import Field
    >>> field = Field(torch.tensor([[0.2, 0.9]]), torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0))
    >>> Additive("linf").project(field, torch.tensor([[-0.5, 0.3]]), torch.tensor([0.25]))
    tensor([[-0.2000,  0.1000]])
    """

    name: ClassVar[str] = "additive"

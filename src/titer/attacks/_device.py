"""Where a search is done: beside the weights, as many cases at once as fit there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from titer.models.model import Model
from titer.models.prepare import forget_recordings

Made = TypeVar("Made")
# Cases at once, large ones and small ones; and the values that all of them may have together on the CPU.
_FEW, _MANY = 256, 1024
_VALUES = 1 << 22


def pieces(count: int, size: int | None, model: Model, work: Callable[[int, int], Made]) -> list[Made]:
    """What `work(start, stop)` gives for consecutive cases, in pieces of `size`.

    Without a size they have so many cases that more would not be quicker: on the CPU fewer of large ones, on a graphics
    card as many as it can hold. Where memory runs out, the piece is done again in two.
    """
    many = _MANY if model.device.type != "cpu" else min(_MANY, max(_FEW, _VALUES // max(1, model.space.size)))
    together = size or many
    made: list[Made] = []
    start = 0
    while start < count:
        stop = min(start + together, count)
        try:
            made.append(work(start, stop))
        except torch.OutOfMemoryError:
            if size is not None or stop - start < 2:
                raise
            together = (stop - start + 1) // 2
        else:
            start = stop
            continue
        # Outside of the handler, since what the failed piece held lives as long as its error.
        forget_recordings()
        torch.cuda.empty_cache()
    return made

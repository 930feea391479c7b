"""Where a search is done: beside the weights, as many cases at once as fit there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

Made = TypeVar("Made")
# Cases at once on the CPU, where more do not help, and on a graphics card, where a question costs little more.
_FEW, _MANY = 256, 1024


def on(device: torch.device) -> AbstractContextManager[object]:
    """While open, tensors that attacks and changes make without saying where are made on the device."""
    # On the CPU nothing has to be asked, and every call would be a little slower for it.
    return nullcontext() if device.type == "cpu" else device


def pieces(count: int, size: int | None, device: torch.device, work: Callable[[int, int], Made]) -> list[Made]:
    """What `work(start, stop)` gives for consecutive cases, in pieces of `size`.

    Without a size they are as large as the device can hold: where its memory runs out, the piece is done again in two.
    """
    together = size or (_FEW if device.type == "cpu" else _MANY)
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
        torch.accelerator.memory.empty_cache()
    return made

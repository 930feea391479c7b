"""Strips of a signal: recorded, attacked, and the change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from titer.audit.report.pictures import magnification
from titer.audit.table import Array
from titer.cases.space import Space

MOST_SAMPLES = 1250
MOST_CHANNELS = 4


def signal_fields(clean: Array, attacked: Array, space: Space) -> tuple[dict[str, Any], str]:
    """Fields of a `SignalItem`, and what the caption must add.

    Of a long recording the stretch with the largest change is shown, sample by sample; of many channels the most
    changed ones. The change is magnified to at most half of what the recording spans.

    Arguments
        clean, attacked: [C, T] in the unit of the space.
    """
    before, after = clean.astype(np.float64), attacked.astype(np.float64)
    moved = np.abs(after - before)
    channels = np.sort(np.argsort(-moved.sum(axis=1), kind="stable")[:MOST_CHANNELS])
    start = _stretch(moved[channels].sum(axis=0))
    stretch = slice(start, start + MOST_SAMPLES)
    one, two = before[channels, stretch], after[channels, stretch]
    largest = float(np.abs(two - one).max())
    digits = 4 if largest == 0 else min(12, max(4, 3 - math.floor(math.log10(largest))))
    names = space.names or tuple(f"channel {k + 1}" for k in range(space.shape[0]))
    fields = {
        "kind": "signal",
        "step": 1.0 / (space.rate or 1.0),
        "channels": tuple(names[k] for k in channels),
        "clean_values": _rounded(one, digits),
        "adversarial_values": _rounded(two, digits),
        "perturbation_values": _rounded(two - one, digits),
        "perturbation_scale": magnification(largest, reach=float(np.ptp(one)) or 1.0),
    }
    return fields, _said(space, channels, start)


def _stretch(moved: Array) -> int:
    """Where the stretch of the largest change begins; the first of equals."""
    if len(moved) <= MOST_SAMPLES:
        return 0
    sums = np.concatenate(([0.0], np.cumsum(moved)))
    totals = sums[MOST_SAMPLES:] - sums[:-MOST_SAMPLES]
    # Equal sums differ in their last bits; the first within rounding is taken.
    return int(np.flatnonzero(totals >= totals.max() * (1 - 1e-9))[0])


def _said(space: Space, channels: Array, start: int) -> str:
    said = []
    if space.rate is None:
        said.append("The sampling rate is not known; time counts samples.")
    if space.shape[1] > MOST_SAMPLES:
        at = f"{start / space.rate:.3g} s" if space.rate else f"sample {start}"
        said.append(f"Shown from {at} on, where the change is largest.")
    if len(channels) < space.shape[0]:
        said.append(f"Shown: the {len(channels)} most changed of {space.shape[0]} channels.")
    return " ".join(said)


def _rounded(values: Array, digits: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), digits) + 0.0 for value in channel) for channel in values)

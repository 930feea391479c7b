"""Recorded signals: channels, sampling rate and windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from titer.cases.case import Array
from titer.cases.files.bounds import check_size
from titer.errors import DataError


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording.

    Arguments
        values: [C, T] in `unit`. names: of the channels. rate: samples per second.
        low, high: what the device can record, in `unit`.
        patient: the patient key in the file, to be turned into a number at once; never shown.
        comments: lines of the header, for labels.
    """

    values: Array
    names: tuple[str, ...]
    rate: float
    unit: str
    low: float
    high: float
    patient: str = ""
    comments: tuple[str, ...] = ()

    def chosen(self, channels: tuple[str, ...], what: str) -> Recording:
        """Some channels, in the given order."""
        missing = [name for name in channels if name not in self.names]
        if missing:
            raise DataError(
                f"channel {missing[0]!r} in {what}", ", ".join(self.names), "set the option 'channels' to common ones"
            )
        rows = [self.names.index(name) for name in channels]
        return replace(self, values=self.values[rows], names=channels)

    def at_rate(self, rate: float | None) -> Recording:
        """Resampled by a polyphase filter (Kaiser window, as in SciPy), clipped to what the device can record."""
        if rate is None or rate == self.rate:
            return self
        from scipy.signal import resample_poly

        ratio = Fraction(rate / self.rate).limit_denominator(2000)
        check_size(self.values.size * 8.0 * max(1.0, float(ratio)), "a resampled recording")
        values = resample_poly(self.values, ratio.numerator, ratio.denominator, axis=1)
        return replace(self, values=np.clip(values, self.low, self.high).astype(np.float32), rate=float(rate))

    def windows(self, seconds: float | None, start: float = 0.0, end: float | None = None) -> Array:
        """[n, C, T] consecutive windows of `seconds` between two times, without the rest; None: one whole window."""
        first = round(start * self.rate)
        last = self.values.shape[1] if end is None else min(round(end * self.rate), self.values.shape[1])
        piece = self.values[:, first:last]
        if seconds is None:
            return piece[None]
        length = round(seconds * self.rate)
        count = piece.shape[1] // length
        return np.moveaxis(piece[:, : count * length].reshape(len(piece), count, length), 1, 0)


def check_alike(recordings: list[Recording], what: str) -> None:
    """Refuse recordings of different rate, unit or channels."""
    first = recordings[0]
    for number, each in enumerate(recordings):
        if (each.rate, each.unit, each.names) != (first.rate, first.unit, first.names):
            raise DataError(
                f"{what} alike ({', '.join(first.names)} at {first.rate:g} Hz in {first.unit})",
                f"{', '.join(each.names)} at {each.rate:g} Hz in {each.unit} in recording {number + 1}",
                "set the options 'rate' and 'channels'",
            )

"""What a valid input is, in clinical units: shape, unit, range or vocabulary, sampling rate, spacing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from titer.cases.case import Array
from titer.errors import DataError

Kind = Literal["image", "volume", "signal", "table", "tokens"]

_DIMENSIONS = {"image": 3, "volume": 4, "signal": 2, "table": 1, "tokens": 1}


@dataclass(frozen=True)
class Space:
    """The inputs that a device can record, or a person can write.

    The first dimension of a case is its channel (image, volume, signal) or its feature (table); tokens have
    positions only. Range and scale are given once for all or one value per channel or feature.

    Arguments
        kind: image [C,H,W], volume [C,D,H,W], signal [C,T], table [D], tokens [L].
        shape: shape of one case.
        unit: clinical unit of a value, e.g. "mV", "HU", "grey level (0-1)"; for tokens "word".
        low, high: valid range in that unit; one number or one per channel or feature.
        scale: what a limit of 1 means, in the unit; 1 keeps limits in the unit itself, a standard deviation per
            feature makes them "SD of the feature".
        limit_unit: how a limit is read aloud, e.g. "mV" or "SD"; defaults to the unit.
        names: names of channels or features.
        rate: samples per second of a signal.
        spacing: millimeters per pixel or voxel, in the order of the spatial dimensions.
        vocabulary: the words that token numbers stand for.
        padding: the token number that fills a short note.

    >>> Space("signal", (1, 250), "mV", -5.0, 5.0, rate=125.0).describe()
    'signal of 1 channel x 250 samples at 125 Hz, -5 to 5 mV'
    """

    kind: Kind
    shape: tuple[int, ...]
    unit: str
    low: float | tuple[float, ...] = 0.0
    high: float | tuple[float, ...] = 1.0
    scale: float | tuple[float, ...] = 1.0
    limit_unit: str = ""
    names: tuple[str, ...] = ()
    rate: float | None = None
    spacing: tuple[float, ...] | None = None
    vocabulary: tuple[str, ...] = ()
    padding: int = 0

    def __post_init__(self) -> None:
        if len(self.shape) != _DIMENSIONS[self.kind] or min(self.shape) < 1:
            raise DataError(
                f"a {self.kind} shape of {_DIMENSIONS[self.kind]} positive numbers",
                str(self.shape),
                "correct the shape",
            )
        first = self.shape[0]
        for label in ("low", "high", "scale"):
            value = getattr(self, label)
            if isinstance(value, tuple) and len(value) != first:
                raise DataError(
                    f"one value or {first} values of {label!r}",
                    f"{len(value)} values",
                    "give one per channel or feature",
                )
        if self.kind != "tokens" and not np.all(self.bounds()[0] < self.bounds()[1]):
            raise DataError("low below high in every channel", f"{self.low} and {self.high}", "correct the range")
        if not np.all(np.asarray(self.scale) > 0):
            raise DataError("a scale above 0", str(self.scale), "correct the scale")
        if self.kind == "tokens" and not self.vocabulary:
            raise DataError("a vocabulary for tokens", "none", "give the words that the token numbers stand for")

    @property
    def size(self) -> int:
        """Number of values in one case."""
        return int(np.prod(self.shape))

    @property
    def radius_unit(self) -> str:
        """How limits are read aloud."""
        return self.limit_unit or self.unit

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest valid values, shaped to broadcast against one case."""
        return self.per_channel(self.low), self.per_channel(self.high)

    def per_channel(self, value: float | tuple[float, ...]) -> Array:
        """One number, or one per channel or feature, shaped to broadcast against one case."""
        array = np.asarray(value, dtype=np.float64)
        return array if array.ndim == 0 else array.reshape(-1, *([1] * (len(self.shape) - 1)))

    def check(self, inputs: Array, what: str = "inputs") -> None:
        """Refuse cases [n, *shape] that are of another shape, not numbers, or out of range."""
        if inputs.shape[1:] != self.shape:
            raise DataError(
                f"{what} of shape [n, {', '.join(map(str, self.shape))}]",
                str(list(inputs.shape)),
                "resize or regroup the cases so that all have the shape of the space",
            )
        if self.kind == "tokens":
            self._check_tokens(inputs, what)
            return
        finite = np.isfinite(inputs)
        if not finite.all():
            bad = np.flatnonzero(~finite.reshape(len(inputs), -1).all(axis=1))
            raise DataError(
                f"finite values in {what}",
                f"NaN or infinity in {len(bad)} of {len(inputs)} cases, first at row {bad[0]}",
                "repair or leave out these cases",
            )
        low, high = self.bounds()
        slack = 1e-6 * (high - low)
        if inputs.dtype == np.float16:
            # The end of a range need not be a number that half precision knows.
            slack = slack + np.finfo(np.float16).eps * np.maximum(np.abs(low), np.abs(high))
        outside = (inputs < low - slack) | (inputs > high + slack)
        if outside.any():
            row = int(np.flatnonzero(outside.reshape(len(inputs), -1).any(axis=1))[0])
            worst = inputs[row][np.broadcast_to(outside[row], self.shape)][0]
            raise DataError(
                f"{what} within {self.low} to {self.high} {self.unit}",
                f"{worst:g} in row {row} ({int(outside.reshape(len(inputs), -1).any(axis=1).sum())} cases affected)",
                "convert the cases to the unit of the space, or correct its range",
            )

    def _check_tokens(self, inputs: Array, what: str) -> None:
        if inputs.dtype.kind not in "iu":
            raise DataError(f"whole token numbers in {what}", str(inputs.dtype), "encode the notes with the vocabulary")
        if inputs.size and (inputs.min() < 0 or inputs.max() >= len(self.vocabulary)):
            raise DataError(
                f"token numbers of 0 to {len(self.vocabulary) - 1} in {what}",
                f"{inputs.min()} to {inputs.max()}",
                "encode the notes with the vocabulary of this space",
            )

    def describe(self) -> str:
        """One phrase for reports."""
        if self.kind == "tokens":
            return f"note of up to {self.shape[0]} words from a vocabulary of {len(self.vocabulary)}"
        lows, highs = np.asarray(self.low), np.asarray(self.high)
        span = f"{lows.min():g} to {highs.max():g} {self.unit}"
        if self.kind == "table":
            return f"table row of {self.shape[0]} features, {span}"
        channels = f"{self.shape[0]} channel{'s' if self.shape[0] > 1 else ''}"
        if self.kind == "signal":
            at = f" at {self.rate:g} Hz" if self.rate else ""
            return f"signal of {channels} x {self.shape[1]} samples{at}, {span}"
        return f"{self.kind} of {channels} x {' x '.join(map(str, self.shape[1:]))}, {span}"

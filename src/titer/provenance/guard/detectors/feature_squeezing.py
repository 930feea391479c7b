"""Feature squeezing: an input whose answer moves when it is made coarser is suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.errors import PlanError
from titer.provenance.guard.policy import Finding


@dataclass(frozen=True)
class FeatureSqueezing:
    """Score: the largest L1 distance between the model's answers to the input and to its squeezed copies.

        score(x) = max over s of || f(x) - f(s(x)) ||_1

    One copy has fewer bits per value, the other is smoothed by a median over a square window of the last two axes,
    with edges mirrored. Source: Xu, Evans and Qi, NDSS 2018, arXiv:1704.01155; we mirror without repeating the edge,
    and use odd windows. An attacker who knows of it gets around it, so that no verdict is ever improved by it.

    Arguments
        threshold: the score above which an input is suspicious; set it on clean cases of the site.
        bits: per value that are left, 1 to 16. window: edge of the median's window in pixels, odd.
        low, high: range of the input's values.

    >>> FeatureSqueezing(threshold=0.5, bits=1, window=1).squeezed(np.array([[0.2, 0.8]]))[0]
    array([[0., 1.]])
    """

    threshold: float
    bits: int = 5
    window: int = 3
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (1 <= self.bits <= 16 and self.window % 2 == 1 and self.window > 0 and self.low < self.high):
            raise PlanError(
                "1 to 16 bits, an odd window and a range that rises",
                f"{self.bits} bits, a window of {self.window}, {self.low} to {self.high}",
                "choose others",
            )
        if not self.threshold >= 0:
            raise PlanError("a threshold of at least 0", str(self.threshold), "set it on clean cases")

    def squeezed(self, values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The copy with fewer bits, and the smoothed one."""
        steps = (1 << self.bits) - 1
        unit = (values - self.low) / (self.high - self.low)
        coarse = np.round(unit * steps) / steps * (self.high - self.low) + self.low
        half = self.window // 2
        padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(half, half)] * 2, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.window, self.window), axis=(-2, -1))
        return coarse.astype(values.dtype), np.median(windows, axis=(-2, -1)).astype(values.dtype)

    def score(self, model: Any, values: np.ndarray[Any, Any]) -> float:
        """The score of one input."""
        plain = np.asarray(model(values.copy()), dtype=float)
        return max(float(np.abs(plain - np.asarray(model(each), dtype=float)).sum()) for each in self.squeezed(values))

    def __call__(self, case: Any) -> Finding | None:
        """A finding, where the score of the case's input is above the threshold."""
        values = np.asarray(case.tensor)
        if values.ndim < 2 or min(values.shape[-2:]) <= self.window // 2 or values.dtype.kind != "f":
            raise PlanError("pictures in floating point", f"{values.dtype} {values.shape}", "leave this detector out")
        score = self.score(case.model, values)
        # A score that is no number is suspicious too.
        return None if score <= self.threshold else Finding("detector.feature_squeezing", score)

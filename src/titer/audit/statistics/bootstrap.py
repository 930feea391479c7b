"""An interval for any number computed from cases, by resampling patients rather than cases.

Cases of one patient resemble each other, so resampling cases pretends to more evidence than there is. Here whole
patients are drawn with replacement, each bringing all of its cases.

`cluster_ratio` serves every number that is a sum over cases divided by a sum over cases (accuracy, sensitivity, FNR
shift, mean loss): it resamples one pair of sums per patient, which is fast, and gives BCa limits, whose acceleration
a = sum d^3 / (6 (sum d^2)^1.5) comes from leaving out one patient at a time. `cluster_bootstrap` serves every other
statistic by calling it once per resample, and gives percentile limits, since BCa would call it once more per patient.
Sources: Efron 1987 (doi 10.1080/01621459.1987.10478410); Field and Welsh 2007 (doi 10.1111/j.1467-9868.2007.00593.x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from titer.audit.statistics._checks import Floats, floats, fraction, labels, same_length
from titer.audit.statistics._result import Result, interval, number
from titer.errors import DataError, PlanError

FEW_PATIENTS = 20
_DRAWN_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Bootstrap(Result):
    """A number with its bootstrap interval; `undefined` counts resamples in which the number did not exist."""

    name: str
    value: float
    low: float
    high: float
    se: float
    n: int
    patients: int
    resamples: int
    undefined: int
    confidence: float
    method: str

    def __str__(self) -> str:
        limits = interval(self.low, self.high, self.confidence)
        caution = "" if self.patients >= FEW_PATIENTS else ", few patients: the interval is likely too narrow"
        counts = f"n = {self.n} cases of {self.patients} patients"
        return f"{self.name} {number(self.value)} ({limits}; {counts}, {self.method}{caution})"


def cluster_ratio(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike | None = None,
    *,
    patients: npt.ArrayLike,
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
    name: str = "mean",
) -> Bootstrap:
    """Sum of `numerator` over sum of `denominator`, with BCa limits from resampled patients.

    Arguments: numerator, denominator (n,) one number per case (without denominator: the mean per case); patients (n,)
        label of each case's patient; resamples how many.
    Examples of use: sensitivity is `cluster_ratio(found & diseased, diseased, ...)`; a paired drop in accuracy is
        `cluster_ratio(clean_correct - attacked_correct, ...)` with both as integers.
    Refuses a denominator that sums to zero, or a single patient (DataError), and fewer than 100 resamples (PlanError).

    >>> rng = np.random.default_rng(0)
    >>> patients = np.repeat(np.arange(40), 3)
    >>> correct = (np.arange(120) % 5) > 0
    >>> print(cluster_ratio(correct, patients=patients, rng=rng, name="accuracy"))
    accuracy 0.8 (95 % CI 0.75 to 0.85; n = 120 cases of 40 patients, BCa bootstrap of patients, 2000 resamples)
    """
    _settings(resamples, confidence)
    top = floats("numerator", numerator)
    bottom = np.ones_like(top) if denominator is None else floats("denominator", denominator)
    patient, count = _patients(patients, top, bottom)
    sums = np.stack([np.bincount(patient, column, count).astype(np.float64) for column in (top, bottom)])
    total = sums.sum(axis=1)
    if total[1] == 0:
        raise DataError("a denominator that does not sum to zero", "0", "choose a group that has such cases")
    drawn = _resampled(sums, resamples, rng)
    draws = _divide(drawn[0], drawn[1])
    left_out = _divide(total[0] - sums[0], total[1] - sums[1])
    value = float(total[0] / total[1])
    limits = _bca(draws, value, left_out, confidence)
    return _summary(draws, value, limits, name=name, n=top.size, patients=count, kind="BCa", confidence=confidence)


def cluster_bootstrap(
    statistic: Callable[..., float],
    columns: Sequence[npt.ArrayLike],
    *,
    patients: npt.ArrayLike,
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
    name: str = "statistic",
) -> Bootstrap:
    """Any statistic of per-case columns, with percentile limits from resampled patients.

    Arguments: statistic takes the columns, each with the cases as its first dimension, and returns one number (NaN
        where it does not exist); columns a list of arrays; patients (n,) label of each case's patient.
    Refuses a single patient, a statistic that no resample has (DataError), and fewer than 100 resamples (PlanError).

    >>> rng = np.random.default_rng(0)
    >>> minutes = np.arange(60.0)
    >>> print(cluster_bootstrap(np.median, [minutes], patients=np.arange(60) // 2, rng=rng, name="median minutes"))
    median minutes 29.5 (95 % CI 19 to 39.5; n = 60 cases of 30 patients, percentile bootstrap of patients, \
2000 resamples)
    """
    _settings(resamples, confidence)
    arrays: list[npt.NDArray[Any]] = [np.asarray(column) for column in columns]
    patient, count = _patients(patients, *arrays)
    order = np.argsort(patient, kind="stable")
    size = np.bincount(patient, minlength=count)
    start = np.cumsum(size) - size
    draws = np.array(
        [
            float(statistic(*(array[rows] for array in arrays)))
            for picked in _picks(count, resamples, rng)
            for rows in (order[_rows(start[drawn], size[drawn])] for drawn in picked)
        ]
    )
    value = float(statistic(*(array[order] for array in arrays)))
    limits = _percentile(draws, confidence)
    return _summary(
        draws, value, limits, name=name, n=patient.size, patients=count, kind="percentile", confidence=confidence
    )


def _settings(resamples: int, confidence: float) -> None:
    fraction("confidence", confidence)
    if resamples < 100:
        raise PlanError("at least 100 bootstrap resamples", f"{resamples}", "use 2,000 unless time forbids")


def _patients(patients: npt.ArrayLike, *columns: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], int]:
    labeled = labels("patients", patients)
    same_length(patients=labeled, **{f"column {place + 1}": column for place, column in enumerate(columns)})
    names, patient = np.unique(labeled, return_inverse=True)
    if names.size < 2:
        raise DataError("at least two patients to resample", "one", "an interval needs more patients")
    return patient, names.size


def _resampled(sums: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """The two sums (2, resamples) of each resample, from the two sums (2, patients) of each patient."""
    kinds, alike = np.unique(sums, axis=1, return_counts=True)
    count = sums.shape[1]
    if kinds.shape[1] * 4 <= count:
        # Counts repeat from patient to patient, so drawing how often each kind occurs is the same and far cheaper.
        return kinds @ rng.multinomial(count, alike / count, size=resamples).T
    blocks = [[column.take(picked).sum(axis=1) for column in sums] for picked in _picks(count, resamples, rng)]
    return np.concatenate(blocks, axis=1)


def _picks(count: int, resamples: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int32]]:
    """Which patients each resample draws, in blocks that fit in memory; the blocks do not change the draws."""
    block = max(1, _DRAWN_AT_ONCE // count)
    for first in range(0, resamples, block):
        yield rng.integers(count, size=(min(block, resamples - first), count), dtype=np.int32)


def _rows(start: npt.NDArray[np.intp], size: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The positions start, start + 1, ..., start + size - 1 of every drawn patient, one after the other."""
    ends = np.cumsum(size)
    return np.asarray(np.arange(ends[-1]) + np.repeat(start - (ends - size), size), dtype=np.intp)


def _divide(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full_like(top, math.nan), where=bottom != 0)


def _percentile(draws: Floats, confidence: float) -> tuple[float, float]:
    return _quantiles(draws, (1 - confidence) / 2, (1 + confidence) / 2)


def _bca(draws: Floats, value: float, left_out: Floats, confidence: float) -> tuple[float, float]:
    """Percentiles shifted by the bias z0 and the acceleration a; ties with the estimate count half to either side."""
    known, left_out = draws[np.isfinite(draws)], left_out[np.isfinite(left_out)]
    if known.size == 0:
        return math.nan, math.nan
    same = np.isclose(known, value, rtol=1e-12, atol=1e-12)
    below = float((known[~same] < value).sum() + same.sum() / 2) / known.size
    if below in (0.0, 1.0):
        return _percentile(draws, confidence)
    gap = left_out.mean() - left_out
    spread = float((gap**2).sum()) ** 1.5
    acceleration = float((gap**3).sum()) / (6 * spread) if spread > 0 else 0.0
    bias = ndtri(below)
    tails = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = ndtr(bias + tails / (1 - acceleration * tails))
    return _quantiles(draws, float(low), float(high))


def _quantiles(draws: Floats, low: float, high: float) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if known.size == 0:
        return math.nan, math.nan
    limits = np.quantile(known, [low, high])
    return float(limits[0]), float(limits[1])


def _summary(
    draws: Floats,
    value: float,
    limits: tuple[float, float],
    *,
    name: str,
    n: int,
    patients: int,
    kind: str,
    confidence: float,
) -> Bootstrap:
    known = draws[np.isfinite(draws)]
    if known.size < 2:
        raise DataError(f"a {name} that exists in most resamples", "none or one", "choose a larger group of cases")
    method = f"{kind} bootstrap of patients, {draws.size} resamples"
    undefined = draws.size - known.size
    se = float(known.std(ddof=1))
    return Bootstrap(name, value, *limits, se, n, patients, draws.size, undefined, confidence, method)

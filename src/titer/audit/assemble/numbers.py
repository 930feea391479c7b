"""Single numbers of a report: a value with its interval, its n and its method."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from titer.audit.report.schema import Measure
from titer.audit.statistics.bootstrap import Bootstrap, cluster_ratio
from titer.audit.statistics.paired_proportions import paired_shift
from titer.audit.statistics.proportions import wilson

Array = np.ndarray[Any, Any]


def generator(*words: str) -> np.random.Generator:
    """Random numbers that belong to a place in the report, so that no number depends on another's being there."""
    seed = int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:8], "little")
    return np.random.Generator(np.random.Philox(seed))


def share(hit: Array, patients: Array, resamples: int) -> Measure | None:
    """A share of cases; None without cases.

    Wilson's interval when every case is a patient of its own, a bootstrap of patients otherwise. Where all cases agree
    a bootstrap would claim certainty: then Wilson's interval on the number of patients.
    """
    n, k = len(hit), int(hit.sum())
    if n == 0:
        return None
    people = len(np.unique(patients))
    if people == n or k in (0, n):
        found = wilson(k * people // n if k in (0, n) else k, people)
        method = "Wilson" if people == n else "Wilson on patients (all cases agree)"
        return Measure(value=k / n, low=found.low, high=found.high, n=n, k=k, method=method)
    if people == 1:
        return Measure(value=k / n, n=n, k=k, method="one patient: no interval")
    drawn = _resampled(hit.astype(np.float64), patients, resamples)
    return Measure(
        value=k / n,
        low=min(drawn.low, k / n),
        high=max(drawn.high, k / n),
        n=n,
        k=k,
        method=_words(drawn.method, resamples),
    )


def mean(values: Array, patients: Array, resamples: int, *, unit: str, factor: float = 1.0) -> Measure | None:
    """A mean over cases, e.g. of costs or confidences; a bootstrap of patients gives the interval.

    Where all cases agree, or belong to one patient, resampling has nothing to vary: then there is no interval, for one
    of zero width would claim certainty.
    """
    keep = np.isfinite(values)
    values, patients = values[keep] * factor, patients[keep]
    if len(values) == 0:
        return None
    value = float(values.mean())
    if len(np.unique(patients)) < 2 or np.ptp(values) == 0:
        why = "one case" if len(values) == 1 else "all cases agree" if np.ptp(values) == 0 else "one patient"
        return Measure(value=value, n=len(values), method=f"{why}: no interval", unit=unit)
    drawn = _resampled(values.astype(np.float64), patients, resamples)
    low, high = min(drawn.low, value), max(drawn.high, value)
    if low == high:
        return Measure(value=value, n=len(values), method="all resamples agree: no interval", unit=unit)
    return Measure(value=value, low=low, high=high, n=len(values), method=_words(drawn.method, resamples), unit=unit)


def difference(before: Array, after: Array, patients: Array, resamples: int) -> Measure | None:
    """A share after minus the share before, in points, on the same cases; None without cases.

    A bootstrap of patients gives the interval. Where the difference is the same in every case (none changed, or all
    did), Newcombe's paired interval on one case per patient is given instead.

    Arguments
        before, after: [n] whether each case counts.
    """
    moved = after.astype(np.float64) - before.astype(np.float64)
    found = mean(moved, patients, resamples, unit="points", factor=100)
    if found is None or found.low is not None or np.ptp(moved) != 0:
        return found
    first = np.unique(patients, return_index=True)[1]
    exact = paired_shift(before[first], after[first])
    low, high = min(100 * exact.low, found.value), max(100 * exact.high, found.value)
    return found.model_copy(update={"low": low, "high": high, "method": "Newcombe on patients (all cases agree)"})


def over_trials(values: Sequence[float], *, unit: str, n: int) -> Measure | None:
    """A mean over trials with a t interval; fewer than three trials give none, because t would span everything."""
    found = np.asarray([value for value in values if np.isfinite(value)])
    if len(found) == 0:
        return None
    if len(found) < 3:
        return Measure(value=float(found.mean()), n=n, method=f"{_trials(len(found))}: no interval", unit=unit)
    from scipy.stats import t

    center = float(found.mean())
    if np.ptp(found) == 0:
        method = f"{_trials(len(found))}, all alike: no interval"
        return Measure(value=center, n=n, method=method, unit=unit)
    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    low, high = center - half, center + half
    if unit in ("proportion", "score"):
        low, high = max(0.0, low), min(1.0, high)
    return Measure(value=center, low=low, high=high, n=n, method=f"t interval over {len(found)} trials", unit=unit)


def _trials(n: int) -> str:
    return "one trial" if n == 1 else f"mean of {n} trials"


def over_areas(areas: Sequence[Measure]) -> Measure | None:
    """A mean AUROC over trials. From three trials on a t interval over them; below, or where all are alike, the hull
    of their own intervals, because t with one degree of freedom spans everything.
    """
    if not areas:
        return None
    if len(areas) >= 3:
        several = over_trials([area.value for area in areas], unit="score", n=sum(area.n for area in areas))
        if several is not None and several.low is not None:
            return several
    if len(areas) == 1:
        return areas[0]
    low = min((area.low for area in areas if area.low is not None), default=None)
    high = max((area.high for area in areas if area.high is not None), default=None)
    how = "no interval" if low is None else f"hull of their {areas[0].method} intervals"
    return Measure(
        value=float(np.mean([area.value for area in areas])),
        low=low,
        high=high,
        n=sum(area.n for area in areas),
        method=f"mean of {len(areas)} trials, {how}",
        unit="score",
    )


def _resampled(values: Array, patients: Array, resamples: int) -> Bootstrap:
    """The bootstrap of patients, with random numbers that follow from the data alone: the same columns get the same
    interval wherever they stand in a report, and are resampled once.
    """
    codes = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    return _bootstrap(np.ascontiguousarray(values).tobytes(), codes.tobytes(), resamples)


@lru_cache(maxsize=4096)
def _bootstrap(values: bytes, patients: bytes, resamples: int) -> Bootstrap:
    seed = int.from_bytes(hashlib.sha256(values + patients).digest()[:8], "little")
    rng = np.random.Generator(np.random.Philox(seed))
    column, codes = np.frombuffer(values, dtype=np.float64), np.frombuffer(patients, dtype=np.int64)
    return cluster_ratio(column, patients=codes, rng=rng, resamples=resamples)


def _words(method: str, resamples: int) -> str:
    return f"patient-clustered bootstrap, {resamples:,} resamples" if "bootstrap" in method else method

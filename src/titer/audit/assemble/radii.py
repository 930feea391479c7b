"""Minimal radii of a report: the median with its interval, what was censored, and the curve from one run."""

from __future__ import annotations

import math

import numpy as np

from titer.audit.assemble.cards import plain, threat_names
from titer.audit.assemble.numbers import Array, generator, mean, share
from titer.audit.report.schema import Limit, Measure, MinimalRadii, RadiusPoint
from titer.audit.results import RadiusResults, Results
from titer.audit.statistics.bootstrap import cluster_bootstrap
from titer.audit.subject import settings_of

# Points of a curve; more would not be told apart on the page.
POINTS = 40


def minimal_radii(results: Results) -> tuple[MinimalRadii, ...]:
    """One block per model and threat whose plan asks for radii."""
    return tuple(_block(results, found) for found in results.radii)


def _block(results: Results, found: RadiusResults) -> MinimalRadii:
    subject, resamples = results.prepared.plan.subjects[found.subject], results.prepared.plan.resamples
    search, threat = found.threat.search, threat_names(results)[found.subject, found.threat.id]
    if search is None:
        raise TypeError(f"{threat} was searched without being asked")
    unit = search.high.unit
    turned = found.radius > 0
    middle, at_least = median(found.radius[turned], found.patients[turned], unit, found.tolerance, resamples)
    return MinimalRadii(
        model=subject.name,
        dataset=found.dataset.card.name,
        threat=threat,
        attack=search.label,
        settings=plain(settings_of(search.attack)),
        reference=search.attack.reference,
        high=Limit(value=search.high.value, unit=unit, label=search.high.label),
        tolerance=found.tolerance,
        n_cases=len(set(found.rows.tolist())),
        n_trials=found.trials,
        needed_nothing=_share(~turned, found, resamples),
        never=_share(np.isinf(found.radius), found, resamples),
        median=middle,
        at_least=at_least,
        points=tuple(
            RadiusPoint(limit=limit, measure=_share(found.radius > limit, found, resamples))
            for limit in grid(found.radius, search.high.value)
        ),
        queries_per_case=mean(found.queries.astype(float), found.patients, resamples, unit="count"),
        passes_per_case=mean(found.passes.astype(float), found.patients, resamples, unit="count"),
    )


def grid(radius: Array, high: float) -> list[float]:
    """Limits at which the curve is told: no change, the widest limit, and radii spread evenly over the cases.

    >>> grid(np.array([0.0, 0.2, 0.1, np.inf]), 0.5)
    [0.0, 0.1, 0.2, 0.5]
    """
    steps = np.sort(radius[np.isfinite(radius) & (radius > 0) & (radius < high)])
    if len(steps) > POINTS - 2:
        steps = steps[np.linspace(0, len(steps) - 1, POINTS - 2).round().astype(int)]
    return [0.0, *np.unique(steps).tolist(), high]


def median(
    radius: Array, patients: Array, unit: str, tolerance: float, resamples: int
) -> tuple[Measure | None, float | None]:
    """The lower median of radii of which some are only known to be infinite, and the lower end of a censored interval.

    Order statistics give the interval where every case is a patient of its own: of the ranks that a fair coin thrown n
    times reaches with 2.5 and 97.5 % (David and Nagaraja 2003, section 7.1). Otherwise patients are resampled, and the
    percentiles are read off ranks, so that no censored radius needs a value. An end above the widest limit has none.
    """
    n, people = len(radius), len(np.unique(patients))
    if n == 0:
        return None, None
    ordered = np.sort(radius)
    value = float(ordered[(n - 1) // 2])
    how = "order statistics" if people == n else f"patient-clustered bootstrap, {resamples:,} resamples"
    bottom, top = _by_order(ordered) if people == n else _by_patient(radius, patients, resamples)
    exact = "" if tolerance == 0 else f"; radii up to {tolerance:.3g} too large"
    if people < 2:
        how, bottom, top = "one patient: no interval", math.nan, math.nan
    known = math.isfinite(bottom) and math.isfinite(top)
    ends = {"low": bottom, "high": top} if known else {}
    made = Measure(value=value, n=n, method=f"{how}{exact}", unit=unit, **ends) if math.isfinite(value) else None
    return made, bottom if math.isfinite(bottom) and not math.isfinite(top) else None


def _by_order(ordered: Array) -> tuple[float, float]:
    """The ends of a 95 % interval of the median from sorted independent values; infinite beyond the first and last."""
    from scipy.stats import binom

    n = len(ordered)
    # The interval from the r-th to the (n + 1 - r)-th value holds the median with 1 - 2 P(fewer than r below it).
    r = int(binom.ppf(0.025, n, 0.5))
    if r < 1:
        return 0.0, math.inf
    return float(ordered[r - 1]), float(ordered[n - r])


def _by_patient(radius: Array, patients: Array, resamples: int) -> tuple[float, float]:
    if len(np.unique(patients)) < 2:
        return math.nan, math.nan
    values, rank = np.unique(radius, return_inverse=True)

    def lower_median(ranks: Array) -> float:
        return float(np.sort(ranks)[(len(ranks) - 1) // 2])

    rng = generator("radii", str(len(radius)), f"{radius[np.isfinite(radius)].sum():.12g}")
    drawn = cluster_bootstrap(lower_median, [rank], patients=patients, rng=rng, resamples=resamples, name="median")
    return float(values[math.floor(drawn.low)]), float(values[math.ceil(drawn.high)])


def _share(hit: Array, found: RadiusResults, resamples: int) -> Measure:
    return share(hit, found.patients, resamples) or Measure(value=0.0, n=0, method="no cases")

"""Minimal radii: the smallest limit at which an attack fools the model, case by case, and the curve that follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, run
from titer.cases.case import Array, Batch
from titer.errors import AttackError, ThreatError
from titer.models.model import Model
from titer.threats.change import BallChange, StepwiseChange
from titer.threats.threat import ThreatModel


@dataclass(frozen=True, eq=False)
class Radii:
    """What one attack found: an upper bound of each case's distance to the border of the decision.

    Arguments
        radius: [n] the smallest cost that fooled; 0 where the model was fooled already, infinite where it never was.
        ids, patients: [n] names of the cases and who they belong to, for intervals that resample patients.
        attack, unit: who searched, and the unit of the radii.
        high: the widest limit that was tried.
        tolerance: how far a radius may lie above the smallest limit at which this attack fools; 0 if it is a cost that
            the attack minimized itself.
        queries, passes: [n] questions asked and gradients taken.

    >>> radius = np.array([0.0, 0.2, 0.3, np.inf])
    >>> radii = Radii(radius, tuple("abcd"), np.arange(4), "pgd", "mV", high=1.0, tolerance=0.001)
    >>> radii.median, radii.standing([0.0, 0.25, 1.0]).tolist()
    (0.25, [0.75, 0.5, 0.25])
    >>> print(radii)
    Median minimal radius 0.25 mV over 4 cases (pgd): 1 wrong without any change, 1 never fooled up to 1 mV.
    """

    radius: Array
    ids: tuple[str, ...]
    patients: Array
    attack: str
    unit: str
    high: float
    tolerance: float = 0.0
    queries: Array | None = None
    passes: Array | None = None

    def __len__(self) -> int:
        return len(self.radius)

    @property
    def median(self) -> float:
        """The median over all cases; infinite where half of them were never fooled."""
        return self.quantile(0.5)

    def quantile(self, share: float) -> float:
        """The radius within which this share of all cases is fooled, between neighbors the mean; NaN without cases."""
        if not 0 <= share <= 1:
            raise AttackError("a share of 0 to 1", str(share), "correct the quantile")
        if not len(self):
            return math.nan
        ordered = np.sort(self.radius)
        place = share * (len(ordered) - 1)
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        return float(low if low == high else low + (place - math.floor(place)) * (high - low))

    def stands(self, limit: float) -> Array:
        """[n] whether each case withstands this attack at a limit: what proportions and resampling ask for."""
        if not 0 <= limit <= self.high:
            raise AttackError(f"a limit of 0 to {self.high:g}", str(limit), "search the radii with a larger 'high'")
        return np.asarray(self.radius > limit)

    def standing(self, grid: Sequence[float] | Array) -> Array:
        """Robust accuracy at each limit: the share of cases with a larger radius."""
        return np.array([self.stands(float(limit)).mean() if len(self) else math.nan for limit in grid])

    def curve(self) -> tuple[Array, Array]:
        """The whole curve as a staircase: the limits at which a case falls, and the share that stands from there on."""
        steps = np.unique(self.radius[np.isfinite(self.radius)])
        return steps, self.standing(steps)

    def __str__(self) -> str:
        wrong, never = int((self.radius == 0).sum()), int(np.isinf(self.radius).sum())
        unit = f" {self.unit}" if self.unit else ""
        middle = f"above {self.high:g}" if math.isinf(self.median) else f"{self.median:.3g}"
        parts = [f"{wrong} wrong without any change", f"{never} never fooled up to {self.high:g}{unit}"]
        return f"Median minimal radius {middle}{unit} over {len(self)} cases ({self.attack}): {', '.join(parts)}."


def minimal_radii(
    attack: Attack,
    model: Model,
    batch: Batch,
    threat: ThreatModel,
    *,
    seed: str,
    high: float | None = None,
    low: float = 0.0,
    tolerance: float | None = None,
    choices: Array | None = None,
    size: int = 256,
) -> Radii:
    """Each case's minimal radius for this attack; the limit of the threat is not used.

    Attacks that minimize the cost themselves are run once within `high`. The others are bisected: all cases together,
    each with a limit of its own, and a case leaves when its interval is small. What a success really cost is kept when
    it is smaller than the limit, so no later failure can take it back.

    Source: bisection as in Carlini et al. 2019 (arXiv 1902.06705, section 5), who ask for the distance of every case.

    Arguments
        attack, model, batch, threat, seed, choices, size: as for `run`.
        high: the widest limit; None for one that lets everything reach the ends of its range.
        low: limits up to here are not tried.
        tolerance: width at which bisection ends, in the unit of the limit; None for a thousandth of `high`. Numbers of
            values or words are found exactly.

    >>> import titer.testing.models as examples
    >>> from titer.attacks.deepfool import DeepFool
    >>> from titer.threats.changes.additive import Additive
    >>> model, batch = examples.linear(features=3, cases=5)
    >>> weight = np.diff(model.module.weight.detach().numpy(), axis=0)[0]
    >>> exact = np.abs(np.diff(model.predict(batch.inputs), axis=1)[:, 0]) / np.abs(weight).sum()
    >>> found = minimal_radii(DeepFool(), model, batch, ThreatModel(Additive("linf"), 1.0), seed="docs")
    >>> bool(np.allclose(found.radius, exact, rtol=0.02))
    True
    """
    top = whole(model, batch, threat) if high is None else float(high)
    if not (math.isfinite(top) and 0 <= low < top):
        raise ThreatError("limits with 0 <= low < high", f"low {low}, high {high}", "correct 'low' or 'high'")
    width = top / 1000 if tolerance is None else tolerance
    if not width > 0:
        raise ThreatError("a tolerance above 0", str(tolerance), "correct 'tolerance'")
    search = _Search(attack, model, batch, threat, seed, choices, size)
    everyone = np.arange(len(batch))
    first = search.run(everyone, np.full(len(batch), top))
    already = threat.goal.fooled(model.task, batch.targets, first.clean_scores, first.clean_scores)
    radius = np.where(already, 0.0, np.where(first.fooled, first.cost, np.inf))
    queries, passes = first.queries.copy(), first.passes.copy()
    if not attack.minimal:
        counts = threat.change.counts
        below = np.full(len(batch), math.floor(low) if counts else low, dtype=np.float64)
        width = 1.0 if counts else width
        while True:
            rows = np.flatnonzero(np.isfinite(radius) & (radius - below > width))
            if not len(rows):
                break
            middle = (below[rows] + radius[rows]) / 2
            outcome = search.run(rows, np.floor(middle) if counts else middle)
            below[rows] = np.where(outcome.fooled, below[rows], np.floor(middle) if counts else middle)
            radius[rows] = np.where(outcome.fooled, outcome.cost, radius[rows])
            queries[rows] += outcome.queries
            passes[rows] += outcome.passes
    return Radii(
        radius,
        batch.ids,
        batch.patients,
        attack.name,
        threat.change.unit(model.space),
        top,
        0.0 if attack.minimal or threat.change.counts else width,
        queries,
        passes,
    )


def whole(model: Model, batch: Batch, threat: ThreatModel) -> float:
    """The limit within which every value can reach the ends of its range, or every word can change."""
    space, change = model.space, threat.change
    if isinstance(change, StepwiseChange):
        return float(max(1, math.prod(batch.inputs.shape[1:])))
    if not isinstance(change, BallChange) or change.surface == "embedding":
        raise ThreatError("a limit 'high' for this change", repr(change.name), "give the widest limit to be tried")
    low, high = (np.broadcast_to(edge, space.shape) for edge in space.bounds())
    span = (high - low) / np.broadcast_to(space.per_channel(space.scale), space.shape)
    size = {
        "l0": span.size,
        "l1": np.abs(span).sum(),
        "l2": np.linalg.norm(span.ravel()),
        "linf": span.max(initial=0),
    }[change.norm]
    if not np.isfinite(size):
        raise ThreatError("a limit 'high' where values have no end", str(size), "give the widest limit to be tried")
    return float(size)


@dataclass(frozen=True, eq=False)
class _Search:
    """One attack on some of the cases with their own limits."""

    attack: Attack
    model: Model
    batch: Batch
    threat: ThreatModel
    seed: str
    choices: Array | None
    size: int

    def run(self, rows: Array, limits: Array) -> Outcome:
        return run(
            self.attack,
            self.model,
            self.batch.take(rows),
            self.threat,
            seed=self.seed,
            limits=limits,
            choices=self.choices,
            size=self.size,
        )

"""What a model's answer means: which numbers it gives, how they become a decision, and when a decision is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from titer.cases.case import Array
from titer.errors import ModelError, PlanError
from titer.models.overlap import MEASURES, Measure, overlap

Kind = Literal["classes", "binary", "multilabel", "regression", "anomaly", "segmentation"]


@dataclass(frozen=True)
class Task:
    """The meaning of a model's scores [n, K]; of a segmentation [n, K, *spatial], with targets [n, *spatial].

    ============  ===========================  ==========================================
    kind          scores                       decision
    ============  ===========================  ==========================================
    classes       one logit per class, K >= 2  largest logit (two classes: see threshold)
    binary        one logit, K = 1             logit above the threshold means class 1
    multilabel    one logit per finding        each logit above its threshold
    regression    the predicted quantity       the number itself
    anomaly       one score, K = 1             score above the threshold means abnormal
    segmentation  one logit per class and      largest logit in each pixel (one logit: above
                  pixel; two classes also as   the threshold means class 1)
                  one logit
    ============  ===========================  ==========================================

    Arguments
        kind: see the table.
        classes: names of classes or findings; for regression the name of the quantity; for segmentation the background
            first.
        positive: class numbers that mean disease; for segmentation those that Dice is averaged over, all but the
            background if left out.
        threshold: operating point on the positive score (see `positive_score`), fixed on validation data; one
            number, or one per finding. Only for decisions between two sides, for findings, and for two-class maps.
        tolerance: regression: an answer further than this from the truth, in clinical units, is wrong. Segmentation: a
            map that agrees with the truth less than this is wrong, e.g. a Dice of 0.8.
        measure: segmentation only: what agreement is, "dice" or "pixels" (see `overlap`).

    >>> task = Task("classes", ("normal", "pneumonia"), positive=(1,)).at(0.5)
    >>> task.decide(np.array([[0.0, 0.4], [0.0, 0.6]])).tolist()
    [0, 1]
    """

    kind: Kind
    classes: tuple[str, ...]
    positive: tuple[int, ...] = ()
    threshold: float | tuple[float, ...] = 0.0
    tolerance: float | None = None
    measure: Measure = "dice"

    def __post_init__(self) -> None:
        if self.kind == "classes" and len(self.classes) < 2:
            raise ModelError("at least two classes", str(self.classes), "use task kind 'binary' for one logit")
        if self.kind in ("binary", "anomaly") and len(self.classes) != 2:
            raise ModelError("the names of both sides", str(self.classes), "name the negative and the positive class")
        if self.kind == "regression" and not (self.tolerance and self.tolerance > 0):
            raise PlanError(
                "a tolerance above 0 for a regression", str(self.tolerance), "say how far off, in its unit, is wrong"
            )
        if self.kind == "segmentation":
            self._check_maps()
        elif self.measure != "dice":
            raise PlanError("'measure' for a segmentation only", f"{self.measure!r} with {self.kind!r}", "leave it out")
        if any(not 0 <= k < len(self.classes) for k in self.positive):
            raise ModelError(
                f"positive classes of 0 to {len(self.classes) - 1}", str(self.positive), "use class numbers"
            )
        if self.kind in ("binary", "anomaly") and self.positive not in ((), (1,)):
            raise ModelError(
                f"class 1 ({self.classes[1]}) as the positive one of a task with one score",
                str(self.positive),
                "give two scores per case (kind 'classes'), or name the diseased side second and invert the score",
            )
        if self.kind in ("classes", "segmentation") and len(set(self.positive)) == len(self.classes):
            raise ModelError(
                "at least one class that is not positive", str(self.positive), "leave the healthy class out"
            )
        self._check_threshold()

    def _check_maps(self) -> None:
        if len(self.classes) < 2:
            raise ModelError("the background and at least one class", str(self.classes), "name the background first")
        if self.measure not in MEASURES:
            raise PlanError(f"a measure among {', '.join(MEASURES)}", repr(self.measure), "correct 'measure'")
        if self.tolerance is None or not 0 < self.tolerance <= 1:
            raise PlanError(
                "a tolerance above 0, up to 1, for a segmentation",
                str(self.tolerance),
                "say which Dice (or share of right pixels) is the least that is still right, e.g. 0.8",
            )
        if len(self.classes) > 2 and self.threshold != 0:
            raise PlanError("no threshold for maps of several classes", str(self.threshold), "leave it out")

    def _check_threshold(self) -> None:
        many = isinstance(self.threshold, tuple)
        count = len(self.classes) if self.kind == "multilabel" else 1
        if (many and (self.kind != "multilabel" or len(np.atleast_1d(self.threshold)) != count)) or np.isnan(
            self.threshold
        ).any():
            raise PlanError(
                "one threshold" + (f", or {count}, one per finding" if self.kind == "multilabel" else ""),
                str(self.threshold),
                "correct the threshold",
            )

    @property
    def outputs(self) -> int:
        """Numbers that the model gives per case; for segmentation per pixel."""
        return len(self.classes) if self.kind in ("classes", "multilabel", "segmentation") else 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Sizes that the second dimension of scores may have: maps of two classes also come as one logit."""
        both = self.kind == "segmentation" and len(self.classes) == 2
        return (self.outputs, 1) if both else (self.outputs,)

    @property
    def measured(self) -> tuple[int, ...]:
        """Class numbers that Dice is averaged over."""
        return self.positive or tuple(range(1, len(self.classes)))

    @property
    def two_sided(self) -> bool:
        """Whether a decision lies between two sides, so that one threshold moves it."""
        return self.kind in ("binary", "anomaly") or (self.kind == "classes" and len(self.classes) == 2)

    @property
    def disease(self) -> int:
        """Class number of the diseased side of a two-sided task."""
        return self.positive[0] if self.positive else 1

    def at(self, threshold: float | tuple[float, ...]) -> Task:
        """The same task with its operating point fixed."""
        if not self.two_sided and self.kind != "multilabel" and len(self.widths) < 2:
            raise PlanError(
                "a two-sided or multi-label task for a threshold", f"kind {self.kind!r}", "leave the threshold out"
            )
        return replace(self, threshold=threshold)

    def check(self, scores: Array, targets: Array | None = None) -> None:
        """Refuse scores whose shape or values do not fit; maps must also have the shape of the true ones."""
        maps = self.kind == "segmentation"
        if (scores.ndim < 3 if maps else scores.ndim != 2) or scores.shape[1] not in self.widths:
            raise ModelError(
                f"{' or '.join(map(str, self.widths))} number(s) per {'pixel' if maps else 'case'} for {self.kind} of "
                f"{', '.join(self.classes)}",
                f"output of shape {list(scores.shape)}",
                "correct the task in the plan (kind, classes) or the model's last layer",
            )
        if np.isnan(scores).any():
            raise ModelError(
                "numbers from the model",
                f"NaN for {int(np.isnan(scores).reshape(len(scores), -1).any(axis=1).sum())} of {len(scores)} cases",
                "check the model's preprocessing and weights",
            )
        if maps and targets is not None and targets.shape[1:] != scores.shape[2:]:
            raise ModelError(
                f"a map of shape {list(targets.shape[1:])} for each case, as the true ones have",
                str(list(scores.shape[2:])),
                "resize the true maps or the model's answer, or take the right 'output'",
            )

    def shifted(self, scores: Any) -> Any:
        """Scores moved so that the threshold lies at zero; works on arrays and tensors alike; never in place."""
        thresholds = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,) * self.outputs
        if not any(thresholds) or self.kind == "regression":
            return scores
        chosen = self.kind == "classes" or (self.kind == "segmentation" and scores.shape[1] > 1)
        columns = (self.disease,) if chosen else range(scores.shape[1])
        moved = scores + 0.0
        for column in columns:
            moved[:, column] = moved[:, column] - thresholds[column]
        return moved

    def decide(self, scores: Array) -> Array:
        """Decisions [n] (findings: [n, K]; segmentation: [n, *spatial]) at the operating point."""
        moved = self.shifted(np.asarray(scores, dtype=np.float64))
        if self.kind == "segmentation":
            return np.asarray(moved.argmax(axis=1) if scores.shape[1] > 1 else (moved[:, 0] > 0).astype(np.int64))
        if self.kind == "regression":
            return np.asarray(moved[:, 0])
        if self.kind == "multilabel":
            return np.asarray((moved > 0).astype(np.int64))
        if self.kind == "classes":
            if self.two_sided:
                other = 1 - self.disease
                sick = moved[:, self.disease] > moved[:, other]
                return np.where(sick, self.disease, other)
            return np.asarray(moved.argmax(axis=1))
        return np.asarray((moved[:, 0] > 0).astype(np.int64))

    def correct(self, scores: Array, targets: Array) -> Array:
        """Whether each decision is right, [n] booleans; several findings must all be right, maps agree enough."""
        decided = self.decide(scores)
        if self.kind == "segmentation":
            return self.agreement(scores, targets) >= float(self.tolerance or 0)
        if self.kind == "regression":
            return np.asarray(np.abs(decided - targets) <= float(self.tolerance or 0))
        if self.kind == "multilabel":
            return np.asarray((decided == targets).all(axis=1))
        return np.asarray(decided == targets)

    def agreement(self, scores: Array, targets: Array) -> Array:
        """Segmentation: how well each decided map agrees with the true one, [n] numbers of 0 to 1.

        >>> task = Task("segmentation", ("background", "lesion"), tolerance=0.8)
        >>> task.agreement(np.array([[[-1.0, 2.0, 1.0]]]), np.array([[0, 0, 1]])).round(3).tolist()
        [0.667]
        """
        self.check(scores, targets)
        return overlap(self.decide(scores), targets, self.measured, self.measure)

    def written(self, decided: Array, width: int) -> Array:
        """Decisions as scores [n, width, ...] that lead to them: one-hot for classes, -1 or +1 for one logit."""
        if self.kind == "regression":
            return np.asarray(decided, dtype=np.float64).reshape(-1, 1)
        if width > 1 and self.kind in ("classes", "segmentation"):
            return np.moveaxis(np.eye(width)[decided], -1, 1)
        plain = 2.0 * np.asarray(decided, dtype=np.float64) - 1
        return plain if self.kind == "multilabel" else plain[:, None]

    def positive_score(self, scores: Array) -> Array:
        """One number per case that rises with disease; the axis on which a threshold is chosen."""
        if self.kind == "segmentation":
            raise PlanError("a task with one decision per case", "segmentation", "compare maps with 'agreement'")
        if self.kind == "classes":
            inside = list(self.positive) if self.positive else [1]
            outside = [k for k in range(len(self.classes)) if k not in inside]
            return np.asarray(_log_sum(scores[:, inside]) - _log_sum(scores[:, outside]))
        return np.asarray(scores[:, 0], dtype=np.float64)

    def confidence(self, scores: Array) -> Array:
        """Probability given to the decision, [n]; NaN where scores are no logits."""
        values = np.asarray(scores, dtype=np.float64)
        if self.kind == "classes":
            return np.asarray(np.exp(values.max(axis=1) - _log_sum(values)))
        if self.kind == "binary":
            return np.asarray(1.0 / (1.0 + np.exp(-np.abs(values[:, 0]))))
        return np.full(len(values), np.nan)


def _log_sum(values: Array) -> Array:
    values = np.asarray(values, dtype=np.float64)
    top = values.max(axis=1, keepdims=True)
    # A class that a model rules out has a logit of minus infinity.
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray((top + np.log(np.exp(values - top).sum(axis=1, keepdims=True)))[:, 0])

"""What a model's answer means: which numbers it gives, how they become a decision, and when a decision is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from titer.cases.case import Array
from titer.errors import ModelError, PlanError

Kind = Literal["classes", "binary", "multilabel", "regression", "anomaly"]


@dataclass(frozen=True)
class Task:
    """The meaning of a model's scores [n, K].

    ==========  ===========================  ==========================================
    kind        scores                       decision
    ==========  ===========================  ==========================================
    classes     one logit per class, K >= 2  largest logit (two classes: see threshold)
    binary      one logit, K = 1             logit above the threshold means class 1
    multilabel  one logit per finding        each logit above its threshold
    regression  the predicted quantity       the number itself
    anomaly     one score, K = 1             score above the threshold means abnormal
    ==========  ===========================  ==========================================

    Arguments
        kind: see the table.
        classes: names of classes or findings; for regression the name of the quantity.
        positive: class numbers that mean disease.
        threshold: operating point on the positive score (see `positive_score`), fixed on validation data; one
            number, or one per finding. Only for decisions between two sides and for findings.
        tolerance: regression only: an answer further than this from the truth, in clinical units, is wrong.

    >>> task = Task("classes", ("normal", "pneumonia"), positive=(1,)).at(0.5)
    >>> task.decide(np.array([[0.0, 0.4], [0.0, 0.6]])).tolist()
    [0, 1]
    """

    kind: Kind
    classes: tuple[str, ...]
    positive: tuple[int, ...] = ()
    threshold: float | tuple[float, ...] = 0.0
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.kind == "classes" and len(self.classes) < 2:
            raise ModelError("at least two classes", str(self.classes), "use task kind 'binary' for one logit")
        if self.kind in ("binary", "anomaly") and len(self.classes) != 2:
            raise ModelError("the names of both sides", str(self.classes), "name the negative and the positive class")
        if self.kind == "regression" and not (self.tolerance and self.tolerance > 0):
            raise PlanError(
                "a tolerance above 0 for a regression", str(self.tolerance), "say how far off, in its unit, is wrong"
            )
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
        if self.kind == "classes" and len(set(self.positive)) == len(self.classes):
            raise ModelError(
                "at least one class that is not positive", str(self.positive), "leave the healthy class out"
            )
        self._check_threshold()

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
        """Numbers that the model gives per case."""
        return len(self.classes) if self.kind in ("classes", "multilabel") else 1

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
        if not self.two_sided and self.kind != "multilabel":
            raise PlanError(
                "a two-sided or multi-label task for a threshold", f"kind {self.kind!r}", "leave the threshold out"
            )
        return replace(self, threshold=threshold)

    def check(self, scores: Array) -> None:
        """Refuse scores whose shape or values do not fit."""
        if scores.ndim != 2 or scores.shape[1] != self.outputs:
            raise ModelError(
                f"{self.outputs} number(s) per case for {self.kind} of {', '.join(self.classes)}",
                f"output of shape {list(scores.shape)}",
                "correct the task in the plan (kind, classes) or the model's last layer",
            )
        if np.isnan(scores).any():
            raise ModelError(
                "numbers from the model",
                f"NaN for {int(np.isnan(scores).any(axis=1).sum())} of {len(scores)} cases",
                "check the model's preprocessing and weights",
            )

    def shifted(self, scores: Any) -> Any:
        """Scores moved so that the threshold lies at zero; works on arrays and tensors alike; never in place."""
        thresholds = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,) * self.outputs
        if not any(thresholds) or self.kind == "regression":
            return scores
        columns = (self.disease,) if self.kind == "classes" else range(self.outputs)
        moved = scores + 0.0
        for column in columns:
            moved[:, column] = moved[:, column] - thresholds[column]
        return moved

    def decide(self, scores: Array) -> Array:
        """Decisions [n] (findings: [n, K]) at the operating point."""
        moved = self.shifted(np.asarray(scores, dtype=np.float64))
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
        """Whether each decision is right, [n] booleans; several findings must all be right."""
        decided = self.decide(scores)
        if self.kind == "regression":
            return np.asarray(np.abs(decided - targets) <= float(self.tolerance or 0))
        if self.kind == "multilabel":
            return np.asarray((decided == targets).all(axis=1))
        return np.asarray(decided == targets)

    def positive_score(self, scores: Array) -> Array:
        """One number per case that rises with disease; the axis on which a threshold is chosen."""
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

"""What a cell measured: accuracy, sensitivity, specificity, errors of a regression, agreement of maps."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np

from titer.audit.assemble.numbers import Array, difference, mean, over_areas, share
from titer.audit.report.schema import (
    ClassificationMetrics,
    LabelMetrics,
    Measure,
    Metrics,
    MultiLabelMetrics,
    RegressionMetrics,
    SegmentationMetrics,
)
from titer.audit.results import CellResults, Measured
from titer.audit.statistics.auroc import auroc
from titer.audit.statistics.macro_auroc import macro_auroc
from titer.audit.statistics.proportions import one_vs_rest
from titer.audit.table import Table
from titer.threats.goal import Goal


def metrics(cell: CellResults, resamples: int) -> Metrics:
    """All measures of one cell, pooled over its trials."""
    if cell.task.kind == "regression":
        return _regression(cell, resamples)
    if cell.task.kind == "multilabel":
        return _multilabel(cell, resamples)
    if cell.task.kind == "segmentation":
        return _segmentation(cell, resamples)
    return _classification(cell, resamples)


def area(trials: tuple[Measured, ...], which: str, label: int | None = None) -> Measure | None:
    """AUROC before or after, per trial by DeLong, over trials by a t interval; None where it does not exist."""
    found = []
    for trial in trials:
        table = trial.before if which == "before" else trial.after
        if label is None:
            actual, scores = trial.sick, trial.task.positive_score(table["scores"])
        else:
            actual, scores = trial.targets[:, label] == 1, table["scores"][:, label]
        if actual is None or min(actual.sum(), (~actual).sum()) < 2:
            continue
        several = len(np.unique(trial.patients)) < len(actual)
        enough = all(len(np.unique(trial.patients[side])) > 1 for side in (actual, ~actual))
        one = auroc(actual, scores, patients=trial.patients if several and enough else None)
        found.append(Measure(
            value=one.value, low=min(one.low, one.value), high=max(one.high, one.value), n=len(actual),
            method=one.method, unit="score",
        ))  # fmt: skip
    return over_areas(found)


def success(cell: CellResults, resamples: int) -> Measure | None:
    """Share of cases in which the attacker got what was wanted, among those in which the clean answer did not give it.

    For any wrong answer: of the cases answered rightly, those turned wrong. None where every clean answer gave it.
    """
    goal = Goal(cell.threat.spec.goal, cell.threat.spec.target)

    def reached(trial: Measured, table: Table) -> Array:
        return np.asarray(goal.fooled(trial.task, trial.targets, trial.before["scores"], table["scores"]), dtype=bool)

    open_ = ~cell.pooled(lambda t: reached(t, t.before))
    got = cell.pooled(lambda t: reached(t, t.after))
    return share(got[open_], cell.pooled(lambda t: t.patients)[open_], resamples)


def _classification(cell: CellResults, resamples: int) -> ClassificationMetrics:
    patients = cell.pooled(lambda t: t.patients)
    before, after = cell.pooled(lambda t: t.right_before), cell.pooled(lambda t: t.right_after)

    def part(hit: Array, where: Array) -> Measure | None:
        return share(hit[where], patients[where], resamples)

    everyone = np.ones(len(before), dtype=bool)
    sides = _sides(cell, part)
    confidence = {
        "clean": cell.pooled(lambda t: t.task.confidence(t.before["scores"])),
        "attacked": cell.pooled(lambda t: t.task.confidence(t.after["scores"])),
    }

    def sure(values: Array, where: Array) -> Measure | None:
        return mean(values[where], patients[where], resamples, unit="proportion")

    return ClassificationMetrics(
        clean_accuracy=_some(part(before, everyone)),
        robust_accuracy=_some(part(after, everyone)),
        accuracy_drop=_some(difference(~before, ~after, patients, resamples)),
        attack_success_rate=success(cell, resamples),
        auroc_clean=area(cell.trials, "before"),
        auroc_attacked=area(cell.trials, "after"),
        confidence_clean=sure(confidence["clean"], everyone),
        confidence_attacked=sure(confidence["attacked"], everyone),
        confidence_on_errors=sure(confidence["attacked"], ~after),
        **sides,
    )


def _sides(cell: CellResults, part: Any) -> dict[str, Measure | None]:
    """Sensitivity and specificity, of disease where there is one, else averaged over classes."""
    if any(trial.sick is None for trial in cell.trials):
        return _macro(cell)
    sick = cell.pooled(lambda t: np.asarray(t.sick))
    found: dict[str, Measure | None] = {}
    for when, called in (
        ("clean", cell.pooled(lambda t: t.called_before)),
        ("attacked", cell.pooled(lambda t: t.called_after)),
    ):
        found[f"sensitivity_{when}"] = part(called, sick)
        found[f"specificity_{when}"] = part(~called, ~sick)
        found[f"fnr_{when}"] = part(~called, sick)
        found[f"fpr_{when}"] = part(called, ~sick)
    return found


def _macro(cell: CellResults) -> dict[str, Measure | None]:
    found: dict[str, Measure | None] = {}
    actual = cell.pooled(lambda t: t.targets)
    for when, decided in (
        ("clean", cell.pooled(lambda t: t.task.decide(t.before["scores"]))),
        ("attacked", cell.pooled(lambda t: t.task.decide(t.after["scores"]))),
    ):
        known = sorted(set(actual.tolist()))
        inside = np.isin(decided, known)
        rates = one_vs_rest(actual, np.where(inside, decided, known[0]), classes=known)
        for name, rate in (("sensitivity", rates.macro_sensitivity), ("specificity", rates.macro_specificity)):
            found[f"{name}_{when}"] = Measure(
                value=rate.value,
                low=rate.low,
                high=rate.high,
                n=rate.n,
                method=f"macro over {len(known)} classes, {rate.method}",
            )
    return found


def _regression(cell: CellResults, resamples: int) -> RegressionMetrics:
    patients = cell.pooled(lambda t: t.patients)
    unit = unit_of(cell.dataset.classes[0])
    errors = {
        "clean": cell.pooled(lambda t: t.task.decide(t.before["scores"]) - t.targets),
        "attacked": cell.pooled(lambda t: t.task.decide(t.after["scores"]) - t.targets),
    }
    right = {"clean": cell.pooled(lambda t: t.right_before), "attacked": cell.pooled(lambda t: t.right_after)}
    found: dict[str, Any] = {}
    for when, error in errors.items():
        square = _some(mean(error**2, patients, resamples, unit=unit))
        found[f"rmse_{when}"] = square.model_copy(
            update={name: _root(getattr(square, name)) for name in ("value", "low", "high")}
        )
        found[f"mae_{when}"] = mean(np.abs(error), patients, resamples, unit=unit)
        found[f"within_tolerance_{when}"] = share(right[when], patients, resamples)
    return RegressionMetrics(attack_success_rate=success(cell, resamples), **found)


def _segmentation(cell: CellResults, resamples: int) -> SegmentationMetrics:
    patients = cell.pooled(lambda t: t.patients)
    columns = {
        (name, when): cell.pooled(partial(_column, name=name, when=when))
        for name in ("dice", "iou")
        for when in ("clean", "attacked")
    }
    found: dict[str, Any] = {
        f"{name}_{when}": _some(mean(values, patients, resamples, unit="score"))
        for (name, when), values in columns.items()
    }
    right = {"clean": cell.pooled(lambda t: t.right_before), "attacked": cell.pooled(lambda t: t.right_after)}
    for when, hit in right.items():
        found[f"within_tolerance_{when}"] = share(hit, patients, resamples)
    lost = mean(columns["dice", "clean"] - columns["dice", "attacked"], patients, resamples, unit="points", factor=100)
    return SegmentationMetrics(dice_drop=_some(lost), attack_success_rate=success(cell, resamples), **found)


def _column(trial: Measured, name: str, when: str) -> Array:
    return (trial.before if when == "clean" else trial.after)[name]


def _root(value: float | None) -> float | None:
    return None if value is None else float(np.sqrt(max(0.0, value)))


def _multilabel(cell: CellResults, resamples: int) -> MultiLabelMetrics:
    patients = cell.pooled(lambda t: t.patients)
    labels = tuple(
        LabelMetrics(
            label=name, auroc_clean=area(cell.trials, "before", k), auroc_attacked=area(cell.trials, "after", k)
        )
        for k, name in enumerate(cell.task.classes)
    )
    before, after = cell.pooled(lambda t: t.right_before), cell.pooled(lambda t: t.right_after)
    return MultiLabelMetrics(
        macro_auroc_clean=_macro_area(cell, "before"),
        macro_auroc_attacked=_macro_area(cell, "after"),
        exact_match_clean=share(before, patients, resamples),
        exact_match_attacked=share(after, patients, resamples),
        attack_success_rate=success(cell, resamples),
        labels=labels,
    )


def _macro_area(cell: CellResults, which: str) -> Measure:
    """Mean AUROC over the findings that have both kinds of cases, per trial with its interval, then over trials."""
    found = []
    for trial in cell.trials:
        table = trial.before if which == "before" else trial.after
        kept = [k for k in range(trial.targets.shape[1]) if _both_kinds(trial.targets[:, k] == 1, trial.patients)]
        if not kept:
            continue
        several = len(np.unique(trial.patients)) < len(trial.patients)
        one = macro_auroc(
            trial.targets[:, kept] == 1, table["scores"][:, kept], patients=trial.patients if several else None
        )
        known = one.low < one.high
        found.append(Measure(
            value=one.value, low=one.low if known else None, high=one.high if known else None, n=one.n,
            method=f"{one.method}; {one.findings} of {trial.targets.shape[1]} findings", unit="score",
        ))  # fmt: skip
    made = over_areas(found)
    if made is None:
        n = sum(len(trial.targets) for trial in cell.trials)
        return Measure(value=0.5, n=n, method="no finding with both kinds of cases: 0.5 by convention", unit="score")
    return made


def _both_kinds(there: Array, patients: Array) -> bool:
    return all(len(np.unique(patients[side])) > 1 for side in (there, ~there))


def unit_of(quantity: str) -> str:
    """The unit in the name of a quantity; without one, the quantity's own.

    >>> unit_of("age [years]"), unit_of("stay (days)"), unit_of("score")
    ('years', 'days', 'units of score')
    """
    match = re.search(r"[\[(]([^\])]+)[\])]\s*$", quantity)
    return match[1].strip() if match else f"units of {quantity}"


def _some(measure: Measure | None) -> Measure:
    if measure is None:
        return Measure(value=0.0, n=0, method="no cases")
    return measure

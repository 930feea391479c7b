"""The paper's figure and table in our measured form: accuracy before and after, and mean drops over trials."""

from __future__ import annotations

import numpy as np

from titer.audit.assemble.curves import limit_of
from titer.audit.assemble.numbers import over_trials
from titer.audit.report.schema import Cell, ClassificationMetrics, Figure1Bar, Figure1Group, MeanDrop, Table1Row
from titer.audit.results import CellResults, Results
from titer.audit.subject import recipe_of


def figure1(results: Results, cells: dict[str, Cell]) -> tuple[Figure1Group, ...]:
    """Per model the accuracy clean and under each attack at its main limit."""
    groups = []
    for number, subject in enumerate(results.prepared.plan.subjects):
        mains = [cell for cell in results.of(number) if cell.is_main]
        found = [(cell, cells[cell.name].metrics) for cell in mains]
        bars: list[Figure1Bar] = []
        for cell, metrics in found:
            if not isinstance(metrics, ClassificationMetrics):
                continue
            if not bars:
                bars.append(Figure1Bar(condition="clean", accuracy=metrics.clean_accuracy))
            several = len({each.threat.id for each in mains}) > 1
            name = (
                f"{cell.attack} ({cell.threat.id} {cell.radius.label})"
                if several
                else f"{cell.attack} {cell.radius.label}"
            )
            bars.append(Figure1Bar(condition=name, accuracy=metrics.robust_accuracy, cell=cell.name))
        if bars:
            data = results.prepared.datasets[number].card.name
            groups.append(
                Figure1Group(model=subject.name, family=family(results, number), dataset=data, bars=tuple(bars))
            )
    return tuple(groups)


def table1(results: Results) -> tuple[Table1Row, ...]:
    """Per model and attack the mean accuracy drop over trials, at the main limit."""
    rows = []
    for number, subject in enumerate(results.prepared.plan.subjects):
        for cell in results.of(number):
            if cell.is_main and not cell.control and cell.task.kind not in ("regression", "multilabel", "segmentation"):
                rows.append(
                    Table1Row(
                        model=subject.name,
                        family=family(results, number),
                        dataset=cell.dataset.card.name,
                        attack=cell.attack,
                        limit=limit_of(cell),
                        cell=cell.name,
                        ours=mean_drop(cell),
                    )
                )
    return tuple(rows)


def mean_drop(cell: CellResults) -> MeanDrop:
    """Accuracy drop per trial in points: mean, spread and t interval."""
    drops = np.array([100 * (t.right_before.mean() - t.right_after.mean()) for t in cell.trials])
    found = over_trials([float(drop) for drop in drops], unit="points", n=len(drops))
    low, high = (found.low, found.high) if found is not None else (None, None)
    spread = float(drops.std(ddof=1)) if len(drops) > 1 else None
    method = found.method if found is not None else "one trial"
    return MeanDrop(mean=float(drops.mean()), sd=spread, low=low, high=high, n=len(drops), method=method)


def family(results: Results, number: int) -> str:
    """What the literature calls a subject's architecture."""
    recipe = recipe_of(results.prepared.plan.subjects[number])
    return recipe.family if recipe is not None else "as given"

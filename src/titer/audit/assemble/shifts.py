"""Misses and false alarms before and after, and results per subgroup."""

from __future__ import annotations

import numpy as np

from titer.audit.assemble.numbers import Array, mean, share
from titer.audit.report.schema import (
    Counts,
    ErrorShift,
    Harm,
    Measure,
    SubgroupRow,
    SubgroupTable,
    TestResult,
    suppress_small,
)
from titer.audit.results import CellResults, Results
from titer.audit.statistics.error_shift import Costs, error_shift
from titer.audit.statistics.mcnemar import McNemar
from titer.audit.statistics.proportions import Confusion


def error_shifts(results: Results) -> tuple[ErrorShift, ...]:
    """The shift in every cell at a main limit whose task knows disease."""
    made = []
    for cell in results.cells:
        if cell.is_main and all(
            trial.sick is not None and 0 < trial.sick.sum() < len(trial.sick) for trial in cell.trials
        ):
            made.append(_shift(cell, results.prepared.plan.resamples))
    return tuple(made)


def subgroups(results: Results) -> tuple[SubgroupTable, ...]:
    """Clean and robust accuracy per group, for the strongest attack at each main limit."""
    made = []
    for number in range(len(results.prepared.plan.subjects)):
        mains = [cell for cell in results.of(number) if cell.is_main and not cell.control]
        if not mains:
            continue
        worst = min(mains, key=lambda c: (c.pooled(lambda t: t.right_after).mean(), c.name))
        for column in (name for name in worst.trials[0].before.columns if name.startswith("group:")):
            rows = _groups(worst, column, results.prepared.plan.resamples)
            if len(rows) > 1:
                hidden = sum(row.suppressed for row in rows)
                note = f"{hidden} groups withheld: fewer than 10 cases, or derivable from such." if hidden else ""
                made.append(SubgroupTable(cell=worst.name, column=column.removeprefix("group:"), rows=rows, note=note))
    return tuple(made)


def _groups(cell: CellResults, column: str, resamples: int) -> tuple[SubgroupRow, ...]:
    values = cell.pooled(lambda t: t.before[column])
    patients = cell.pooled(lambda t: t.patients)
    before, after = cell.pooled(lambda t: t.right_before), cell.pooled(lambda t: t.right_after)
    found: dict[str, tuple[int, dict[str, Measure]]] = {}
    for value in sorted(set(values.tolist())):
        where = values == value
        measures = {
            "clean accuracy": share(before[where], patients[where], resamples),
            "robust accuracy": share(after[where], patients[where], resamples),
        }
        if all(trial.sick is not None for trial in cell.trials):
            sick = cell.pooled(lambda t: np.asarray(t.sick))
            called = cell.pooled(lambda t: t.called_after)
            ill, well = where & sick, where & ~sick
            measures["sensitivity attacked"] = share(called[ill], patients[ill], resamples)
            measures["specificity attacked"] = share(~called[well], patients[well], resamples)
        # A patient counts once for the privacy of small groups, however many trials saw the case.
        people = len(np.unique(patients[where]))
        found[str(value) or "unknown"] = (people, {name: m for name, m in measures.items() if m is not None})
    return suppress_small(found)


def _shift(cell: CellResults, resamples: int) -> ErrorShift:
    sick = cell.pooled(lambda t: np.asarray(t.sick))
    before, after = cell.pooled(lambda t: t.called_before), cell.pooled(lambda t: t.called_after)
    patients = cell.pooled(lambda t: t.patients)
    spec = cell.subject.costs
    costs = Costs(spec.false_negative, spec.false_positive, spec.unit, spec.prevalence)
    found = error_shift(sick, before, after, costs=costs)

    def rate(hit: Array, where: Array) -> Measure:
        made = share(hit[where], patients[where], resamples)
        return made or Measure(value=0.0, n=0, method="no cases")

    def moved(where: Array, sign: float) -> Measure:
        change = sign * (after[where].astype(float) - before[where].astype(float))
        made = mean(change, patients[where], resamples, unit="points", factor=100)
        return made or Measure(value=0.0, n=0, method="no cases", unit="points")

    facts = cell.trials[0].before.facts
    positive = " or ".join(cell.task.classes[k] for k in (cell.task.positive or (cell.task.disease,)))
    return ErrorShift(
        cell=cell.name,
        positive=positive,
        threshold=str(facts["threshold_source"]),
        clean=_counts(found.clean.confusion),
        attacked=_counts(found.attacked.confusion),
        fnr_clean=rate(~before, sick),
        fnr_attacked=rate(~after, sick),
        fpr_clean=rate(before, ~sick),
        fpr_attacked=rate(after, ~sick),
        fnr_shift=moved(sick, -1.0),
        fpr_shift=moved(~sick, 1.0),
        mcnemar_diseased=_paired(cell, found.mcnemar.diseased, sick, "diseased"),
        mcnemar_healthy=_paired(cell, found.mcnemar.healthy, ~sick, "healthy"),
        harm=Harm(
            cost_fn=spec.false_negative,
            cost_fp=spec.false_positive,
            unit=spec.unit,
            prevalence=found.harm.prevalence,
            per_thousand=Measure(
                value=found.harm.per_1000,
                low=min(found.harm.low, found.harm.per_1000),
                high=max(found.harm.high, found.harm.per_1000),
                n=found.harm.n,
                method=found.harm.method,
                unit=spec.unit,
            ),
            note="Costs and prevalence as the plan states them; prevalence as among the test cases if it states none.",
        ),
    )


def _counts(found: Confusion) -> Counts:
    return Counts(tp=found.tp, fn=found.fn, fp=found.fp, tn=found.tn)


def _paired(cell: CellResults, found: McNemar, where: Array, who: str) -> TestResult:
    """McNemar's test among the diseased or the healthy; by patient where patients have several cases."""
    from titer.audit.statistics.mcnemar import mcnemar_by_patient

    patients = cell.pooled(lambda t: t.patients)[where]
    several = len(np.unique(patients)) < len(patients)
    if several:
        before, after = cell.pooled(lambda t: t.right_before)[where], cell.pooled(lambda t: t.right_after)[where]
        found = mcnemar_by_patient(before, after, patients=patients)
    word = "differ" if found.p < 0.05 else "are not shown to differ"
    return TestResult(
        name="McNemar by patient" if several else "exact McNemar",
        p=min(1.0, max(0.0, found.p)),
        n=found.n,
        method=found.method,
        sentence=f"Among the {who}, errors before and after {word} (newly wrong {found.b}, newly right {found.c}).",
    )

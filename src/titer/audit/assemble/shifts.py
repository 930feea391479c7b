"""Misses and false alarms before and after, and results per subgroup."""

from __future__ import annotations

from typing import Literal

import numpy as np

from titer.audit.assemble.numbers import Array, difference, share
from titer.audit.plan import CostSpec
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
    found = error_shift(sick, before, after, costs=Costs(spec.false_negative, spec.false_positive))

    def rate(hit: Array, where: Array) -> Measure:
        made = share(hit[where], patients[where], resamples)
        return made or Measure(value=0.0, n=0, method="no cases")

    def moved(where: Array, wrong_before: Array, wrong_after: Array) -> Measure:
        made = difference(wrong_before[where], wrong_after[where], patients[where], resamples)
        return made or Measure(value=0.0, n=0, method="no cases", unit="points")

    fnr_shift, fpr_shift = moved(sick, ~before, ~after), moved(~sick, before, after)
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
        fnr_shift=fnr_shift,
        fpr_shift=fpr_shift,
        mcnemar_diseased=_paired(cell, found.mcnemar.diseased, sick, "diseased"),
        mcnemar_healthy=_paired(cell, found.mcnemar.healthy, ~sick, "healthy"),
        harm=_harm(spec, fnr_shift, fpr_shift, float(sick.mean())),
    )


def _harm(spec: CostSpec, fnr_shift: Measure, fpr_shift: Measure, share_of_sick: float) -> Harm:
    """Errors that the attack adds per thousand patients, and both weighted; the prevalence is taken as known."""
    prevalence = share_of_sick if spec.prevalence is None else spec.prevalence
    misses = _per_thousand(fnr_shift, prevalence)
    alarms = _per_thousand(fpr_shift, 1 - prevalence)
    weighted = ((spec.false_negative, misses), (spec.false_positive, alarms))
    value = sum(weight * part.value for weight, part in weighted)
    # Errors of two kinds are never counted as one of them, whatever an older plan calls their unit.
    unit = "weighted errors" if "alarm" in spec.unit.casefold() else spec.unit
    counted = [(weight, part) for weight, part in weighted if weight > 0 and part.n > 0]
    ends: dict[str, float] = {}
    if counted and all(part.low is not None for _, part in counted):
        for end, sign in (("low", -1), ("high", 1)):
            reach = sum((weight * (getattr(part, end) - part.value)) ** 2 for weight, part in counted) ** 0.5
            ends[end] = value + sign * reach
    stated = bool({"false_negative", "false_positive"} & spec.model_fields_set)
    source: Literal["plan", "test set"] = "test set" if spec.prevalence is None else "plan"
    method = "weights times shifts, square-and-add, prevalence taken as known" if ends else "a shift has no interval"
    return Harm(
        cost_fn=spec.false_negative,
        cost_fp=spec.false_positive,
        unit=unit,
        stated=stated,
        prevalence=prevalence,
        prevalence_source=source,
        extra_misses=misses,
        extra_alarms=alarms,
        per_thousand=Measure(value=value, n=fnr_shift.n + fpr_shift.n, method=method, unit=unit, **ends),
        note=(
            f"Weights: {'stated by the plan' if stated else 'the plan states none, these are defaults'}. "
            f"Prevalence: {'stated by the plan' if source == 'plan' else 'that of the test cases'}."
        ),
    )


def _per_thousand(shift: Measure, share_of_them: float) -> Measure:
    """A shift in points as errors per thousand patients, of whom a share can suffer that error."""
    factor = 10 * share_of_them
    ends = {} if shift.low is None or shift.high is None or not factor else {
        "low": factor * shift.low, "high": factor * shift.high
    }  # fmt: skip
    method = f"{shift.method}, times the prevalence" if factor else "no such patients"
    return Measure(value=factor * shift.value, n=shift.n, method=method, unit="per thousand", **ends)


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

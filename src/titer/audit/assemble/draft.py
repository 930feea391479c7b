"""The whole report from the whole results."""

from __future__ import annotations

from titer.audit.assemble import cards, paper
from titer.audit.assemble.curves import curves, limit_of
from titer.audit.assemble.metrics import metrics
from titer.audit.assemble.numbers import generator, mean
from titer.audit.assemble.radii import minimal_radii
from titer.audit.assemble.shifts import error_shifts, subgroups
from titer.audit.assemble.verdict import verdict
from titer.audit.captured import receipts_of
from titer.audit.evidence.gate import through_gate
from titer.audit.findings._words import counted, elsewhere
from titer.audit.findings.attack_lowers_accuracy import cell_tests
from titer.audit.gallery import gallery
from titer.audit.report.schema import Cell, ComparisonFamily, Draft, EvidenceRecord, Report, Trap, TrialValue
from titer.audit.report.summary import complete
from titer.audit.results import CellResults, Measured, Results
from titer.audit.subject import recipe_of
from titer.audit.traps import check_traps
from titer.registry import STATISTICS

_ALWAYS = (
    "A failed attack is no proof that none succeeds: robust accuracy is an upper bound; stronger attacks may lower it.",
    "Limits describe what was allowed to change, not what a clinician would notice.",
)


def assemble(
    results: Results, *, source: str = "", plan_file: str = "PLAN.yaml", records: tuple[EvidenceRecord, ...] = ()
) -> Report:
    """Statistics, traps, pictures and words from finished results, with evidence that was made elsewhere.

    Equal results give equal reports, except for `created`.
    """
    plan = results.prepared.plan
    traps = check_traps(results)
    made = tuple(_cell(results, cell, traps, plan_file) for cell in results.cells)
    drawn = curves(results, cards.threat_names(results))
    by_name = {cell.id: cell for cell in made}
    draft = Draft(
        identity=cards.identity(results, source, plan_file),
        models=cards.models(results),
        datasets=cards.datasets(results, traps),
        threats=cards.threats(results),
        attacks=cards.attacks(results),
        cells=made,
        curves=drawn,
        minimal_radii=minimal_radii(results),
        error_shifts=error_shifts(results),
        subgroups=subgroups(results),
        comparisons=_comparisons(results),
        figure1=paper.figure1(results, by_name),
        table1=paper.table1(results),
        traps=traps,
        gallery=gallery(results) if plan.gallery else (),
        limits=verdict(results, made, drawn, traps),
        limitations=(*_ALWAYS, *_particular(results)),
        records=(*records, *receipts_of(results.prepared.plan)),
    )
    return complete(through_gate(draft, plan))


def _cell(results: Results, cell: CellResults, traps: tuple[Trap, ...], plan_file: str) -> Cell:
    resamples = results.prepared.plan.resamples
    patients = cell.pooled(lambda t: t.patients)
    sprung = tuple(trap.id for trap in traps if trap.status == "failed" and cell.name in trap.cells)

    def per_case(column: str, unit: str) -> object:
        values = cell.pooled(lambda t: t.after[column].astype(float))
        return mean(values, patients, resamples, unit=unit)

    return Cell(
        id=cell.name,
        model=cell.subject.name,
        dataset=cell.dataset.card.name,
        attack=cell.attack,
        threat=cards.threat_names(results)[cell.trials[0].trial.subject, cell.threat.id],
        limit=limit_of(cell),
        n_cases=len(set(cell.pooled(lambda t: t.before["row"]).tolist())),
        n_patients=len(set(patients.tolist())),
        n_trials=len(cell.trials),
        metrics=metrics(cell, resamples),
        mean_cost=per_case("cost", cell.radius.unit),
        queries_per_case=per_case("queries", "count"),
        passes_per_case=per_case("passes", "count"),
        trials=tuple(_trial(trial) for trial in cell.trials),
        tests=cell_tests(cell, generator(cell.name, "tests")),
        suspect=bool(sprung),
        suspect_traps=sprung,
        rerun=cards.command_for(cell, plan_file),
    )


def _trial(measured: Measured) -> TrialValue:
    before, after = _main_measure(measured, "before"), _main_measure(measured, "after")
    return TrialValue(
        seed=measured.trial.seed, clean=before, attacked=after, n=len(measured.targets), trial=measured.trial.key
    )


def _main_measure(measured: Measured, when: str) -> float:
    table = measured.before if when == "before" else measured.after
    if measured.task.kind == "regression":
        errors = measured.task.decide(table["scores"]) - measured.targets
        return float((errors**2).mean() ** 0.5)
    if measured.task.kind == "segmentation":
        return float(table["dice"].mean())
    right = measured.right_before if when == "before" else measured.right_after
    return float(right.mean())


def _comparisons(results: Results) -> tuple[ComparisonFamily, ...]:
    families: list[ComparisonFamily] = []
    for name in STATISTICS.names():
        families.extend(STATISTICS.find(name)().compute(results, generator(name)))
    return tuple(families)


def _particular(results: Results) -> tuple[str, ...]:
    said = []
    trained = [recipe_of(subject) is not None for subject in results.prepared.plan.subjects]
    if len(results.prepared.plan.seeds) < 5:
        another = "another split or training" if any(trained) else "another split"
        run = counted(len(results.prepared.plan.seeds), "trial")
        said.append(f"Run: {run}. Fewer than five say little about {another}.")
    for subject, here in zip(results.prepared.plan.subjects, trained, strict=True):
        if not here:
            said.append(
                f"{elsewhere([subject.name])} If cases examined here were among them, it did better on them, with and "
                "without an attack, than it will on new patients."
            )
    for number, data in enumerate(results.prepared.datasets):
        name = results.prepared.plan.subjects[number].name
        if data.card.synthetic:
            said.append(f"{name}: the cases are simulated; numbers do not carry over to patients.")
        if any(not threat.change.exact for threat in results.prepared.threats[number]):
            said.append(
                f"{name}: an embedding change alters the numbers behind the words as no text may; it is not comparable "
                "with changes of words, and neither its success nor its failure says what a rewording could do."
            )
    return tuple(dict.fromkeys(said))

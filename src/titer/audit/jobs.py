"""From plan to jobs: every trial as a pure job, named by all that decides its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import titer
from titer.audit.captured import withheld
from titer.audit.limits import Radius
from titer.audit.loans import Loans, Training, check_recipe, given_model, ledger_of, searching
from titer.audit.operating import check_rule, rule_for
from titer.audit.plan import Plan, Subject
from titer.audit.run.job import Job
from titer.audit.subject import Threatened, read_dataset, read_threats, recipe_of, settings_of, split_of, task_of
from titer.cases.dataset import Dataset
from titer.digest import digest, digest_code
from titer.errors import PlanError
from titer.models.recipe import Recipe

if TYPE_CHECKING:
    from titer.models.model import Model

# Part of every key, so that another version never takes old results for its own.
_VERSION = titer.__version__


@dataclass(frozen=True)
class Trial:
    """One cell of the plan with one seed, and the names of the jobs that give it.

    Arguments
        subject, threat, radius: positions in the plan. attack: label of the attack. seed: seed of the trial.
        clean, key: jobs with the answers before and after.
    """

    subject: int
    threat: int
    radius: int
    attack: str
    seed: int
    clean: str
    key: str


@dataclass(frozen=True)
class RadiusTrial:
    """The minimal radii of one threat with one seed, and the jobs that give them; see `Trial`."""

    subject: int
    threat: int
    seed: int
    clean: str
    key: str


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan whose parts were all opened and found to fit.

    Arguments
        plan: the plan, every subject named. root: folder of data sets.
        datasets, threats: per subject. jobs: all work, in an order that respects dependencies.
        trials, radii: what the jobs are for. part: whether it is a part of the plan, of which no report is made.
    """

    plan: Plan
    root: Path | None
    datasets: tuple[Dataset, ...]
    threats: tuple[tuple[Threatened, ...], ...]
    jobs: tuple[Job, ...]
    trials: tuple[Trial, ...]
    part: bool = False
    radii: tuple[RadiusTrial, ...] = ()

    def subject(self, trial: Trial) -> Subject:
        return self.plan.subjects[trial.subject]

    def radius(self, trial: Trial) -> Radius:
        return self.threats[trial.subject][trial.threat].radii[trial.radius]


def prepare(plan: Plan, root: Path | None, out: Path | None = None) -> Prepared:
    """Open everything a plan names and refuse what cannot run, before any work starts.

    Arguments
        root: folder of data sets. out: folder of the results, where the queries of endpoints are counted as well.
    """
    datasets, threats = [], []
    jobs: dict[str, Job] = {}
    trials: list[Trial] = []
    radii: list[RadiusTrial] = []
    named = [_numbered(read_dataset(subject, root), subject, plan) for subject in plan.subjects]
    checked = [withheld(subject, dataset) for subject, dataset in zip(plan.subjects, named, strict=True)]
    plan = plan.model_copy(update={"subjects": tuple(subject for subject, _ in checked)})
    for number, (subject, dataset) in enumerate(checked):
        # Opened once: every question to an endpoint counts.
        who = recipe_of(subject) or given_model(subject.model, subject, dataset, out)
        threatened = _threats(subject, dataset, who)
        datasets.append(dataset)
        threats.append(threatened)
        loans = Loans.of(subject, dataset, threatened, out)
        for trial, wanted in _subject_jobs(plan, number, dataset, who, threatened, loans, root, out):
            jobs |= {job.key: job for job in wanted}
            if isinstance(trial, Trial):
                trials.append(trial)
            else:
                radii.append(trial)
    _check_labels(threats)
    prepared = Prepared(
        plan, root, tuple(datasets), tuple(threats), tuple(jobs.values()), tuple(trials), radii=tuple(radii)
    )
    _check_cells(prepared)
    return prepared


def _numbered(dataset: Dataset, subject: Subject, plan: Plan) -> Dataset:
    """Data given by path under a number, or under the title that the plan gives them: file names may name persons."""
    path = subject.data.path
    if path is None or path.startswith("memory:"):
        return dataset
    places = list(dict.fromkeys(each.data.path for each in plan.subjects if each.data.path is not None))
    title = str(subject.data.options.get("title") or "")
    titled = [each for each in plan.subjects if title and each.data.options.get("title") == title]
    unique = title and len({each.data.path for each in titled}) == 1
    return dataset.called(title if unique else f"own data {places.index(path) + 1}")


def _check_labels(threats: list[tuple[Threatened, ...]]) -> None:
    """A label means the same attack wherever it stands in the plan; its settings may differ from threat to threat."""
    meant: dict[str, str] = {}
    for subject in threats:
        for label, attack in (pair for threat in subject for pair in threat.named()):
            if meant.setdefault(label, attack.name) != attack.name:
                raise PlanError(
                    f"one attack under the label {label!r}", f"{meant[label]} and {attack.name}", "correct 'as'"
                )


def _check_cells(prepared: Prepared) -> None:
    """Cells are called up by name, so that no two may share one."""
    from titer.audit.results import cell_name

    places: dict[str, tuple[int, int, int, str]] = {}
    for trial in prepared.trials:
        here = (trial.subject, trial.threat, trial.radius, trial.attack)
        name = cell_name(prepared, trial)
        if places.setdefault(name, here) != here:
            raise PlanError("a name of its own for every cell", f"{name} twice", "rename a model or a label ('as')")


def _threats(subject: Subject, dataset: Dataset, who: Recipe | Model) -> tuple[Threatened, ...]:
    """The threats of a subject, checked against its model without training it."""
    if isinstance(who, Recipe):
        check_recipe(who, dataset)
        task = task_of(dataset, subject)
        check_rule(rule_for(subject, dataset, own=False), task, access="gradients", probabilities=False)
        return read_threats(subject, dataset, task, "gradients")
    if subject.threshold is not None:
        rule = rule_for(subject, dataset, own=True)
        check_rule(rule, who.task, access=who.access, probabilities=who.gives_probabilities)
    return read_threats(subject, dataset, who.task, who.access)


def _subject_jobs(
    plan: Plan,
    number: int,
    dataset: Dataset,
    who: Recipe | Model,
    threats: tuple[Threatened, ...],
    loans: Loans,
    root: Path | None,
    out: Path | None,
) -> Iterator[tuple[Trial | RadiusTrial, list[Job]]]:
    from titer.attacks.engine import run as engine
    from titer.attacks.radius import minimal_radii
    from titer.audit import work
    from titer.models.load import load_model

    subject = plan.subjects[number]
    here, ledger = isinstance(who, Recipe), ledger_of(subject.model, out)
    for seed in plan.seeds:
        checked = split_of(subject, dataset, seed, here)
        shared = {
            "subject": subject.model_dump(mode="json"),
            "root": None if root is None else str(root),
            "dataset_digest": dataset.digest,
            "seed": seed,
            "ledger": None if ledger is None else str(ledger.absolute()),
        }
        base = [dataset.digest, checked.split.digest, seed]
        before: list[Job] = []
        if isinstance(who, Recipe):
            training = Training(who, dataset, checked.split, subject, subject.model.get("epochs"), seed)
            identity, made_by = training.identity, training.made_by
            before.append(training.job(shared, f"{subject.name}: train, trial {seed}", _VERSION))
        else:
            inside = getattr(who, "inner", who)
            identity, made_by = who.digest, digest_code(type(who), type(inside), load_model, work.clean)
        trained = tuple(job.key for job in before)
        source = {**shared, "train": trained[0] if trained else None}
        rule = rule_for(subject, dataset, own=not here)
        question = ["clean", base, identity, rule, subject.data.cases, subject.tolerance]
        asked = digest([_VERSION, question, made_by])
        before.append(Job(asked, "titer.audit.work:clean", source, trained, f"{subject.name}: clean, trial {seed}"))
        for place, threat in enumerate(threats):
            for step, radius in enumerate(threat.radii):
                for name, search in threat.named():
                    rules = [*_asked_of(threat), radius.value]
                    if search.learns:
                        part, rows = work.pool_of(search, dataset, checked.split, seed, here)
                        rules += [part, rows.tolist()]
                    # What is drawn follows from the settings alone: other code draws the same, under another key.
                    borrowed = loans.of_attack(search, checked.split, seed, who, shared, _VERSION)
                    draws = digest(["attack", question, rules, settings_of(search)])
                    code = digest_code(*searching(search), type(threat.change), engine, work.attack)
                    key = digest([_VERSION, draws, asked, code, *(loan.name for loan in borrowed)])
                    payload: dict[str, Any] = {
                        **source, "clean": asked, "draws": draws, "threat": place, "radius": step, "attack": name,
                    }  # fmt: skip
                    if borrowed:
                        payload["surrogates"] = [loan.payload for loan in borrowed]
                    taught = [loan.job for loan in borrowed if loan.job is not None]
                    label = f"{subject.name}: {name} at {radius.label}, trial {seed}"
                    after = (*trained, asked, *(job.key for job in taught))
                    job = Job(key, "titer.audit.work:attack", payload, after, label)
                    yield Trial(number, place, step, name, seed, asked, key), [*before, *taught, job]
            if threat.search is not None:
                found = threat.search
                wanted = [
                    *_asked_of(threat),
                    found.high.value,
                    found.tolerance,
                    settings_of(found.attack),
                ]
                draws = digest(["radii", question, wanted])
                code = digest_code(type(found.attack), type(threat.change), minimal_radii, work.radii)
                key = digest([_VERSION, draws, asked, code])
                payload = {**source, "clean": asked, "draws": draws, "threat": place}
                label = f"{subject.name}: minimal radii by {found.label}, trial {seed}"
                job = Job(key, "titer.audit.work:radii", payload, (*trained, asked), label)
                yield RadiusTrial(number, place, seed, asked, key), [*before, job]


def _asked_of(threat: Threatened) -> list[Any]:
    """What decides the answers of a threat, but for its limits and attacks."""
    spec = threat.spec
    return [spec.change, threat.change, spec.goal, spec.target, spec.knowledge, spec.queries, spec.where]


def only(prepared: Prepared, wanted: str) -> Prepared:
    """The part of a prepared plan that one cell needs, by the cell's name."""
    from titer.audit.results import cell_name

    trials = tuple(trial for trial in prepared.trials if cell_name(prepared, trial) == wanted)
    if not trials:
        names = sorted({cell_name(prepared, trial) for trial in prepared.trials})
        raise PlanError("the name of a cell", repr(wanted), f"choose one of: {', '.join(names[:8])}, ...")
    keys = {key for trial in trials for key in (trial.clean, trial.key)}
    by_key = {job.key: job for job in prepared.jobs}
    needed = keys | {key for name in keys for key in by_key[name].after}
    jobs = tuple(job for job in prepared.jobs if job.key in needed)
    return Prepared(prepared.plan, prepared.root, prepared.datasets, prepared.threats, jobs, trials, part=True)

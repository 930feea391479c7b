"""From plan to jobs: every trial as a pure job, named by all that decides its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import titer
from titer.audit.limits import Radius
from titer.audit.operating import check_rule, rule_for
from titer.audit.plan import Plan, Subject
from titer.audit.run.job import Job
from titer.audit.subject import Threatened, read_dataset, read_threats, recipe_of, settings_of, split_of, task_of
from titer.cases.dataset import Dataset
from titer.digest import digest, digest_code
from titer.errors import ModelError, PlanError
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


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan whose parts were all opened and found to fit.

    Arguments
        plan: the plan, every subject named. root: folder of data sets.
        datasets, threats: per subject. jobs: all work, in an order that respects dependencies.
        trials: what the jobs are for. part: whether it is a part of the plan, of which no report is made.
    """

    plan: Plan
    root: Path | None
    datasets: tuple[Dataset, ...]
    threats: tuple[tuple[Threatened, ...], ...]
    jobs: tuple[Job, ...]
    trials: tuple[Trial, ...]
    part: bool = False

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
    for number, subject in enumerate(plan.subjects):
        dataset = _numbered(read_dataset(subject, root), subject, plan)
        _refuse_maps(dataset)
        # Opened once: every question to an endpoint counts.
        who = recipe_of(subject) or _own_model(subject, dataset, out)
        threatened = _threats(subject, dataset, who)
        datasets.append(dataset)
        threats.append(threatened)
        for trial, wanted in _subject_jobs(plan, number, dataset, who, threatened, root, out):
            jobs |= {job.key: job for job in wanted}
            trials.append(trial)
    _check_labels(threats)
    prepared = Prepared(plan, root, tuple(datasets), tuple(threats), tuple(jobs.values()), tuple(trials))
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


def _refuse_maps(dataset: Dataset) -> None:
    if dataset.task == "segmentation":
        raise PlanError(
            "a task with one decision per case, which is what reports are about",
            f"{dataset.card.name}: segmentation",
            "attack maps in Python: titer.attacks.engine.run(attack, model, cases, threat, seed=...), whose outcome "
            "gives Dice through model.task.agreement",
        )


def _threats(subject: Subject, dataset: Dataset, who: Recipe | Model) -> tuple[Threatened, ...]:
    """The threats of a subject, checked against its model without training it."""
    if isinstance(who, Recipe):
        if not who.fits(dataset):
            raise ModelError(
                f"data that {who.name} can learn ({', '.join(who.kinds)})",
                f"{dataset.card.name}: {dataset.space.kind}, task {dataset.task}",
                "choose another reference model or data set",
            )
        task = task_of(dataset, subject)
        check_rule(rule_for(subject, dataset, own=False), task, access="gradients", probabilities=False)
        return read_threats(subject, dataset, task, "gradients")
    if subject.threshold is not None:
        rule = rule_for(subject, dataset, own=True)
        check_rule(rule, who.task, access=who.access, probabilities=who.gives_probabilities)
    return read_threats(subject, dataset, who.task, who.access)


def ledger_of(subject: Subject, out: Path | None) -> Path | None:
    """The file in which queries of a subject's endpoint are counted; None where there is no budget to keep.

    Subjects that ask the same address share it.
    """
    address = subject.model.get("url")
    if address is None or subject.model.get("max_queries") is None or out is None:
        return None
    return out / "queries" / digest(str(address))[:16]


def _own_model(subject: Subject, dataset: Dataset, out: Path | None) -> Model:
    from titer.atomic import made_folder
    from titer.audit.subject import OBJECTS
    from titer.models.averaged import FEW, steadied
    from titer.models.load import load_model

    held = subject.model.get("object")
    ledger = ledger_of(subject, out)
    if ledger is not None:
        made_folder(ledger.parent)
    model = (
        OBJECTS[held]
        if held is not None
        else load_model(subject.model, dataset, tolerance=subject.tolerance, ledger=ledger)
    )
    if model.space.shape != dataset.space.shape:
        raise ModelError(
            f"a model for cases of shape {list(dataset.space.shape)}",
            f"{model.name} for {list(model.space.shape)}",
            "resize the cases (data.options) or choose the right model",
        )
    steady = steadied(model, dataset.cases.inputs[:FEW])
    steady.predict(dataset.cases.inputs[:2])
    return steady


def _subject_jobs(
    plan: Plan,
    number: int,
    dataset: Dataset,
    who: Recipe | Model,
    threats: tuple[Threatened, ...],
    root: Path | None,
    out: Path | None,
) -> Iterator[tuple[Trial, list[Job]]]:
    from titer.attacks.engine import run as engine
    from titer.audit import work
    from titer.models.checkpoint import from_bytes
    from titer.models.load import load_model
    from titer.models.training import train, training_key

    subject = plan.subjects[number]
    here, ledger = isinstance(who, Recipe), ledger_of(subject, out)
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
            identity = training_key(who, dataset, checked.split, seed=seed, epochs=subject.model.get("epochs"))
            made_by = digest_code(type(who), train, from_bytes, work.clean)
            key = digest(["train", _VERSION, identity, subject.tolerance, made_by])
            before.append(Job(key, "titer.audit.work:train", shared, (), f"{subject.name}: train, trial {seed}"))
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
                    rules = [threat.spec.change, threat.change, threat.spec.goal, threat.spec.target]
                    rules += [threat.spec.knowledge, threat.spec.queries, threat.spec.where, radius.value]
                    if search.learns:
                        part, rows = work.pool_of(search, dataset, checked.split, seed, here)
                        rules += [part, rows.tolist()]
                    # What is drawn follows from the settings alone: other code draws the same, under another key.
                    draws = digest(["attack", question, rules, settings_of(search)])
                    key = digest(
                        [_VERSION, draws, asked, digest_code(type(search), type(threat.change), engine, work.attack)]
                    )
                    payload = {
                        **source, "clean": asked, "draws": draws, "threat": place, "radius": step, "attack": name,
                    }  # fmt: skip
                    label = f"{subject.name}: {name} at {radius.label}, trial {seed}"
                    job = Job(key, "titer.audit.work:attack", payload, (*trained, asked), label)
                    yield Trial(number, place, step, name, seed, asked, key), [*before, job]


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

"""From plan to jobs: every trial as a pure job, named by all that decides its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titer.audit.limits import Radius
from titer.audit.plan import Plan, Subject
from titer.audit.run.job import Job
from titer.audit.subject import Threatened, read_dataset, read_threats, recipe_of, settings_of, split_of, task_of
from titer.cases.dataset import Dataset
from titer.digest import digest
from titer.errors import ModelError, PlanError

# Raised when a change of the code changes results, so that old results are not taken for new ones.
RESULT_VERSION = 1


@dataclass(frozen=True)
class Trial:
    """One cell of the plan with one seed, and the names of the jobs that give it.

    Arguments
        subject, threat, radius: positions in the plan. attack: name of the attack. seed: seed of the trial.
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
        trials: what the jobs are for.
    """

    plan: Plan
    root: Path | None
    datasets: tuple[Dataset, ...]
    threats: tuple[tuple[Threatened, ...], ...]
    jobs: tuple[Job, ...]
    trials: tuple[Trial, ...]

    def subject(self, trial: Trial) -> Subject:
        return self.plan.subjects[trial.subject]

    def radius(self, trial: Trial) -> Radius:
        return self.threats[trial.subject][trial.threat].radii[trial.radius]


def prepare(plan: Plan, root: Path | None) -> Prepared:
    """Open everything a plan names and refuse what cannot run, before any work starts."""
    datasets, threats = [], []
    jobs: dict[str, Job] = {}
    trials: list[Trial] = []
    for number, subject in enumerate(plan.subjects):
        dataset = read_dataset(subject, root)
        threatened = _threats(subject, dataset)
        datasets.append(dataset)
        threats.append(threatened)
        for trial, wanted in _subject_jobs(plan, number, dataset, threatened, root):
            jobs |= {job.key: job for job in wanted}
            trials.append(trial)
    return Prepared(plan, root, tuple(datasets), tuple(threats), tuple(jobs.values()), tuple(trials))


def _threats(subject: Subject, dataset: Dataset) -> tuple[Threatened, ...]:
    """The threats of a subject, checked against its model without training it."""
    if dataset.task == "segmentation":
        raise PlanError(
            "a task with one decision per case, which is what reports are about",
            f"{dataset.card.name}: segmentation",
            "attack maps in Python: titer.attacks.engine.run(attack, model, cases, threat, seed=...), whose outcome "
            "gives Dice through model.task.agreement",
        )
    recipe = recipe_of(subject)
    if recipe is not None:
        if not recipe.fits(dataset):
            raise ModelError(
                f"data that {recipe.name} can learn ({', '.join(recipe.kinds)})",
                f"{dataset.card.name}: {dataset.space.kind}, task {dataset.task}",
                "choose another reference model or data set",
            )
        return read_threats(subject, dataset, task_of(dataset, subject), "gradients")
    model = _own_model(subject, dataset)
    return read_threats(subject, dataset, model.task, model.access)


def _own_model(subject: Subject, dataset: Dataset) -> Any:
    from titer.audit.subject import OBJECTS
    from titer.models.averaged import FEW, steadied
    from titer.models.load import load_model

    held = subject.model.get("object")
    model = OBJECTS[held] if held is not None else load_model(subject.model, dataset, tolerance=subject.tolerance)
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
    plan: Plan, number: int, dataset: Dataset, threats: tuple[Threatened, ...], root: Path | None
) -> Iterator[tuple[Trial, list[Job]]]:
    from titer.audit.work import pool_of
    from titer.models.training import training_key

    subject = plan.subjects[number]
    recipe = recipe_of(subject)
    for seed in plan.seeds:
        checked = split_of(subject, dataset, seed, recipe is not None)
        shared = {
            "subject": subject.model_dump(mode="json"),
            "root": None if root is None else str(root),
            "dataset_digest": dataset.digest,
            "seed": seed,
        }
        base = [RESULT_VERSION, dataset.digest, checked.split.digest, seed]
        before: list[Job] = []
        if recipe is not None:
            named = training_key(recipe, dataset, checked.split, seed=seed, epochs=subject.model.get("epochs"))
            key = digest(["train", RESULT_VERSION, named, subject.tolerance])
            before.append(Job(key, "titer.audit.work:train", shared, (), f"{subject.name}: train, trial {seed}"))
            identity: Any = key
        else:
            identity = _own_model(subject, dataset).digest
        trained = tuple(job.key for job in before)
        source = {**shared, "train": trained[0] if trained else None}
        asked = digest(["clean", base, identity, subject.threshold, subject.data.cases, subject.tolerance])
        before.append(Job(asked, "titer.audit.work:clean", source, trained, f"{subject.name}: clean, trial {seed}"))
        for place, threat in enumerate(threats):
            for step, radius in enumerate(threat.radii):
                for search in threat.attacks:
                    rules = [threat.spec.change, threat.change, threat.spec.goal, threat.spec.target]
                    rules += [threat.spec.knowledge, threat.spec.queries, threat.spec.where, radius.value]
                    if search.learns:
                        part, rows = pool_of(search, dataset, checked.split, seed, recipe is not None)
                        rules += [part, rows.tolist()]
                    key = digest(["attack", asked, rules, settings_of(search), plan.gallery])
                    payload = {
                        **source, "clean": asked, "key": key, "threat": place, "radius": step,
                        "attack": search.name, "pictures": plan.gallery,
                    }  # fmt: skip
                    label = f"{subject.name}: {search.name} at {radius.label}, trial {seed}"
                    job = Job(key, "titer.audit.work:attack", payload, (*trained, asked), label)
                    yield Trial(number, place, step, search.name, seed, asked, key), [*before, job]


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
    return Prepared(prepared.plan, prepared.root, prepared.datasets, prepared.threats, jobs, trials)

"""The three kinds of work of an audit: train, measure clean, attack. Pure: settings and results in, bytes out.

Every function runs in any process or on any machine, and gives the same bytes there. What it needs from other
work arrives as bytes under that work's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.audit.operating import fix, rule_for
from titer.audit.plan import MOST_PICTURES, Subject
from titer.audit.subject import OBJECTS, read_dataset, read_threats, recipe_of, split_of, task_of
from titer.audit.table import Table
from titer.audit.withhold import withheld
from titer.cases.splits import thinned
from titer.errors import DataError, PlanError

if TYPE_CHECKING:
    from titer.attacks.attack import Attack
    from titer.cases.dataset import Dataset
    from titer.models.model import Model
    from titer.models.task import Task

Inputs = Mapping[str, bytes]
Payload = Mapping[str, Any]


def train(payload: Payload, _inputs: Inputs) -> bytes:
    """Train a reference model for one trial; the checkpoint as safetensors."""
    from titer.audit.run.hearing import progress
    from titer.models.checkpoint import to_bytes
    from titer.models.training import train as fit

    subject, dataset = _opened(payload)
    recipe = recipe_of(subject)
    if recipe is None:
        raise PlanError("a reference model to train", str(subject.model), "give 'zoo' in the plan")
    model = fit(
        recipe,
        dataset,
        _split(payload).split,
        seed=int(payload["seed"]),
        epochs=subject.model.get("epochs"),
        progress=lambda epoch: progress(epoch.number, epoch.most),
        task=task_of(dataset, subject),
    )
    return to_bytes(model)


def clean(payload: Payload, inputs: Inputs) -> bytes:
    """Fix the operating point on validation cases and answer the test cases; a table with one row per case."""
    subject, dataset = _opened(payload)
    model = _model(payload, inputs)
    parts = _split(payload).split
    rule = rule_for(subject, dataset, own=recipe_of(subject) is None)
    task, sentence = fix(rule, model, dataset, np.asarray(parts.validation))
    test = np.asarray(parts.test)
    rows = thinned(dataset, test, subject.data.cases or len(test), int(payload["seed"]))
    cases = dataset.cases.take(rows)
    columns: dict[str, Any] = {
        "row": rows,
        "patient": cases.patients,
        "target": cases.targets,
        "scores": model.predict(cases.inputs),
    }
    shared = {name: withheld(values, dataset.cases.patients) for name, values in dataset.cases.groups.items()}
    columns |= {f"group:{name}": values[rows] for name, values in shared.items()}
    facts = {
        "task": {
            "kind": task.kind,
            "classes": list(task.classes),
            "positive": list(task.positive),
            "tolerance": task.tolerance,
        },
        "threshold": task.threshold,
        "threshold_source": sentence,
        "model_digest": model.digest,
        "access": model.access,
        "parameters": model.parameters() if hasattr(model, "parameters") else None,
        "notes": list(model.notes),
        "leakage": str(_split(payload)),
        "parts": _counts(dataset, parts),
    }
    return Table(columns, facts).to_bytes()


def attack(payload: Payload, inputs: Inputs) -> bytes:
    """One attack at one radius on the test cases of one trial; a table with one row per case."""
    from titer.attacks.engine import learn, run
    from titer.audit.run.hearing import progress
    from titer.threats.changes.substitution import choices_table

    subject, dataset = _opened(payload)
    before = Table.of_bytes(inputs[payload["clean"]])
    model = _model(payload, inputs)
    threshold = before.facts["threshold"]
    if model.task.two_sided or model.task.kind == "multilabel":
        model = model.calibrated(model.task.at(tuple(threshold) if isinstance(threshold, list) else threshold))
    threat = read_threats(subject, dataset, model.task, model.access)[payload["threat"]]
    radius = threat.radii[payload["radius"]]
    search = threat.attack(payload["attack"])
    cases = dataset.cases.take(before["row"])
    choices = choices_table(dataset.synonyms, len(dataset.space.vocabulary)) if dataset.synonyms else None
    facts: dict[str, Any] = {}
    if search.learns:
        part, rows = pool_of(search, dataset, _split(payload).split, int(payload["seed"]), bool(payload.get("train")))
        rules, learned_from = threat.model_at(radius, model.access), dataset.cases.take(rows)
        search = learn(search, model, learned_from, rules, seed=str(payload["draws"]), choices=choices)
        facts = {"pool": {"part": part, "n": len(rows)}}
    done = [0]

    def tell(finished: int) -> None:
        done[0] += finished
        progress(done[0], len(cases))

    outcome = run(
        search,
        model,
        cases,
        threat.model_at(radius, model.access),
        seed=str(payload["draws"]),
        choices=choices,
        progress=tell,
    )
    columns: dict[str, Any] = {
        "row": before["row"],
        "fooled": outcome.fooled,
        "clean_scores": outcome.clean_scores,
        "scores": outcome.scores,
        "cost": outcome.cost,
        "queries": outcome.queries,
        "passes": outcome.passes,
        "flat": outcome.flat,
        "broken": outcome.broken,
        "violated": outcome.violated,
        "picture": _pictures(outcome, model, cases, MOST_PICTURES),
    }
    facts |= {"dtype": outcome.perturbed.dtype.str, "shape": list(outcome.perturbed.shape[1:])}
    return Table(columns, facts).to_bytes()


def pool_of(attack: Attack, dataset: Dataset, parts: Any, seed: int, trained: bool) -> tuple[str, Any]:
    """From which part an attack may learn, and from which rows of it: never from test cases.

    Training cases of a model that was trained here; for a model of the user's, whose training cases are not known,
    validation cases. At most as many as the attack's own `pool`, stratified, chosen by the seed alone.
    """
    part = "train" if trained else "validation"
    rows = np.asarray(getattr(parts, part))
    if not len(rows):
        raise PlanError(
            f"{part} cases that {attack.name} can learn from", "none", f"give the {part} part a share in 'fractions'"
        )
    return part, thinned(dataset, rows, getattr(attack, "pool", None) or len(rows), seed)


def _opened(payload: Payload) -> tuple[Subject, Dataset]:
    subject = Subject.model_validate(payload["subject"])
    root = None if payload["root"] is None else Path(payload["root"])
    dataset = read_dataset(subject, root)
    if dataset.digest != payload["dataset_digest"]:
        raise DataError(
            f"the data set with digest {payload['dataset_digest'][:12]}",
            f"{dataset.card.name} with {dataset.digest[:12]}",
            "the files changed since the audit began, or differ on this machine: start again in a new folder",
        )
    return subject, dataset


def _split(payload: Payload) -> Any:
    from titer.digest import canonical

    return _split_cached(
        canonical(payload["subject"]), payload["root"], payload["dataset_digest"], int(payload["seed"])
    )


@lru_cache(maxsize=16)
def _split_cached(subject: str, root: str | None, digest: str, seed: int) -> Any:
    import json

    opened, dataset = _opened({"subject": json.loads(subject), "root": root, "dataset_digest": digest})
    return split_of(opened, dataset, seed, recipe_of(opened) is not None)


def _model(payload: Payload, inputs: Inputs) -> Model:
    from titer.models.averaged import FEW, steadied

    subject, dataset = _opened(payload)
    if payload.get("train"):
        from titer.models.checkpoint import from_bytes

        trained: Model = from_bytes(inputs[payload["train"]])
        return _renamed(trained, subject, task_of(dataset, subject))
    held = subject.model.get("object")
    if held is not None:
        return steadied(OBJECTS[held], dataset.cases.inputs[:FEW])
    from titer.models.load import load_model

    ledger = None if payload.get("ledger") is None else Path(payload["ledger"])
    loaded = load_model(subject.model, dataset, tolerance=subject.tolerance, ledger=ledger)
    return steadied(loaded, dataset.cases.inputs[:FEW])


def _renamed(model: Model, subject: Subject, task: Task) -> Model:
    model.name = subject.name
    model.task = task
    return model


def _counts(dataset: Dataset, parts: Any) -> list[dict[str, Any]]:
    names = ("normal", "abnormal") if dataset.task == "anomaly" and len(dataset.classes) != 2 else dataset.classes
    counts = []
    for label in ("train", "validation", "test"):
        rows = np.asarray(getattr(parts, label))
        targets = dataset.cases.targets[rows]
        per_class = {}
        if dataset.task in ("classes", "binary", "anomaly"):
            per_class = {names[k]: int((targets == k).sum()) for k in range(len(names))}
        elif dataset.task == "multilabel":
            per_class = {name: int(targets[:, k].sum()) for k, name in enumerate(names)}
        people = len(np.unique(dataset.cases.patients[rows]))
        counts.append({"split": label, "n": len(rows), "patients": people, "per_class": per_class})
    return counts


def _pictures(outcome: Any, model: Model, cases: Any, most: int) -> Any:
    """The first cases that were right before and fooled after, as raw bytes; None for all others."""
    pictures = np.empty(len(outcome), dtype=object)
    right = model.task.correct(outcome.clean_scores, cases.targets)
    for row in np.flatnonzero(right & outcome.fooled)[:most]:
        pictures[row] = np.ascontiguousarray(outcome.perturbed[row]).tobytes()
    return pictures

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

from titer.audit import maps
from titer.audit.operating import fix, rule_for
from titer.audit.plan import MOST_PICTURES, Subject
from titer.audit.subject import OBJECTS, read_dataset, read_threats, recipe_in, recipe_of, split_of, task_of
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
    said = payload.get("model", subject.model)
    recipe = recipe_in(said)
    if recipe is None:
        raise PlanError("a reference model to train", str(said), "give 'zoo' in the plan")
    model = fit(
        recipe,
        dataset,
        _split(payload).split,
        seed=int(payload.get("fit", payload["seed"])),
        epochs=said.get("epochs"),
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
        "target": maps.marked(dataset, rows),
        **maps.columns(model.task, model.predict(cases.inputs), cases.targets),
    }
    if task.kind == "segmentation":
        columns["constant"] = maps.constant(task, cases.targets)
    shared = {name: withheld(values, dataset.cases.patients) for name, values in dataset.cases.groups.items()}
    columns |= {f"group:{name}": values[rows] for name, values in shared.items()}
    facts = {
        "task": {
            "kind": task.kind,
            "classes": list(task.classes),
            "positive": list(task.positive),
            "tolerance": task.tolerance,
            "measure": task.measure,
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

    subject, dataset = _opened(payload)
    before = Table.of_bytes(inputs[payload["clean"]])
    model = _calibrated(_model(payload, inputs), before)
    threat = read_threats(subject, dataset, model.task, model.access)[payload["threat"]]
    radius = threat.radii[payload["radius"]]
    search = threat.attack(payload["attack"])
    cases = dataset.cases.take(before["row"])
    choices = _choices(dataset)
    facts: dict[str, Any] = {}
    if search.borrows:
        search = search.lent([_surrogate(each, payload, inputs) for each in payload["surrogates"]])
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
    shown = _shown(outcome, model, cases, MOST_PICTURES)
    columns: dict[str, Any] = {
        "row": before["row"],
        "fooled": outcome.fooled,
        **maps.columns(model.task, outcome.clean_scores, cases.targets, "clean_"),
        **maps.columns(model.task, outcome.scores, cases.targets),
        "cost": outcome.cost,
        "queries": outcome.queries,
        "passes": outcome.passes,
        "flat": outcome.flat,
        "broken": outcome.broken,
        "violated": outcome.violated,
        "picture": _pictures(outcome, shown),
    }
    if model.task.kind == "segmentation":
        columns["map_clean"] = maps.shown(model.task, outcome.clean_scores, shown)
        columns["map"] = maps.shown(model.task, outcome.scores, shown)
    facts |= {"dtype": outcome.perturbed.dtype.str, "shape": list(outcome.perturbed.shape[1:])}
    return Table(columns, facts).to_bytes()


def radii(payload: Payload, inputs: Inputs) -> bytes:
    """The smallest limit at which each test case of one trial falls to an attack; a table with one row per case."""
    from titer.attacks.radius import minimal_radii

    subject, dataset = _opened(payload)
    before = Table.of_bytes(inputs[payload["clean"]])
    model = _calibrated(_model(payload, inputs), before)
    threat = read_threats(subject, dataset, model.task, model.access)[payload["threat"]]
    search = threat.search
    if search is None:
        raise PlanError("a threat with 'radii'", threat.id, "add them to the plan")
    found = minimal_radii(
        search.attack,
        model,
        dataset.cases.take(before["row"]),
        threat.model_at(search.high, model.access),
        seed=str(payload["draws"]),
        high=search.high.value,
        tolerance=search.tolerance,
        choices=_choices(dataset),
    )
    columns: dict[str, Any] = {
        "row": before["row"],
        "radius": found.radius,
        "queries": found.queries,
        "passes": found.passes,
    }
    return Table(columns, {"high": found.high, "tolerance": found.tolerance}).to_bytes()


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


def _calibrated(model: Model, before: Table) -> Model:
    """The model at the operating point that was fixed for it."""
    threshold = before.facts["threshold"]
    if model.task.two_sided or model.task.kind == "multilabel":
        return model.calibrated(model.task.at(tuple(threshold) if isinstance(threshold, list) else threshold))
    return model


def _choices(dataset: Dataset) -> Any:
    """What may replace each word, where synonyms are known."""
    from titer.threats.changes.substitution import choices_table

    return choices_table(dataset.synonyms, len(dataset.space.vocabulary)) if dataset.synonyms else None


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
    subject, dataset = _opened(payload)
    if payload.get("train"):
        return _trained(inputs[payload["train"]], subject.name, task_of(dataset, subject))
    return _given(subject.model, subject, dataset, payload.get("ledger"))


def _surrogate(loan: Payload, payload: Payload, inputs: Inputs) -> Model:
    """A model that an attack works on; one that was trained here has its operating point fixed as the target has."""
    subject, dataset = _opened(payload)
    said = loan["model"]
    if not loan.get("train"):
        return _given(said, subject, dataset, loan.get("ledger"))
    task = task_of(dataset, subject)
    model = _trained(inputs[loan["train"]], str(said.get("name") or said["zoo"]), task)
    rule = rule_for(subject, dataset, own=False)
    if rule.needs_cases:
        model.task = fix(rule, model, dataset, np.asarray(_split(payload).split.validation))[0]
    return model


def _trained(data: bytes, name: str, task: Task) -> Model:
    from titer.models.checkpoint import from_bytes

    model: Model = from_bytes(data)
    model.name, model.task = name, task
    return model


def _given(said: Mapping[str, Any], subject: Subject, dataset: Dataset, ledger: str | None) -> Model:
    from titer.models.averaged import FEW, steadied

    held = said.get("object")
    if held is not None:
        return steadied(OBJECTS[held], dataset.cases.inputs[:FEW])
    from titer.models.load import load_model

    counted = None if ledger is None else Path(ledger)
    return steadied(load_model(said, dataset, tolerance=subject.tolerance, ledger=counted), dataset.cases.inputs[:FEW])


def _counts(dataset: Dataset, parts: Any) -> list[dict[str, Any]]:
    names = ("normal", "abnormal") if dataset.task == "anomaly" and len(dataset.classes) != 2 else dataset.classes
    counts = []
    for label in ("train", "validation", "test"):
        rows = np.asarray(getattr(parts, label))
        targets = dataset.cases.targets[rows]
        per_class = {}
        if dataset.task in ("classes", "binary", "anomaly"):
            per_class = {names[k]: int((targets == k).sum()) for k in range(len(names))}
        elif dataset.task == "segmentation":
            flat = targets.reshape(len(targets), int(np.prod(targets.shape[1:])))
            per_class = {name: int((flat == k).any(axis=1).sum()) for k, name in enumerate(names) if k}
        elif dataset.task == "multilabel":
            per_class = {name: int(targets[:, k].sum()) for k, name in enumerate(names)}
        people = len(np.unique(dataset.cases.patients[rows]))
        counts.append({"split": label, "n": len(rows), "patients": people, "per_class": per_class})
    return counts


def _shown(outcome: Any, model: Model, cases: Any, most: int) -> Any:
    """Rows of the first cases that were right before and fooled after."""
    return np.flatnonzero(model.task.correct(outcome.clean_scores, cases.targets) & outcome.fooled)[:most]


def _pictures(outcome: Any, rows: Any) -> Any:
    """Some attacked cases as raw bytes; None for all others."""
    pictures = np.empty(len(outcome), dtype=object)
    for row in rows:
        pictures[row] = np.ascontiguousarray(outcome.perturbed[row]).tobytes()
    return pictures

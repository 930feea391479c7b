"""Spaces, tasks, cases and tables of synthetic results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from titer.attacks.attack import Attack
from titer.audit.table import Array, Table
from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.digest import digest
from titer.models.task import Task
from titer.threats.goal import Goal

WORDS = ("", "patient", "denies", "reports", "chest", "pain", "fever", "cough", "mild", "severe")
SPACES = {
    "image": Space("image", (1, 8, 8), "gray level (0-1)"),
    "rgb": Space("image", (3, 6, 5), "gray level (0-1)"),
    "volume": Space("volume", (1, 5, 6, 7), "HU", -1000.0, 1000.0),
    "signal": Space("signal", (2, 50), "mV", -5.0, 5.0, rate=125.0, names=("lead I", "lead II")),
    "table": Space("table", (4,), "um", 0.0, 10.0, (1.0, 2.0, 3.0, 4.0), "SD", ("a", "b", "c", "d")),
    "tokens": Space("tokens", (12,), "word", vocabulary=WORDS),
}
TASKS = {
    "classes": Task("classes", ("normal", "pneumonia"), (1,)),
    "three": Task("classes", ("normal", "edema", "nodule"), (1, 2)),
    "binary": Task("binary", ("normal", "arrhythmia"), threshold=0.3),
    "anomaly": Task("anomaly", ("normal", "abnormal"), threshold=0.1),
    "multilabel": Task("multilabel", ("effusion", "edema", "nodule")),
    "regression": Task("regression", ("age",), tolerance=5.0),
}


def answers(task: Task, targets: Array, wrong: Array) -> Array:
    """Scores [n, K] that are right or wrong as told, well away from the border."""
    if task.kind == "classes":
        decided = np.where(wrong, (targets + 1) % len(task.classes), targets)
        return np.asarray(3.0 * np.eye(len(task.classes))[decided])
    if task.kind == "regression":
        sign = np.where(np.arange(len(targets)) % 2, 1, -1)
        return np.asarray(targets + np.where(wrong, 15.0, 1.0) * sign)[:, None]
    said = targets.reshape(len(targets), -1).copy()
    said[:, 0] = np.where(wrong, 1 - said[:, 0], said[:, 0])
    return np.asarray(np.asarray(task.threshold) + 4.0 * said - 2.0)


def dataset_of(name: str, space: Space, task: Task, n: int, per_patient: int) -> Dataset:
    """Cases drawn from the name; their identifiers are secrets that no report may show."""
    rng = np.random.default_rng(list(name.encode()))
    targets: Array = rng.permutation(np.arange(n) % len(task.classes))
    if task.kind == "regression":
        targets = rng.uniform(20, 80, n)
    elif task.kind == "multilabel":
        targets = rng.integers(2, size=(n, len(task.classes)))
    if space.kind == "tokens":
        inputs: Array = rng.integers(1, len(WORDS), size=(n, *space.shape))
        inputs[:, 9:] = 0
    else:
        low, high = space.bounds()
        inputs = (low + (0.1 + 0.8 * rng.random((n, *space.shape))) * (high - low)).astype(np.float32)
    batch = Batch(inputs, targets, np.arange(n) // per_patient, tuple(f"secret-{k}" for k in range(n)))
    card = DataCard(name, f"Synthetic {space.kind} cases", "CC0-1.0", "none", "none", "drawn", synthetic=True)
    return Dataset(card, space, task.kind, task.classes, task.positive, batch)


def clean_table(
    dataset: Dataset, task: Task, rows: Array, wrong: Array, *, model: str, access: str, more: Mapping[str, Any]
) -> Table:
    """What `titer.audit.work.clean` would have stored."""
    cases = dataset.cases.take(rows)
    said = {"kind": task.kind, "classes": task.classes, "positive": task.positive, "tolerance": task.tolerance}
    part = {"n": len(rows), "patients": len(np.unique(cases.patients)), "per_class": {}}
    facts = {
        "task": said,
        "threshold": task.threshold,
        "threshold_source": "default",
        "model_digest": digest(model),
        "access": access,
        "parameters": 10,
        "leakage": "None of the patients is in two parts. No case is near-identical to one of another part.",
        "parts": [{"split": split, **part} for split in ("train", "validation", "test")],
        **more,
    }
    scores = answers(task, cases.targets, wrong)
    return Table({"row": rows, "patient": cases.patients, "target": cases.targets, "scores": scores}, facts)


def attacked_table(
    dataset: Dataset, task: Task, before: Table, wrong: Array, attack: Attack, *, radius: float, goal: Goal, most: int
) -> Table:
    """What `titer.audit.work.attack` would have stored."""
    targets, clean = before["target"], before["scores"]
    already = goal.fooled(task, targets, clean, clean)
    scores = answers(task, targets, wrong)
    idle = already & (not attack.control)
    scores[idle] = clean[idle]
    fooled = goal.fooled(task, targets, clean, scores)
    n, slopes = len(targets), 20 * (attack.needs == "gradients")
    perturbed = moved(dataset.cases.inputs[before["row"]], dataset.space, radius)
    pictures = np.empty(n, dtype=object)
    for row in np.flatnonzero(task.correct(clean, targets) & fooled)[:most]:
        pictures[row] = np.ascontiguousarray(perturbed[row]).tobytes()
    columns = {
        "row": before["row"],
        "fooled": fooled,
        "scores": scores,
        "cost": np.where(idle, 0.0, radius),
        "queries": np.full(n, 1 + slopes),
        "passes": np.full(n, slopes),
        "flat": np.zeros(n),
        "broken": np.zeros(n),
        "violated": np.zeros(n, dtype=bool),
        "picture": pictures,
    }
    return Table(columns, {"dtype": perturbed.dtype.str, "shape": list(perturbed.shape[1:])})


def moved(inputs: Array, space: Space, radius: float) -> Array:
    """Cases changed by the whole radius: every value, or the first words."""
    if space.kind == "tokens":
        changed = inputs.copy()
        changed[:, : int(radius)] = changed[:, : int(radius)] % (len(WORDS) - 1) + 1
        return changed
    signs = np.where(np.arange(space.size).reshape(space.shape) % 3, 1.0, -1.0)
    low, high = space.bounds()
    return np.asarray(np.clip(inputs + radius * space.per_channel(space.scale) * signs, low, high).astype(np.float32))

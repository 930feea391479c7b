"""What the gallery says about a case: captions, answers and the truth, in clinical words."""

from __future__ import annotations

import re

import numpy as np

from titer.audit.findings._words import limit_words
from titer.audit.report.formats import significant
from titer.audit.report.schema import Prediction
from titer.audit.results import CellResults
from titer.audit.table import Array
from titer.models.task import Task

_PARTICIPLES = {"change": "changed", "replace": "replaced", "move": "moved"}
_KEPT = {"all": "", "outside-mask": " outside the known lesion", "inside-mask": " inside the marked region"}
_NOUNS = {"image": "pixel", "volume": "voxel", "signal": "sample", "table": "feature", "tokens": "word"}


def caption(cell: CellResults, more: str) -> str:
    """Where the case comes from, what was allowed to change, and what else a reader must know."""
    title = cell.dataset.card.title.strip().rstrip(".")
    return f"{title}; {changed(cell)} (attack: {cell.attack}).{' ' + more if more else ''}"


def changed(cell: CellResults) -> str:
    """What the attacker was allowed to change, as a participle: 'every pixel changed by at most 4/255 ...'."""
    change, noun = cell.threat.change, _NOUNS[cell.dataset.space.kind]
    radius = cell.radius
    share = f"{radius.label} of all" if radius.label.endswith("%") else radius.label
    sentence = change.sentence(share if change.counts else limit_words(radius))
    verb, _, rest = sentence.partition(" ")
    if verb not in _PARTICIPLES:
        return f"an attacker may {sentence}"
    first = re.search(r"(,| by) ", rest)
    head, tail = (rest, "") if first is None else (rest[: first.start()], rest[first.start() :])
    head = re.sub(r"\bvalue(s?)\b", rf"{noun}\1", head)
    head = re.sub(r"(?<![\d.])1 (\w+)s\b", r"1 \1", head)
    kept = _KEPT[cell.threat.spec.where]
    return f"{head}{kept} {_PARTICIPLES[verb]}{tail}"


def prediction(task: Task, scores: Array) -> Prediction:
    """One answer of a model.

    Arguments
        scores: [K] of one case.

    >>> prediction(Task("classes", ("normal", "pneumonia")), np.array([0.0, 2.0]))
    Prediction(label='pneumonia', confidence=0.8808)
    """
    answer = task.decide(scores[None])[0]
    if task.kind == "segmentation":
        name = "Dice" if task.measure == "dice" else "share of right pixels"
        return Prediction(label=f"a map with a {name} of {significant(float(answer))}")
    if task.kind == "anomaly":
        return Prediction(label=f"{task.classes[int(answer)]} (score {significant(float(scores[0]))})")
    return Prediction(label=truth(task, answer), confidence=_confidence(task, scores, answer))


def truth(task: Task, answer: object) -> str:
    """A class, findings or a quantity in words; of a map how much of it is marked.

    >>> truth(Task("multilabel", ("effusion", "edema")), np.array([0, 1]))
    'edema'
    """
    value = np.asarray(answer)
    if task.kind == "regression":
        return f"{task.classes[0]}: {significant(float(value))}"
    if task.kind == "segmentation":
        return f"{', '.join(task.classes[number] for number in task.measured)} on {100 * float(value):.1f}% of the case"
    if task.kind == "multilabel":
        return (
            ", ".join(name for name, there in zip(task.classes, value.tolist(), strict=True) if there) or "no finding"
        )
    return task.classes[int(value)]


def _confidence(task: Task, scores: Array, answer: object) -> float | None:
    """Probability that the model gives to its decision, which need not be its largest where a threshold decides."""
    if task.kind == "classes":
        moved = np.exp(scores - scores.max())
        return round(float(moved[int(np.asarray(answer))] / moved.sum()), 4)
    if task.kind == "binary":
        sign = 1.0 if int(np.asarray(answer)) == 1 else -1.0
        return round(float(1.0 / (1.0 + np.exp(-sign * scores[0]))), 4)
    return None

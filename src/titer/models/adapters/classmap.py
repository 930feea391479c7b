"""ClassMap: which class of the data each output of a model speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.errors import ModelError, PlanError
from titer.models.task import Task


@dataclass(frozen=True)
class ClassMap:
    """The classes of the data in the order of the model's outputs.

    Arguments
        data: per output the class of the data that it speaks of; None for an output that is left out. A class named
            twice gets both outputs, their probabilities added.
        own: the model's own names of its outputs, if it has any.

    >>> task = Task("classes", ("normal", "pneumonia"))
    >>> ClassMap(("pneumonia", "normal")).columns(task)
    ((1,), (0,))
    >>> ClassMap(("normal", "pneumonia", "pneumonia"), ("clear", "viral", "bacterial")).number("viral", task)
    1
    """

    data: tuple[str | None, ...]
    own: tuple[str, ...] = ()

    @classmethod
    def read(cls, raw: Any) -> ClassMap | None:
        """From a plan: the data's classes in the model's order, or a mapping from the model's names to them."""
        if raw is None or isinstance(raw, cls):
            return raw
        if isinstance(raw, Mapping):
            names = tuple(None if value is None else str(value) for value in raw.values())
            return cls(names, tuple(str(key) for key in raw))
        if isinstance(raw, Sequence) and not isinstance(raw, (str, bytes)):
            return cls(tuple(None if value is None else str(value) for value in raw))
        raise PlanError(
            "classes as a list in the model's order, or a mapping from the model's names to the data's",
            repr(raw),
            "write for example 'classes: [normal, pneumonia]'",
        )

    @classmethod
    def found(cls, names: Iterable[Any] | None, task: Task, what: str) -> tuple[ClassMap | None, str]:
        """What a model's own class names say, and the sentence for the report.

        Names of the data are matched as words; numbers stand for the classes in ascending order. Other words are
        refused: they must be mapped by hand.
        """
        if names is None or task.kind in ("regression", "anomaly"):
            return None, ""
        own = tuple(_word(name) for name in names)
        if len(own) != len(task.classes):
            raise ModelError(
                f"a model of {len(task.classes)} classes ({', '.join(task.classes)})",
                f"{what} with {len(own)}: {', '.join(own)}",
                "map them in the plan with 'classes'; outputs that the data has no class for map to null",
            )
        if sorted(own) == sorted(task.classes):
            return cls(own, own), "classes matched by name"
        if all(_whole(name) for name in own):
            order = sorted(range(len(own)), key=lambda place: float(own[place]))
            data: list[str | None] = [None] * len(own)
            for number, place in enumerate(order):
                data[place] = task.classes[number]
            said = ", ".join(f"{own[place]} = {data[place]}" for place in order)
            return cls(tuple(data), own), f"class numbers read in ascending order: {said}"
        raise ModelError(
            f"classes named {', '.join(task.classes)}, or numbered",
            f"{what} with {', '.join(own)}",
            "map them in the plan, for example 'classes: {%s: %s}'" % (own[0], task.classes[0]),  # noqa: UP031
        )

    def check(self, task: Task) -> None:
        """Refuse a map that does not name every class of the data."""
        if task.kind in ("regression", "anomaly") and self.data != task.classes:
            raise PlanError(f"no classes for {task.kind}", str(self.data), "leave 'classes' out")
        unknown = [name for name in self.data if name is not None and name not in task.classes]
        missing = [name for name in task.classes if name not in self.data]
        if unknown or missing:
            wrong = [f"unknown {name!r}" for name in unknown] or [f"no {name!r}" for name in missing]
            raise PlanError(
                f"every class of the data ({', '.join(task.classes)}) named in 'classes'",
                ", ".join(wrong),
                "list the data's class for each output of the model, null for an output that it has no class for",
            )
        named = [name for name in self.data if name is not None]
        if task.kind not in ("classes", "segmentation") and len(set(named)) != len(named):
            raise PlanError(f"every class once for {task.kind}", ", ".join(named), "correct 'classes'")
        if len(set(self.own)) != len(self.own):
            raise PlanError("different names of the model's outputs", ", ".join(self.own), "correct 'classes'")

    def columns(self, task: Task) -> tuple[tuple[int, ...], ...]:
        """Per class of the data the model's outputs that speak of it."""
        return tuple(tuple(k for k, name in enumerate(self.data) if name == label) for label in task.classes)

    def number(self, label: Any, task: Task) -> int:
        """Class number of one answered label: the model's own name, its place, or the data's name."""
        word = _word(label)
        found: str | None = word
        if word in self.own:
            found = self.data[self.own.index(word)]
        elif _whole(word) and not self.own and 0 <= float(word) < len(self.data):
            found = self.data[int(float(word))]
        if found is None or found not in task.classes:
            raise ModelError(
                f"a label among {', '.join(self.own or task.classes)}",
                repr(label),
                "map the model's labels with 'classes' in the plan",
            )
        return task.classes.index(found)


def read_labels(labels: np.ndarray[Any, Any], classes: ClassMap | None, task: Task) -> np.ndarray[Any, Any]:
    """Class numbers of answered labels [n]; without a map, names of the data or numbers 0 to K - 1.

    >>> read_labels(np.array(["sick", "well"]), None, Task("classes", ("well", "sick"))).tolist()
    [1, 0]
    """
    known = classes or ClassMap(task.classes)
    unique, where = np.unique(labels.astype(str) if labels.dtype.kind in "OUS" else labels, return_inverse=True)
    numbers = np.array([known.number(label, task) for label in unique.tolist()], dtype=np.int64)
    return numbers[where.reshape(-1)] if len(unique) else np.zeros(0, dtype=np.int64)


def _word(label: Any) -> str:
    if isinstance(label, bytes):
        return label.decode("utf-8", "replace")
    if isinstance(label, (bool, np.bool_)):
        return str(int(label))
    if isinstance(label, (float, np.floating)) and float(label).is_integer():
        return str(int(label))
    return str(label)


def _whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal()

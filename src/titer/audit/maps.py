"""Segmentations in an audit: of every map its agreement with the true one is kept, and reports speak of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.models.overlap import overlap
from titer.models.task import Task


@dataclass(frozen=True)
class Agreement(Task):
    """The task of a segmentation as result tables tell it: the score of a case is the agreement of its map.

    A case is right from the task's tolerance on; its target is how much of it is marked (see `marked`).

    >>> task = Agreement("segmentation", ("background", "lesion"), tolerance=0.8)
    >>> task.correct(np.array([[0.9], [0.7]]), np.array([0.1, 0.2])).tolist()
    [True, False]
    """

    def check(self, scores: Array, targets: Array | None = None) -> None:
        """Agreements were checked when they were computed."""

    def decide(self, scores: Array) -> Array:
        """[n] agreement of each map."""
        return np.asarray(scores[:, 0], dtype=np.float64)

    def agreement(self, scores: Array, targets: Array) -> Array:
        """[n] agreement of each map."""
        return self.decide(scores)

    def positive_score(self, scores: Array) -> Array:
        """[n] agreement of each map: there is no disease to rank by."""
        return self.decide(scores)


def columns(task: Task, scores: Array, targets: Array, prefix: str = "") -> dict[str, Any]:
    """Columns of a result table for the answers of a model: its scores, or what stands for maps.

    Arguments
        task, scores, targets: of the model and the cases. prefix: before the names, such as "clean_".
    """
    if task.kind != "segmentation":
        return {f"{prefix}scores": scores}
    decided = task.decide(scores)
    measure = overlap(decided, targets, task.measured, task.measure)
    found = {"scores": measure[:, None], "dice": overlap(decided, targets, task.measured)}
    found["iou"] = intersection_over_union(decided, targets, task.measured)
    return {f"{prefix}{name}": values for name, values in found.items()}


def marked(dataset: Dataset, rows: Array) -> Array:
    """What tables keep of the truth: the targets, or of maps the share that is not background, [n]."""
    targets = dataset.cases.targets[rows]
    if dataset.task != "segmentation":
        return targets
    return np.asarray((targets != 0).reshape(len(targets), -1).mean(axis=1))


def constant(task: Task, targets: Array) -> Array:
    """[n] agreement that the best constant map has: one class everywhere, the same one for all cases."""
    maps = (np.full_like(targets, number) for number in range(len(task.classes)))
    found = [overlap(each, targets, task.measured, task.measure) for each in maps]
    return max(found, key=lambda each: float(each.mean()))


def intersection_over_union(decided: Array, targets: Array, classes: tuple[int, ...]) -> Array:
    """|A and B| / |A or B| per case, mean over classes; empty maps as in `titer.models.overlap.overlap`.

    Source: Jaccard 1912 (doi 10.1111/j.1469-8137.1912.tb05611.x). Of one class it is Dice / (2 - Dice).

    >>> found = intersection_over_union(np.array([[0, 1, 1], [0, 0, 0]]), np.array([[0, 0, 1], [0, 0, 0]]), (1,))
    >>> found.round(6).tolist()
    [0.5, 1.0]
    """
    each = [overlap(decided, targets, (number,)) for number in classes]
    return np.asarray(np.mean([dice / (2 - dice) for dice in each], axis=0))


def shown(task: Task, scores: Array, rows: Array) -> Array:
    """Decided maps of some cases as bytes, for pictures; None for all others."""
    maps = np.empty(len(scores), dtype=object)
    for row in rows:
        maps[row] = np.ascontiguousarray(task.decide(scores[row : row + 1])[0].astype(np.uint8)).tobytes()
    return maps


def as_tabled(said: Mapping[str, Any]) -> Task:
    """The task that the answers of a table belong to, from the facts of the table; without its operating point."""
    kind = Agreement if said["kind"] == "segmentation" else Task
    return kind(
        said["kind"],
        tuple(said["classes"]),
        tuple(said["positive"]),
        tolerance=said["tolerance"],
        measure=said.get("measure", "dice"),
    )

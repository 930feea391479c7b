"""Exam: a model, a few cases and a limit, with what several doubts ask about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, run
from titer.attacks.losses import loss
from titer.cases.case import Array, Batch
from titer.cases.dataset import Dataset
from titer.errors import DataError, ModelError
from titer.models.averaged import Averaged, steadied
from titer.models.model import Model, to_tensor
from titer.threats.changes.additive import Additive
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

# Cases that are looked at: enough that one in thirty is seen, few for an endpoint.
CASES = 32


@dataclass(frozen=True, eq=False)
class Exam:
    """What doubts are asked about.

    Arguments
        raw: the model as it came. cases: the first ones of the data, whatever the model says of them.
        limit: how much an attacker may change, in the unit of the space, and how it was written (`label`).
    """

    raw: Model
    cases: Batch
    limit: float
    label: str

    @cached_property
    def model(self) -> Model:
        """The model, averaged if it answers at random."""
        return steadied(self.raw, self.cases.inputs)

    @property
    def random(self) -> bool:
        """Whether the model answers at random."""
        return isinstance(self.model, Averaged)

    @cached_property
    def scores(self) -> Array:
        """Answers to all cases, unchecked."""
        with self.raw.ready(), torch.no_grad():
            return np.asarray(self.raw.scores(to_tensor(self.cases.inputs, self.raw.space)).double().cpu().numpy())

    @cached_property
    def sound(self) -> bool:
        """Whether all answers are numbers; without that nothing else can be asked."""
        return not bool(np.isnan(self.scores).any())

    @cached_property
    def batch(self) -> Batch:
        """The cases that the model gets right."""
        if not self.sound:
            return self.cases.take([])
        return self.cases.take(self.model.task.correct(self.model.predict(self.cases.inputs), self.cases.targets))

    @property
    def sees(self) -> bool:
        """Whether slopes can be asked for, on at least one case."""
        return self.sound and self.model.access == "gradients" and len(self.batch) > 0

    @property
    def attackable(self) -> bool:
        """Whether measurements can be moved value by value."""
        return self.sees and self.model.space.kind != "tokens"

    @cached_property
    def points(self) -> Tensor:
        """What slopes are taken at: the cases, or their embedded words."""
        inputs = to_tensor(self.batch.inputs, self.model.space)
        if self.model.space.kind != "tokens":
            return inputs
        with self.model.ready(), torch.no_grad():
            return self.model.embed(inputs)

    def values(self, points: Tensor, name: str = "margin") -> Tensor:
        """A loss [n] at some points; differentiable. To be asked while the model is ready."""
        scores = self._asked(points)
        numbers = np.float64 if self.model.task.kind == "regression" else np.int64
        truth = torch.from_numpy(self.batch.targets.astype(numbers))
        return loss(name)(self.model.task, Goal(), scores, truth, scores.detach())

    def slopes(self, name: str = "margin") -> Tensor:
        """Gradients [n, ...] of a loss at the cases."""
        return self._slopes[name]

    @cached_property
    def _slopes(self) -> dict[str, Tensor]:
        found = {}
        with self.model.ready(), torch.enable_grad():
            for name in ("margin", "ce"):
                point = self.points.clone().requires_grad_(True)
                (found[name],) = torch.autograd.grad(self.values(point, name).sum(), point)
        return found

    def attacked(self, attack: Attack, limit: float | None = None) -> Outcome:
        """What an attack does to the cases that the model gets right."""
        threat = ThreatModel(Additive("linf"), self.limit if limit is None else limit, knowledge=attack.needs)
        return run(attack, self.model, self.batch, threat, seed="check-up")

    def _asked(self, points: Tensor) -> Tensor:
        if self.model.space.kind != "tokens":
            return self.model.scores(points)
        return self.model.scores_embedded(to_tensor(self.batch.inputs, self.model.space), points)


def open_exam(
    model: str, data: str, *, root: Path | None, settings: dict[str, Any], options: dict[str, Any], limit: str | None
) -> Exam:
    """A model and data by their names, as `titer init` takes them; the limit is the proposed one if left out."""
    from titer.audit.propose import address, tolerance, tolerated
    from titer.cases.find import find_dataset
    from titer.models.load import load_model

    dataset = find_dataset(data, root=root, **options)
    where = address(model)
    if "zoo" in where:
        raise ModelError("a finished model", f"{model!r}, which must be trained first", "name a model file")
    allowed = tolerance(dataset) if tolerated(dataset) else None
    return exam_of(load_model({**where, **settings}, dataset, tolerance=allowed), dataset, limit)


def exam_of(model: Model, dataset: Dataset, limit: str | None = None) -> Exam:
    """An exam on cases spread over a data set; the limit is the proposed one if left out."""
    from titer.audit.limits import read_limit
    from titer.audit.propose import propose

    if len(dataset.cases) == 0:
        raise DataError("at least one case", "none", "check the path and the filter of the data set")
    rows = np.unique(np.linspace(0, len(dataset.cases) - 1, min(CASES, len(dataset.cases))).astype(np.int64))
    said = limit if limit is not None or dataset.space.kind == "tokens" else propose(dataset, model.access).main
    radius = read_limit(said or "1", dataset.space, counted=False)
    return Exam(model, dataset.cases.take(rows), radius.value, radius.label)

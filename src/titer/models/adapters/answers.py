"""Answers: how what a model says becomes the scores of a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from titer.cases.case import Array
from titer.errors import ModelError
from titer.models.adapters._endings import Endings
from titer.models.adapters.classmap import ClassMap, read_labels
from titer.models.task import Task

_LEAST = 1e-12


@dataclass(frozen=True)
class Answers:
    """Turns probabilities into logits, puts outputs into the order of the data's classes, and checks the shape.

    One number for two classes is read as the log-odds of the second: z becomes the scores (0, z). Two numbers for one
    score become their difference, which is the log-odds again.

    Arguments
        task: what the scores mean. probabilities: the model gives probabilities; their logarithm is taken.
        classes: which class each output speaks of; in the order of the data's classes if left out.

    >>> answers = Answers(Task("classes", ("well", "sick")), probabilities=True)
    >>> answers.scores(torch.tensor([[0.5], [0.9]]), 2)
    tensor([[0.0000, 0.0000],
            [0.0000, 2.1972]])
    """

    task: Task
    probabilities: bool = False
    classes: ClassMap | None = None

    def __post_init__(self) -> None:
        if self.classes is not None:
            self.classes.check(self.task)

    def scores(self, raw: Tensor, rows: int, endings: Endings | None = None) -> Tensor:
        """Scores [n, K] from raw numbers [n], [n, K] or [n, K, 1, ...]; differentiable.

        For segmentation [n, K, *spatial] from the same, K = 1 where two classes share one logit per pixel. `endings`
        knows the logits behind probabilities, where the last step of a model could be watched.
        """
        if self.task.kind == "segmentation":
            return self._maps(raw, rows)
        flat = _columns(raw)
        if flat.dim() != 2 or len(flat) != rows or flat.shape[1] == 0 or flat.is_complex():
            raise self._misfit(raw, rows)
        numbers = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
        if self.probabilities:
            exact = None if endings is None else endings.logs(raw, odds=not self._logs(numbers))
            numbers = self._logits(numbers) if exact is None else _columns(exact).to(numbers.dtype)
        return self._ordered(numbers, raw, rows)

    def labels(self, raw: Array, rows: int) -> Tensor:
        """Scores of answered labels: one-hot for classes, -1 or +1 otherwise; findings come as [n, K] of 0 or 1."""
        if self.task.kind == "regression":
            return self.scores(torch.from_numpy(np.asarray(raw, dtype=np.float64)), rows)
        if self.task.kind == "segmentation":
            return self._label_maps(raw, rows)
        if self.task.kind == "multilabel":
            if raw.shape != (rows, self.task.outputs) or not np.isin(raw, (0, 1)).all():
                raise self._misfit(torch.empty(raw.shape), rows)
            found = torch.from_numpy(2.0 * raw.astype(np.float32) - 1)
            return found if self.classes is None else self._ordered(found, found, rows)
        flat = raw.reshape(len(raw), -1) if raw.ndim else raw.reshape(1, 1)
        if flat.shape != (rows, 1):
            raise ModelError(f"one label for each of {rows} cases", f"labels of shape {list(raw.shape)}", _REMEDY)
        numbers = torch.from_numpy(read_labels(flat[:, 0], self.classes, self.task))
        if self.task.kind == "classes":
            return torch.nn.functional.one_hot(numbers, len(self.task.classes)).float()
        return (2.0 * numbers.float() - 1).unsqueeze(1)

    def _maps(self, raw: Tensor, rows: int) -> Tensor:
        task = self.task
        if raw.dim() < 3 or len(raw) != rows or raw.is_complex():
            raise self._misfit(raw, rows)
        numbers = raw if raw.dtype in (torch.float32, torch.float64) else raw.float()
        logits = self._logits(numbers) if self.probabilities else numbers
        if self.classes is not None:
            if raw.shape[1] == 1 and len(task.classes) == 2:
                return logits if self.classes.data[-1] == task.classes[1] else -logits
            if raw.shape[1] != len(self.classes.data):
                raise self._misfit(raw, rows)
            return _chosen(logits, self.classes.columns(task))
        if logits.shape[1] not in task.widths:
            raise self._misfit(raw, rows)
        return logits

    def _label_maps(self, raw: Array, rows: int) -> Tensor:
        if raw.ndim < 2 or len(raw) != rows:
            raise self._misfit(torch.empty(raw.shape), rows)
        numbers = read_labels(raw.reshape(-1), self.classes, self.task).reshape(raw.shape)
        return torch.from_numpy(self.task.written(numbers, self.task.outputs)).float()

    def _logits(self, numbers: Tensor) -> Tensor:
        # One minus the least step of float32 is the largest probability whose log-odds are finite.
        safe = numbers.clamp(_LEAST, 1.0 if self._joint(numbers) else 1 - 1e-7)
        return safe.log() if self._logs(numbers) else torch.logit(safe)

    def _joint(self, numbers: Tensor) -> bool:
        """Whether the probabilities are those of classes that exclude each other."""
        return self.task.kind in ("classes", "segmentation") and numbers.shape[1] > 1

    def _logs(self, numbers: Tensor) -> bool:
        """Whether logarithms are the scores, rather than log-odds."""
        return self._joint(numbers) or self._pair(numbers)

    def _pair(self, numbers: Tensor) -> bool:
        """Whether two probabilities stand for one score."""
        return numbers.shape[1] == 2 and self.task.kind in ("binary", "anomaly")

    def _ordered(self, logits: Tensor, raw: Tensor, rows: int) -> Tensor:
        task, width = self.task, logits.shape[1]
        if task.kind in ("classes", "binary") and len(task.classes) == 2 and width == 1:
            one = logits if self.classes is None or self.classes.data[-1] == task.classes[1] else -logits
            return one if task.kind == "binary" else torch.cat((torch.zeros_like(one), one), dim=1)
        if self.classes is not None and task.kind not in ("regression", "anomaly"):
            if width != len(self.classes.data):
                raise self._misfit(raw, rows)
            logits = _chosen(logits, self.classes.columns(task))
        if task.kind in ("binary", "anomaly") and logits.shape[1] == 2:
            logits = logits[:, 1:] - logits[:, :1]
        if logits.shape[1] != task.outputs:
            raise self._misfit(raw, rows)
        return logits

    def _misfit(self, raw: Tensor, rows: int) -> ModelError:
        wanted = len(self.classes.data) if self.classes is not None else self.task.outputs
        each = "pixel of each" if self.task.kind == "segmentation" else "each"
        return ModelError(
            f"{wanted} score(s) for {each} of {rows} cases ({self.task.kind} of {', '.join(self.task.classes)})",
            f"output of shape {list(raw.shape)}",
            _REMEDY,
        )


_REMEDY = "choose the right 'output', map the outputs with 'classes', or correct the task or the model's last layer"


def detect_probabilities(raw: Array, task: Task, *, known: bool | None = None) -> tuple[bool, str]:
    """Whether raw answers are probabilities, and the sentence for the report.

    Several classes: all in 0 to 1 and summing to 1. One number or findings cannot be told by their values alone
    unless one lies outside 0 to 1; `known` is what else is known, such as a graph that ends in a sigmoid.

    >>> detect_probabilities(np.array([[0.2, 0.8], [0.5, 0.5]]), Task("classes", ("a", "b")))
    (True, 'probabilities found (rows sum to 1); their logarithm is used')
    """
    if task.kind in ("regression", "anomaly"):
        return False, ""
    values = np.asarray(raw, dtype=np.float64)
    if task.kind == "segmentation" and values.ndim > 2:
        # Each pixel is a row.
        values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
    values = values.reshape(len(values), -1)
    if not len(values) or (values < -1e-6).any() or (values > 1 + 1e-6).any():
        return False, ""
    if task.kind != "multilabel" and values.shape[1] > 1:
        if np.allclose(values.sum(axis=1), 1.0, atol=1e-3):
            return True, "probabilities found (rows sum to 1); their logarithm is used"
        if known:
            raise ModelError(
                "probabilities of classes that sum to 1",
                f"sums of {values.sum(axis=1).min():.3g} to {values.sum(axis=1).max():.3g}",
                "set 'probabilities' to true or false in the plan",
            )
        return False, ""
    if known is None:
        raise ModelError(
            "to know whether the model gives probabilities or logits",
            f"answers of {values.min():.3g} to {values.max():.3g}, which could be either",
            "set 'probabilities' to true or false in the plan",
        )
    return known, "probabilities found (the model ends in a sigmoid); their log-odds are used" if known else ""


def _columns(raw: Tensor) -> Tensor:
    """Numbers [n] or [n, K, 1, ...] as [n, K]; any other shape as it is."""
    flat = raw.unsqueeze(1) if raw.dim() == 1 else raw
    return flat.flatten(1) if flat.dim() > 2 and all(size == 1 for size in flat.shape[2:]) else flat


def _chosen(logits: Tensor, columns: tuple[tuple[int, ...], ...]) -> Tensor:
    if all(len(each) == 1 for each in columns):
        return logits[:, [each[0] for each in columns]]
    return torch.stack([torch.logsumexp(logits[:, list(each)], dim=1) for each in columns], dim=1)

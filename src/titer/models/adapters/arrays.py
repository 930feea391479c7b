"""Base of models that are asked with plain arrays and give no gradients."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from titer.cases.case import Array
from titer.cases.space import Space
from titer.digest import digest
from titer.errors import ModelError, PlanError
from titer.models.adapters.answers import Answers, detect_probabilities
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.intake import Intake, Layout, pieces
from titer.models.adapters.probe import probe_inputs
from titer.models.model import Access, Model
from titer.models.task import Task


class ArrayModel(Model):
    """A model behind a function of arrays; subclasses give `ask`.

    Arguments
        space, task: inputs and meaning of the scores. name: short name for reports.
        mean, std, layout, channels: see `Intake`.
        probabilities: whether the answers are probabilities; found out by itself (see `notes`) if left out.
        classes: which class each output speaks of, see `ClassMap`.
        text: hand notes over as words joined by blanks instead of token numbers.
        dtype: what the model wants its inputs as.
        batch: ask in blocks of exactly this many cases.
        access: "scores", or "labels" for a model that gives decisions only.
    """

    def __init__(
        self,
        space: Space,
        task: Task,
        *,
        name: str,
        mean: float | tuple[float, ...] = 0.0,
        std: float | tuple[float, ...] = 1.0,
        layout: Layout = "channels-first",
        text: bool = False,
        channels: int | None = None,
        probabilities: bool | None = None,
        classes: ClassMap | None = None,
        dtype: np.dtype[Any] | None = None,
        batch: int | None = None,
        access: Access = "scores",
    ) -> None:
        if access == "gradients":
            raise ModelError("access 'scores' or 'labels'", f"'gradients' of {name}", "lower 'access'")
        if text and space.kind != "tokens":
            raise PlanError("notes for a model that reads text", f"cases of {space.kind}", "leave 'layout: text' out")
        self.text = text
        self.space = space
        self.task = task
        self.name = name
        self.access = access
        self.intake = Intake(space, mean, std, layout, channels)
        self.batch = batch
        self.dtype = dtype or np.dtype(np.int64 if space.kind == "tokens" else np.float32)
        self._declared = probabilities
        self._answers = Answers(task, bool(probabilities), classes)
        self.gives_probabilities = bool(probabilities)

    @abstractmethod
    def ask(self, inputs: Array) -> Array:
        """Raw answers for inputs as the model wants them: numbers [n] or [n, K], or labels [n]."""

    def scores(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            raw = self._raw(inputs)
            if self.access == "labels":
                answered = self._answers.labels(raw, len(inputs))
            elif raw.dtype.kind in "OUS":
                raise ModelError(
                    f"numbers from {self.name}", f"words such as {raw.reshape(-1)[:1].tolist()}", "set 'access: labels'"
                )
            else:
                answered = self._answers.scores(torch.from_numpy(raw), len(inputs))
        return answered.to(inputs.device)

    def _raw(self, inputs: Tensor) -> Array:
        ready = self.intake(inputs.detach()).cpu()
        kept = []
        for piece, count in pieces(ready, self.batch):
            raw = numbers(self.ask(self._cast(piece.numpy())))
            if raw.shape[:1] != (len(piece),):
                raise ModelError(
                    f"{len(piece)} answers for {len(piece)} cases from {self.name}",
                    f"an answer of shape {list(raw.shape)}",
                    "give one row per case; set 'batch' if the model takes a fixed number of cases",
                )
            kept.append(raw[:count])
        return kept[0] if len(kept) == 1 else np.concatenate(kept)

    def _cast(self, inputs: Array) -> Array:
        if self.text:
            words = self.space.vocabulary
            notes = (" ".join(words[token] for token in row if token != self.space.padding) for row in inputs)
            return np.array(list(notes), dtype=object)
        if self.dtype.kind in "iu" and inputs.dtype.kind == "f":
            edge = np.iinfo(self.dtype)
            return np.clip(np.rint(inputs), edge.min, edge.max).astype(self.dtype)
        # Always memory of its own: what a model does to its input is its own affair.
        return np.array(inputs, dtype=self.dtype, order="C")

    def _identified(self, source: Any) -> str:
        """Digest of where the answers come from and of every setting that has a part in them."""
        task = [self.task.kind, self.task.classes, self.task.positive]
        read = [self._answers.probabilities, self._answers.classes, self.access]
        return digest([source, self.intake, self.text, str(self.dtype), self.batch, task, read])

    def _probe(self) -> Array:
        """Raw answers to the fixed probe inputs."""
        return self._raw(torch.from_numpy(probe_inputs(self.space)))

    def _settle(self, raw: Array | None = None, *, known: bool | None = None) -> None:
        """Find out whether the answers are probabilities, unless it was declared."""
        if self.access == "labels" or self._declared is not None:
            return
        seen = self._probe() if raw is None else raw
        if seen.dtype.kind in "OUS":
            return
        found, said = detect_probabilities(seen, self.task, known=known)
        self._answers = Answers(self.task, found, self._answers.classes)
        self.gives_probabilities = found
        self.notes += (said,) if said else ()


def numbers(raw: Any) -> Array:
    """Answers as an array that torch can take over, or as words."""
    array = np.asarray(raw)
    if array.dtype.kind in "OUS":
        return array
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    return np.ascontiguousarray(array, dtype=array.dtype if array.dtype in (np.float32, np.float64) else np.float32)

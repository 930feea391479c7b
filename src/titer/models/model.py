"""Model: how any model is asked.

A model takes cases in the clinical unit of its space and gives scores as its task describes. Normalization,
channel order and label order are the adapter's business, so that attacks act on what a device records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from titer.cases.case import Array
from titer.cases.space import Space
from titer.errors import DataError, ModelError, PlanError
from titer.models.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from titer.models.trees import Forest

Access = Literal["gradients", "scores", "labels"]
# What an attacker sees: what a model gives when it is asked, or its structure read from the file.
Knowledge = Literal["gradients", "structure", "scores", "labels"]

# Matrix products treat the last few rows of a question in another way than the rest, and so change their last bits.
# Questions are filled up to a multiple of this many rows, so that a case alone is bit-equal to the case in a batch;
# with fewer, some processors still choose another way for small matrices.
ROWS = 64
_COVERS: dict[Knowledge, tuple[Knowledge, ...]] = {
    "gradients": ("gradients", "scores", "labels"),
    "structure": ("structure", "scores", "labels"),
    "scores": ("scores", "labels"),
    "labels": ("labels",),
}


def allows(given: Knowledge, needed: Knowledge) -> bool:
    """Whether what is given covers what is needed: gradients and structure include scores, scores include labels."""
    return needed in _COVERS[given]


class Model(ABC):
    """Base of all adapters.

    Attributes
        name: short name for reports.
        space: inputs the model accepts.
        task: meaning of its scores, with the operating point.
        access: the most that the model can give: "gradients", "scores" or "labels".
        digest: SHA-256 of what decides the answers (weights, graph, file, address).
        remote: whether each case asked about is a question to somebody else, which counts.
        gives_probabilities: whether its own answers are probabilities (its scores are then their log-odds).
        rowwise: whether the model asks about each case on its own, so that company cannot change an answer.
        notes: what was found out about the model rather than declared, for the report.
    """

    name: str
    space: Space
    task: Task
    access: Access
    digest: str
    remote: bool = False
    gives_probabilities: bool = False
    rowwise: bool = False
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where attacks keep their cases, so that nothing is carried to and fro between two questions."""
        import torch

        return torch.device("cpu")

    @abstractmethod
    def scores(self, inputs: Tensor) -> Tensor:
        """Scores as the task says for inputs [n, *shape] in clinical units; differentiable if access is "gradients".

        With access "labels" a decision is written as scores: one-hot for classes, -1 or +1 otherwise.
        """

    def embed(self, inputs: Tensor) -> Tensor:
        """Embedded notes [n, L, E]; only for models of tokens that give gradients."""
        raise ModelError(
            "a model that embeds tokens", f"{self.name} ({self.space.kind})", "choose a change that acts on the input"
        )

    def scores_embedded(self, inputs: Tensor, embedded: Tensor) -> Tensor:
        """Scores [n, K] with the embedding replaced; inputs still tell which positions are padding."""
        raise ModelError(
            "a model that embeds tokens", f"{self.name} ({self.space.kind})", "choose a change that acts on the input"
        )

    def trees(self) -> Forest | None:
        """The decision trees that the scores are sums of, for who sees the structure; None if there are none."""
        return None

    def ready(self) -> AbstractContextManager[object]:
        """While open, the model answers as in service; afterwards it is as it was before."""
        return nullcontext()

    def judging(self) -> Model:
        """The model that has the last word on what an attack found: this one, unless its answers are random."""
        return self

    def calibrated(self, task: Task) -> Model:
        """The same model with another operating point."""
        import copy

        other = copy.copy(self)
        other.task = task
        return other

    def predict(self, inputs: Array, size: int = 256) -> Array:
        """Scores of plain arrays, in pieces, without gradients, checked against the task."""
        import torch

        if size < 1:
            raise PlanError("pieces of at least 1 case", str(size), "correct 'size'")
        if inputs.shape[1:] != self.space.shape:
            raise DataError(
                f"inputs of shape [n, {', '.join(map(str, self.space.shape))}] for {self.name}",
                str(list(inputs.shape)),
                "resize or regroup the cases so that all have the shape of the model's space",
            )
        pieces = []
        with self.ready(), torch.no_grad():
            for start in range(0, len(inputs), size):
                piece = inputs[start : start + size]
                missing = 0 if self.remote or self.rowwise else -len(piece) % ROWS
                filled = np.concatenate((piece, np.repeat(piece[:1], missing, axis=0))) if missing else piece
                answers = self.scores(to_tensor(filled, self.space))
                pieces.append(answers[: len(piece)].double().cpu().numpy())
        scores = np.concatenate(pieces) if pieces else no_scores(self)
        self.task.check(scores)
        return scores


def no_scores(model: Model) -> Array:
    """The scores of no case at all, in the shape that scores have."""
    maps = model.space.shape[1:] if model.task.kind == "segmentation" else ()
    return np.zeros((0, model.task.outputs, *maps))


def to_tensor(inputs: Array, space: Space) -> Tensor:
    """Cases as a tensor: whole numbers for tokens, float32 (or float64 if given so) for measurements.

    Half precision is widened, and what it rounded past the range is moved back to its end.
    """
    import torch

    kind: Any = np.int64
    if space.kind != "tokens":
        kind = inputs.dtype if inputs.dtype in (np.float32, np.float64) else np.float32
    # Torch warns of memory that it must not write to.
    ready = np.ascontiguousarray(inputs, dtype=kind)
    if inputs.dtype == np.float16 and space.kind != "tokens":
        low, high = space.bounds()
        ready = np.clip(ready, low.astype(np.float32), high.astype(np.float32))
    return torch.from_numpy(ready if ready.flags.writeable else ready.copy())

"""Adapter for any function of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.cases.space import Space
from titer.errors import ModelError, TiterError
from titer.models.adapters.arrays import ArrayModel
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.fingerprint import object_digest
from titer.models.adapters.intake import Layout
from titer.models.adapters.probe import first_line
from titer.models.model import Access
from titer.models.task import Task


class CallableModel(ArrayModel):
    """A function that takes an array of cases [n, *shape] and gives scores, probabilities or labels.

    The function gets memory of its own, so it may change what it is given. It is expected to give the same answer to
    the same question, and one row per case.

    Arguments
        function: scores or probabilities [n] or [n, K], or labels [n] (words or numbers, with access "labels").
        space, task, mean, std, layout, channels, text, probabilities, classes, batch: see `ArrayModel`.
        precise: hand over float64 instead of float32.
        access: "scores" or "labels"; words make it "labels".
        digest: name of the function's version; from its code and what that refers to if left out.

    >>> space = Space("table", (2,), "mg/dL", 0.0, 300.0)
    >>> task = Task("classes", ("low", "high"))
    >>> model = CallableModel(lambda x: np.where(x[:, 0] > 100, "high", "low"), space, task)
    >>> model.access, model.predict(np.array([[150.0, 0.0]])).tolist()
    ('labels', [[0.0, 1.0]])
    """

    def __init__(
        self,
        function: Callable[[Array], Any],
        space: Space,
        task: Task,
        *,
        name: str = "",
        mean: float | tuple[float, ...] = 0.0,
        std: float | tuple[float, ...] = 1.0,
        layout: Layout = "channels-first",
        channels: int | None = None,
        text: bool = False,
        probabilities: bool | None = None,
        classes: ClassMap | None = None,
        batch: int | None = None,
        precise: bool = False,
        access: Access | None = None,
        digest: str | None = None,
    ) -> None:
        if not callable(function):
            raise ModelError("a function of arrays", type(function).__name__, "give a function")
        self.function = function
        kind = np.dtype(np.int64 if space.kind == "tokens" else np.float64 if precise else np.float32)
        super().__init__(
            space, task, name=name or str(getattr(function, "__name__", type(function).__name__)), mean=mean, std=std,
            layout=layout, channels=channels, text=text, probabilities=probabilities, classes=classes, dtype=kind,
            batch=batch, access=access or "scores",
        )  # fmt: skip
        seen = self._probe()
        if access is None and seen.dtype.kind in "OUS":
            self.access = "labels"
            self.notes += ("the function answers with words: read as labels",)
        self._settle(seen)
        self.digest = self._identified(digest or object_digest([function, seen]))

    def ask(self, inputs: Array) -> Array:
        try:
            return np.asarray(self.function(inputs))
        except TiterError:
            raise
        except Exception as error:
            raise ModelError(
                f"answers to {len(inputs)} cases of shape {list(inputs.shape[1:])}",
                f"{type(error).__name__} from {self.name}: {first_line(error)}",
                "correct the function, or 'layout' and 'channels'",
            ) from error

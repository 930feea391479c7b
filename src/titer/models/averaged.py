"""Averaged: a model that answers at random, asked many times, so that it can be attacked and judged like any other."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from titer.cases.case import Array
from titer.digest import digest
from titer.errors import PlanError
from titer.models.model import Model, to_tensor

# Copies of a case in one pass: noise drawn per row differs between them, noise drawn per pass between passes.
_COPIES = 8
# Cases that a model is asked about twice to see whether it answers at random.
FEW = 8


@dataclass(eq=False)
class Averaged(Model):
    """The expected answer of a model with random parts (expectation over transformation, EOT).

    scores(x) = mean over m draws of f(x, noise); its gradient is the mean of the draws' gradients, whose variance falls
    as 1 / m. The noise of a question follows from `seed` and from the case's own values, by a hash: the same point is
    always answered alike, in any company, and every other point draws anew. Each case is asked on its own, as copies in
    passes of eight. What an attack found is judged by `judging()`, with other draws, so that nobody is fooled by luck.

    Source: Athalye, Engstrom, Ilyas, Kwok 2018 (arXiv 1707.07397); Athalye, Carlini, Wagner 2018 (arXiv 1802.00420).
    Different from both: noise is bound to the point.

    Arguments
        inner: the model; its random numbers must come from torch, numpy or random, or from generators that its module
            holds.
        draws: answers per question, m; a question counts once, whatever m is.
        judges: draws of the judge, 20 or more.
        seed: from which all draws follow.
        by: "mean" of scores, or "vote", the share of decisions for each class (a black box).
        verdict: what the judge goes by: "vote", the majority of decisions (regression: the mean), or "mean", the
            expected scores, on whose axis a threshold can be chosen.

    >>> from titer.testing.models import network
    >>> model, batch = network("table", 3)
    >>> Averaged(model, draws=4).predict(batch.inputs).shape
    (3, 3)
    """

    inner: Model
    draws: int = 16
    judges: int = 40
    seed: str = "draws"
    by: Literal["mean", "vote"] = "mean"
    verdict: Literal["mean", "vote"] = "vote"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise PlanError("at least one draw", str(self.draws), "correct 'draws'")
        if self.judges < 20:
            raise PlanError("at least 20 draws to judge by", str(self.judges), "raise 'judges'")
        for label, value in (("by", self.by), ("verdict", self.verdict)):
            if value not in ("mean", "vote"):
                raise PlanError("'mean' or 'vote'", repr(value), f"correct {label!r}")
        self.name, self.space, self.task = self.inner.name, self.inner.space, self.inner.task
        self.access = "scores" if self.by == "vote" and self.inner.access == "gradients" else self.inner.access
        # Asked row by row already: fillers would only cost passes.
        self.rowwise = True
        self.gives_probabilities = self.inner.gives_probabilities
        self.digest = digest([self.inner.digest, "averaged", self.draws, self.judges, self.seed, self.by, self.verdict])
        self.notes = (
            *self.inner.notes,
            f"answers at random: attacked by the mean of {self.draws} draws, judged by {self.judges} other ones",
        )

    def scores(self, inputs: Tensor) -> Tensor:
        return self._each(inputs, inputs, lambda case, _: self.inner.scores(case))

    def embed(self, inputs: Tensor) -> Tensor:
        return self.inner.embed(inputs)

    def scores_embedded(self, inputs: Tensor, embedded: Tensor) -> Tensor:
        return self._each(inputs, embedded, self.inner.scores_embedded)

    def ready(self) -> AbstractContextManager[object]:
        return self.inner.ready()

    def judging(self) -> Model:
        """What has the last word: other draws, and their verdict."""
        if self.by == "vote" or self.seed.endswith("/judge"):
            return self
        by: Literal["mean", "vote"] = "mean" if self.task.kind == "regression" else self.verdict
        judge = Averaged(self.inner, self.judges, self.judges, f"{self.seed}/judge", by)
        judge.task = self.task
        return judge

    def predict(self, inputs: Array, size: int = 256) -> Array:
        """Scores of plain arrays as the judge gives them."""
        judge = self.judging()
        return super().predict(inputs, size) if judge is self else judge.predict(inputs, size)

    def _each(self, inputs: Tensor, points: Tensor, ask: Any) -> Tensor:
        if len(inputs) == 0:
            return self.inner.scores(inputs) if points is inputs else self.inner.scores_embedded(inputs, points)
        return torch.cat([self._one(inputs[row], points[row], ask) for row in range(len(inputs))])

    def _one(self, case: Tensor, point: Tensor, ask: Any) -> Tensor:
        held = np.ascontiguousarray(point.detach().cpu().numpy()).tobytes()
        answers = []
        for start in range(0, self.draws, _COPIES):
            word = hashlib.sha256(f"{self.seed}\0{start}\0".encode() + held).digest()
            copies = [each.expand(_COPIES, *each.shape) for each in (case, point)]
            with _seeded(self.inner, int.from_bytes(word[:4], "little")):
                answers.append(ask(*copies)[: self.draws - start])
        drawn = torch.cat(answers)
        if self.by == "vote":
            drawn = self._votes(drawn)
        return drawn.mean(dim=0, keepdim=True)

    def _votes(self, drawn: Tensor) -> Tensor:
        """Each draw's decision as scores around the threshold, so that the mean decides as the majority."""
        task = self.task
        decided = task.written(task.decide(drawn.detach().double().cpu().numpy()), drawn.shape[1])
        votes = torch.from_numpy(decided).to(drawn)
        # Decisions subtract the threshold, so it is added here.
        moved: Tensor = votes - task.shifted(torch.zeros_like(drawn))
        return moved


def answers_at_random(model: Model, inputs: Array) -> bool:
    """Whether a model in service gives other answers when it is asked the same again with other random numbers.

    Endpoints are not asked: each question there counts.

    >>> from titer.testing.models import network
    >>> model, batch = network("table", 3)
    >>> answers_at_random(model, batch.inputs)
    False
    """
    if model.remote or isinstance(model, Averaged) or len(inputs) == 0:
        return False
    seen = []
    for number in (1, 2):
        with model.ready(), torch.no_grad(), _seeded(model, number):
            seen.append(model.scores(to_tensor(inputs, model.space)).double().cpu().numpy())
    one, two = (np.where(np.isfinite(each), each, 0.0) for each in seen)
    return bool((np.abs(one - two) > 1e-6 * (1 + np.abs(one))).any())


def steadied(model: Model, inputs: Array) -> Model:
    """The model itself, or an average over its draws if it answers these cases at random.

    The judge goes by the mean, so that an operating point means the same for clean answers, attack and verdict.
    """
    return Averaged(model, verdict="mean") if answers_at_random(model, inputs) else model


@contextmanager
def _seeded(model: Model, number: int) -> Iterator[None]:
    """All sources of chance that a model may use, set from one number and put back afterwards."""
    held = [value for part in _parts(model) for value in vars(part).values()]
    own = [each for each in held if isinstance(each, torch.Generator)]
    before = [each.get_state() for each in own]
    plain, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(number)
        np.random.seed(number)
        random.seed(number)
        for place, each in enumerate(own):
            each.manual_seed(number + place + 1)
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(array)
            for each, state in zip(own, before, strict=True):
                each.set_state(state)


def _parts(model: Model) -> list[Any]:
    module = getattr(model, "module", None)
    return list(module.modules()) if isinstance(module, torch.nn.Module) else []

"""Substitution: words give way to other words that mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Field, StepwiseChange
from titer.threats.random import CaseRandom

# Separates two draws that one call needs.
_OTHER = 0x5BD1E995


@dataclass(frozen=True)
class Substitution(StepwiseChange):
    """Each changed word becomes one that the list of choices allows for it; the cost is the number of words changed.

    Parameters are the token numbers of the changed note. Choices are those of the clean word, so that meaning cannot
    drift from step to step. Padding never changes.

    Source: Papernot et al. 2016 (arXiv 1604.08275) for the problem; lists of synonyms as in Alzantot et al. 2018 (arXiv
    1804.07998).

    >>> field = Field(torch.tensor([[3, 1, 0]]), None, None, torch.tensor(1.0), torch.tensor([[1, 1, 0]]),
    ...               torch.from_numpy(choices_table({3: (4, 5)}, size=6)))
    >>> Substitution().edits(field, field.clean).tolist()
    [[[4, 5], [1, 1], [0, 0]]]
    """

    name: ClassVar[str] = "substitution"
    kinds: ClassVar[tuple[Kind, ...]] = ("tokens",)

    def unit(self, space: Space) -> str:
        return "words"

    def check(self, field: Field) -> None:
        _choices(field)

    def nothing(self, field: Field) -> Tensor:
        return field.clean.clone()

    def apply(self, field: Field, params: Tensor) -> Tensor:
        return params

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return (params != field.clean).sum(dim=1).to(torch.float32)

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        listed = (self.edits(field, params) == params.unsqueeze(-1)).any(dim=-1)
        return (listed | (params == field.clean)).all(dim=1)

    def edits(self, field: Field, params: Tensor) -> Int[Tensor, "n position choice"]:
        options = _choices(field)[field.clean]
        if field.mask is None:
            return options
        return torch.where(field.mask.unsqueeze(-1) != 0, options, field.clean.unsqueeze(-1))

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        options = self.edits(field, field.clean)
        real = options != field.clean.unsqueeze(-1)
        luck = rng.uniform(tuple(options.shape[1:]), draw) * real
        word = options.gather(-1, luck.argmax(dim=-1, keepdim=True))[..., 0]
        turn = rng.uniform(tuple(field.clean.shape[1:]), draw ^ _OTHER) * real.any(dim=-1)
        order = turn.argsort(dim=1, descending=True, stable=True)
        place = order.argsort(dim=1, stable=True)
        chosen = (turn > 0) & (place < limit.floor().unsqueeze(1))
        return torch.where(chosen, word, field.clean)

    def sentence(self, limit: str) -> str:
        return f"replace at most {limit} words by listed alternatives"


def choices_table(choices: Mapping[int, Sequence[int]], size: int) -> np.ndarray[Any, Any]:
    """The table [size, C] that a field needs, from token number -> token numbers that may replace it."""
    width = max((len(others) for others in choices.values()), default=0)
    table = np.repeat(np.arange(size, dtype=np.int64)[:, None], max(1, width), axis=1)
    for word, others in choices.items():
        if not all(0 <= number < size for number in (word, *others)):
            raise ThreatError(
                f"token numbers of 0 to {size - 1} in the choices", f"{word}: {tuple(others)}", "use the vocabulary's"
            )
        table[word, : len(others)] = others
    return table


def _choices(field: Field) -> Tensor:
    if field.choices is None:
        raise ThreatError(
            "a list of words that may replace each word",
            "none",
            "use a data set with synonyms, or 'embedding' to change the numbers behind the words",
        )
    return field.choices

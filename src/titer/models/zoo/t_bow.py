"""T-BOW: the linear model of a bag of words, which a Transformer has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from titer.cases.case import Batch
from titer.cases.dataset import Dataset
from titer.cases.space import Kind, Space
from titer.models.recipe import Recipe
from titer.models.task import Task
from titer.models.zoo._words import counted, hidden_words, rarity_of


@dataclass(frozen=True, kw_only=True)
class TBOW(Recipe):
    """A linear model of weighted word counts; the order of words has no influence.

    A word that stands c times in a note and in d of n training notes weighs (1 + log c)(1 + log((1 + n) / (1 + d)));
    weights are divided by their length per note. Every word has one vector with a number per class, and scores are
    their weighted sum plus a bias.

    It learns logistic regression or, for few and long notes the better choice, a linear support vector machine: one
    class against all others by the squared hinge, sum over k of max(0, 1 - t_k z_k)^2 with t = +-1, and
    |w|^2 / (2 n) against growth, n training notes.

    Source: Salton and Buckley 1988, doi 10.1016/0306-4573(88)90021-0; the smoothed inverse frequency as in
    scikit-learn; Fan et al. 2008 (LIBLINEAR, JMLR 9, 1871) for the hinge.

    Arguments
        word_dropout: share of words hidden while training.
        objective: "logistic" or "hinge"; the latter for tasks with classes only.

    >>> space = Space("tokens", (6,), "word", vocabulary=("[padding]", "no", "fever"))
    >>> model = TBOW().module(space, Task("classes", ("well", "ill")))
    >>> model(torch.tensor([[1, 2, 0, 0, 0, 0]])).shape
    torch.Size([1, 2])
    """

    rate: float = 0.05
    final_rate: float = 5e-3
    epochs: int = 30
    word_dropout: float = 0.0
    objective: Literal["logistic", "hinge"] = "logistic"

    name: ClassVar[str] = "t_bow"
    family: ClassVar[str] = "Bag of words"
    kinds: ClassVar[tuple[Kind, ...]] = ("tokens",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0, word_dropout=self.word_dropout)
        self.choose("objective", self.objective, ("logistic", "hinge"))

    def fits(self, dataset: Dataset) -> bool:
        return super().fits(dataset) and (self.objective == "logistic" or dataset.task == "classes")

    def module(self, space: Space, task: Task) -> nn.Module:
        return _Net(space, task.outputs)

    def prepare(self, module: nn.Module, cases: Batch, space: Space, seed: int) -> None:
        module.get_buffer("rarity").copy_(rarity_of(counted(cases, space)))
        module.get_buffer("notes").fill_(len(cases))

    def augment(self, inputs: Tensor, space: Space, generator: Generator) -> Tensor:
        return hidden_words(inputs, self.word_dropout, space, generator)

    def loss(self, module: nn.Module, inputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        if self.objective == "logistic":
            return super().loss(module, inputs, targets, task)
        sides = 2.0 * nn.functional.one_hot(targets, task.outputs) - 1
        missed = torch.relu(1 - sides * module(inputs)).square().sum(dim=1)
        size = module.get_parameter("words.weight").square().sum() / (2 * module.get_buffer("notes"))
        return missed + size


class _Net(nn.Module):
    rarity: Tensor

    def __init__(self, space: Space, outputs: int) -> None:
        super().__init__()
        self.padding = space.padding
        self.words = nn.Embedding(len(space.vocabulary), outputs)
        nn.init.zeros_(self.words.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("rarity", torch.ones(len(space.vocabulary)))
        self.register_buffer("notes", torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        real = (inputs != self.padding).to(self.rarity.dtype)
        table = torch.zeros(len(inputs), len(self.rarity), dtype=real.dtype, device=inputs.device)
        count = table.scatter_add(1, inputs, real).gather(1, inputs).clamp_min(1.0)
        weight = real * self.rarity[inputs] * (1 + count.log())
        # Each of a word's c places carries a part of its weight: w / c in the sum, w^2 / c in the squared length.
        length = (weight**2 / count).sum(dim=1, keepdim=True).sqrt().clamp_min(1e-12)
        embedded: Tensor = self.words(inputs)
        return torch.einsum("nl,nlk->nk", weight / count / length, embedded) + self.bias

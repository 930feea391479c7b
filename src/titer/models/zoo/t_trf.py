"""T-TRF: a small Transformer for notes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from titer.cases.case import Batch
from titer.cases.space import Kind, Space
from titer.models.recipe import Recipe
from titer.models.task import Task
from titer.models.zoo._words import counted, hidden_words, rarity_of, topics


@dataclass(frozen=True, kw_only=True)
class TTRF(Recipe):
    """Embedded words plus positions, pre-norm encoder layers, and the mean over the words of the note.

    Padding is masked in every layer and in the mean. Positions are sines and cosines (Vaswani et al. 2017, arXiv
    1706.03762), added behind the embedding, so that an attack on embedded words leaves them alone. Attention falls
    with distance (Press, Smith, Lewis 2022, arXiv 2108.12409); different from them, half of the heads look back and
    half ahead. A few thousand notes are too few to learn without it that "denies" speaks of what follows. Norms stand
    before attention and feed-forward (Xiong et al. 2020, arXiv 2002.04745).

    Source: the Transformer of Soberano and Condes 2025 (doi 10.6000/1929-6029.2025.14.71), who do not state their
    architecture; this one is ours.

    Arguments
        width, layers, heads, inner: size of the embedding, number of layers, attention heads, size of the
            feed-forward part.
        dropout: share of values dropped while training.
        word_dropout: share of words hidden while training.
        window: words attend only within blocks of this many (0: within the whole note), so that the cost of long
            notes grows with their length and not with its square.
        start: "random", or "topics": words begin with what the training notes say of them, the leading singular
            vectors of weighted counts (Deerwester et al. 1990). For long notes by topic, of which there are few.
        weighting: "even", or "rarity": in the mean over the note a word weighs 1 + log((1 + n) / (1 + d)), where d
            of n training notes have it.

    >>> space = Space("tokens", (6,), "word", vocabulary=("[padding]", "no", "fever"))
    >>> model = TTRF().module(space, Task("classes", ("well", "ill")))
    >>> model(torch.tensor([[1, 2, 0, 0, 0, 0]])).shape
    torch.Size([1, 2])
    """

    width: int = 64
    layers: int = 2
    heads: int = 4
    inner: int = 128
    rate: float = 2e-3
    batch: int = 32
    epochs: int = 8
    dropout: float = 0.1
    word_dropout: float = 0.0
    window: int = 0
    start: Literal["random", "topics"] = "random"
    weighting: Literal["even", "rarity"] = "even"

    name: ClassVar[str] = "t_trf"
    family: ClassVar[str] = "Transformer"
    kinds: ClassVar[tuple[Kind, ...]] = ("tokens",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1, width=self.width, layers=self.layers, heads=self.heads, inner=self.inner)
        self.require(0, dropout=self.dropout, word_dropout=self.word_dropout)
        self.require(0, window=self.window)
        self.choose("start", self.start, ("random", "topics"))
        self.choose("weighting", self.weighting, ("even", "rarity"))
        self.choose("width modulo heads", self.width % self.heads, (0,))

    def module(self, space: Space, task: Task) -> nn.Module:
        return _Net(space, task.outputs, self)

    def prepare(self, module: nn.Module, cases: Batch, space: Space, seed: int) -> None:
        table = counted(cases, space)
        rarity = rarity_of(table)
        if self.weighting == "rarity":
            module.get_buffer("rarity").copy_(rarity)
        if self.start == "topics":
            with torch.no_grad():
                module.get_parameter("words.weight").copy_(topics(table, rarity, self.width))

    def augment(self, inputs: Tensor, space: Space, generator: Generator) -> Tensor:
        return hidden_words(inputs, self.word_dropout, space, generator)


class _Net(nn.Module):
    positions: Tensor
    near: Tensor
    rarity: Tensor

    def __init__(self, space: Space, outputs: int, chosen: TTRF) -> None:
        super().__init__()
        self.padding = space.padding
        self.words = nn.Embedding(len(space.vocabulary), chosen.width)
        self.register_buffer("positions", _sines(space.shape[0], chosen.width), persistent=False)
        self.window = min(chosen.window or space.shape[0], space.shape[0])
        self.register_buffer("near", _near(self.window, chosen.heads), persistent=False)
        self.register_buffer("rarity", torch.ones(len(space.vocabulary)))
        self.layers = nn.ModuleList([_Layer(chosen) for _ in range(chosen.layers)])
        self.norm = nn.LayerNorm(chosen.width)
        self.dropout = nn.Dropout(chosen.dropout)
        self.head = nn.Linear(chosen.width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        n, length = inputs.shape
        real = inputs != self.padding
        # A note without words is read as one unknown word, for the mean needs something to look at.
        first = torch.arange(length, device=inputs.device) == 0
        real = real | (~real.any(dim=1, keepdim=True) & first)
        states = self.dropout(self.words(inputs) + self.positions)
        fill = -length % self.window
        blocks = F.pad(states, (0, 0, 0, fill)).reshape(-1, self.window, states.shape[2])
        seen = F.pad(real, (0, fill)).reshape(-1, 1, 1, self.window)
        # Where a whole block is padding, its own words are as good as none: nobody reads the result.
        near = self.near.masked_fill(~seen, -1e9)
        for layer in self.layers:
            blocks = layer(blocks, near)
        states = self.norm(blocks.reshape(n, length + fill, -1)[:, :length])
        weights = (real * self.rarity[inputs]).unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
        scores: Tensor = self.head(self.dropout(mean))
        return scores


class _Layer(nn.Module):
    def __init__(self, chosen: TTRF) -> None:
        super().__init__()
        self.heads = chosen.heads
        self.before_attention = nn.LayerNorm(chosen.width)
        self.mixed = nn.Linear(chosen.width, 3 * chosen.width)
        self.joined = nn.Linear(chosen.width, chosen.width)
        self.before_inner = nn.LayerNorm(chosen.width)
        self.inner = nn.Sequential(
            nn.Linear(chosen.width, chosen.inner), nn.GELU(), nn.Linear(chosen.inner, chosen.width)
        )
        self.dropout = nn.Dropout(chosen.dropout)

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        n, length, width = states.shape
        mixed = self.mixed(self.before_attention(states)).reshape(n, length, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        states = states + self.dropout(self.joined(read.transpose(1, 2).reshape(n, length, width)))
        result: Tensor = states + self.dropout(self.inner(self.before_inner(states)))
        return result


def _sines(length: int, width: int) -> Tensor:
    """[length, width] sines and cosines of the position, slower from left to right."""
    place = torch.arange(length, dtype=torch.float32)[:, None]
    speed = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * speed)
    table[:, 1::2] = torch.cos(place * speed[: width // 2])
    return table


def _near(length: int, heads: int) -> Tensor:
    """[1, heads, length, length] added to attention: less with distance; half of the heads look back, half ahead."""
    place = torch.arange(length, dtype=torch.float32)
    ahead = place[None, :] - place[:, None]
    slopes = 2.0 ** -(torch.arange(heads, dtype=torch.float32) // 2 * (8.0 / max(heads, 1)) + 1)
    side = torch.where(torch.arange(heads) % 2 == 0, -1.0, 1.0)[:, None, None]
    wrong = (side * ahead) < 0
    return (-slopes[:, None, None] * ahead.abs() - 1e4 * wrong)[None]

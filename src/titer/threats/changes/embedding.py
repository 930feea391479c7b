"""Embedding change: the vectors behind the words move. No note can be written that does this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Norm
from titer.threats.changes._ball import Ball


@dataclass(frozen=True)
class Embedding(Ball):
    """e' = e + d on the embedded words, d limited in L2 per note or L-infinity per number.

    A change of the numbers behind the words that no text may reach, and not comparable with changes of words: a swap
    of one word can move its embedding further than the limit allows, and an attack that fails here says nothing about
    rewordings. Reports say so beside each number. Padding does not move.

    Source: Miyato, Dai, Goodfellow 2017 (arXiv 1605.07725), who perturb normalized embeddings; here the embeddings
    are as the model has them.

    Arguments
        norm: "linf" or "l2".

    >>> Embedding("l2").sentence("1.0")
    'move the embedded words by at most 1.0 in total (numbers that no text may reach)'
    """

    norm: Norm = "l2"
    name: ClassVar[str] = "embedding"
    surface: ClassVar[Literal["input", "embedding"]] = "embedding"
    exact: ClassVar[bool] = False
    kinds: ClassVar[tuple[Kind, ...]] = ("tokens",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm not in ("linf", "l2"):
            raise ThreatError(
                "a norm among linf, l2 for embeddings", repr(self.norm), "use 'substitution' to change few words"
            )

    def unit(self, space: Space) -> str:
        return ""

    def sentence(self, limit: str) -> str:
        size = f"{limit} in total" if self.norm == "l2" else f"{limit} in each number"
        return f"move the embedded words by at most {size} (numbers that no text may reach)"

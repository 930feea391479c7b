"""What recipes for notes share: word counts, rarity, topics, hidden words."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from titer.cases.case import Batch
from titer.cases.space import Space


def counted(cases: Batch, space: Space) -> Float[Tensor, "n V"]:
    """How often each word stands in each note; padding counts as never.

    >>> batch = Batch.of(np.array([[1, 2, 2], [1, 0, 0]]), np.array([0, 1]))
    >>> counted(batch, Space("tokens", (3,), "word", vocabulary=("[padding]", "no", "fever")))
    tensor([[0., 1., 2.],
            [0., 1., 0.]])
    """
    table = np.zeros((len(cases), len(space.vocabulary)), dtype=np.float32)
    np.add.at(table, (np.arange(len(cases))[:, None], cases.inputs), 1.0)
    table[:, space.padding] = 0.0
    return torch.from_numpy(table)


def rarity_of(table: Float[Tensor, "n V"]) -> Float[Tensor, " V"]:
    """1 + log((1 + n) / (1 + d)) for a word that d of n notes have; as scikit-learn's smoothed inverse frequency."""
    held = (table > 0).sum(dim=0)
    return 1.0 + torch.log((1.0 + len(table)) / (1.0 + held))


def topics(table: Float[Tensor, "n V"], rarity: Float[Tensor, " V"], width: int) -> Float[Tensor, "V width"]:
    """Words by the leading singular vectors of their weighted counts, of length sqrt(width) each; unseen ones are 0.

    Source: Deerwester et al. 1990, doi 10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9; randomized as in
    Halko, Martinsson, Tropp 2011, doi 10.1137/090771806. Random numbers from the global torch generator.
    """
    weighted = torch.where(table > 0, 1 + table.clamp_min(1).log(), 0.0) * rarity
    weighted = weighted / weighted.norm(dim=1, keepdim=True).clamp_min(1e-12)
    rank = min(width, *table.shape)
    _, strength, words = torch.svd_lowrank(weighted, q=min(rank + 16, *table.shape), niter=4)
    vectors = (words * strength)[:, :rank]
    vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12) * width**0.5
    return torch.nn.functional.pad(vectors, (0, width - rank))


def hidden_words(inputs: Tensor, share: float, space: Space, generator: Generator) -> Tensor:
    """Notes with a share of their words replaced by padding."""
    if not share:
        return inputs
    return torch.where(torch.rand(inputs.shape, generator=generator) < share, space.padding, inputs)

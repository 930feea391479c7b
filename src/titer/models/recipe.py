"""Recipe: how a reference model is built and trained; one file each in `titer/models/zoo`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from titer.cases.dataset import Dataset
from titer.cases.space import Kind

if TYPE_CHECKING:
    from torch import nn


class Recipe(ABC):
    """Base of all recipes; a subclass is a frozen dataclass of its settings.

    Attributes
        name: as plans call it.
        family: what the paper calls it: "CNN", "RNN", "Transformer", "Autoencoder", or another word.
        kinds: spaces that it can read.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]

    @abstractmethod
    def build(self, dataset: Dataset) -> nn.Module:
        """An untrained module for the space and task of a data set; weights from the global torch generator."""

    def fits(self, dataset: Dataset) -> bool:
        """Whether the recipe can learn this data set."""
        return dataset.space.kind in self.kinds and (dataset.task == "anomaly") == (self.family == "Autoencoder")

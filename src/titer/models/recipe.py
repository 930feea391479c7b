"""Recipe: how a reference model is built and trained; one file each in `titer/models/zoo`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from titer.cases.case import Batch
from titer.cases.dataset import Dataset
from titer.cases.space import Kind, Space
from titer.errors import PlanError
from titer.models.task import Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Base of all recipes; a subclass is a frozen dataclass of its settings.

    Adam falls from `rate` to `final_rate` along a cosine; the weights with the lowest validation loss are kept, and
    training ends when `patience` epochs brought no lower one.

    Arguments
        rate, final_rate: learning rate of the first and the last step.
        decay: weight decay beside the gradient (AdamW, Loshchilov and Hutter 2019, arXiv 1711.05101); 0 gives Adam.
        batch: cases per step.
        patience: epochs without a lower validation loss before training ends.
        epochs: the most passes over the training cases, where the plan does not say.

    Attributes
        name: as plans call it.
        family: what the paper calls it: "CNN", "RNN", "Transformer", "Autoencoder", or another word.
        kinds: spaces that it can read.
        maps: whether it marks pixels instead of answering once per case.
    """

    rate: float = 1e-3
    final_rate: float = 1e-4
    decay: float = 0.0
    batch: int = 64
    patience: int = 4
    epochs: int = 12

    name: ClassVar[str]
    family: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    maps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.require(1e-7, rate=self.rate, final_rate=self.final_rate)
        self.require(0, decay=self.decay)
        self.require(2, batch=self.batch)
        self.require(1, patience=self.patience, epochs=self.epochs)

    @abstractmethod
    def module(self, space: Space, task: Task) -> nn.Module:
        """An untrained module that gives the task's scores; weights from the global torch generator."""

    def build(self, dataset: Dataset) -> nn.Module:
        """An untrained module for the space and task of a data set."""
        return self.module(dataset.space, task_of(dataset, tolerance=1.0))

    def fits(self, dataset: Dataset) -> bool:
        """Whether the recipe can learn this data set."""
        answers = (dataset.task == "anomaly", dataset.task == "segmentation")
        return dataset.space.kind in self.kinds and answers == (self.family == "Autoencoder", self.maps)

    def prepare(self, module: nn.Module, cases: Batch, space: Space, seed: int) -> None:  # noqa: B027 - a hook
        """What is read off the training cases before the first step, such as word weights; nothing by default."""

    def augment(self, inputs: Tensor, space: Space, generator: Generator) -> Tensor:
        """Training cases as the module sees them in one epoch; unchanged by default."""
        return inputs

    def loss(self, module: nn.Module, inputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        """What training lowers, one number per case [n]: the loss of the task."""
        from titer.models.zoo._parts import objective

        return objective(task, module(inputs), targets)

    def finish(self, module: nn.Module, inputs: Tensor) -> None:  # noqa: B027 - a hook
        """What is read off the normalized training cases after the last step; nothing by default."""

    def settings(self) -> dict[str, Any]:
        """Every setting, defaults included, as plain values."""
        return asdict(self)

    def require(self, low: float, **settings: float) -> None:
        """Refuse settings below `low` or that are no numbers; subclasses call it when they are made."""
        for label, value in settings.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= low:
                raise PlanError(f"{label} of at least {low:g}", repr(value), f"correct {label!r} of {self.name}")

    def choose(self, label: str, value: Any, known: tuple[Any, ...]) -> None:
        """Refuse a setting that is none of the known ones."""
        if value not in known:
            raise PlanError(
                f"{label} among {', '.join(map(str, known))}", repr(value), f"correct {label!r} of {self.name}"
            )


def task_of(dataset: Dataset, *, tolerance: float | None = None) -> Task:
    """What a model of this data set decides, at the threshold 0.

    Arguments
        tolerance: regression: an answer further than this from the truth is wrong; segmentation: the least Dice that
            is still right.
    """
    chosen = tolerance if dataset.task in ("regression", "segmentation") else None
    return Task(dataset.task, dataset.classes, dataset.positive, tolerance=chosen)

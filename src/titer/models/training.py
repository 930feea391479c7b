"""Training of reference models: seeded, with progress, early stop, and the best weights kept."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn

from titer.cases.case import Array, Batch
from titer.cases.dataset import Dataset
from titer.cases.space import Space
from titer.errors import DataError, ModelError, PlanError
from titer.models.model import to_tensor
from titer.models.recipe import Recipe, task_of
from titer.models.task import Task
from titer.models.trained import Numbers, Rows, Scaled, TrainedModel, TrainingRecord, new_module, split_digest, versions
from titer.models.trained import training_key as training_key  # noqa: PLC0414 - callers find it beside `train`

_PIECE = 256


@dataclass(frozen=True)
class Epoch:
    """What one epoch brought.

    Arguments
        number, most: this epoch, from 1, and the most that there will be.
        train_loss, validation_loss: mean loss per case.
        best: whether the validation loss is the lowest so far.
        seconds: since training began.
    """

    number: int
    most: int
    train_loss: float
    validation_loss: float
    best: bool
    seconds: float


def train(
    recipe: Recipe,
    dataset: Dataset,
    rows: Rows,
    *,
    seed: int,
    epochs: int | None = None,
    progress: Callable[[Epoch], None] | None = None,
    device: str = "cpu",
    task: Task | None = None,
) -> TrainedModel:
    """A model trained on `rows.train`, with the weights that did best on `rows.validation`.

    Adam (Kingma and Ba 2015, arXiv 1412.6980) with a cosine schedule, as the recipe sets it. Detectors of anomalies
    learn from normal cases alone. Normalization is read off the training cases. The global random state is untouched,
    and on one thread of the same machine the same seed gives the same bits.

    Arguments
        recipe: architecture and settings.
        dataset, rows: cases, and which of them train and validate.
        seed, epochs: seed of weights, order and augmentation; the most passes over the training cases (the recipe's
            own number if left out).
        progress: called after every epoch.
        device: where to compute; the model returned is on the CPU.
        task: what is decided; follows from the data set if left out (a regression then tolerates one standard
            deviation of its training targets, a segmentation a Dice of 0.5).

    Refuses a recipe that cannot read the data set or fewer than one epoch (`PlanError`), parts without cases or
    classes (`DataError`), and a loss that is no number (`ModelError`).
    """
    most = recipe.epochs if epochs is None else epochs
    learn, check = _parts(recipe, dataset, rows, most)
    usual = 0.5 if dataset.task == "segmentation" else float(np.std(learn.targets)) or 1.0
    chosen = task if task is not None else task_of(dataset, tolerance=usual)
    mean, std = normalization(learn.inputs, dataset.space)
    with _deterministic(seed, device):
        module = new_module(recipe, dataset.space, chosen)
        inner = module
        if isinstance(module, Scaled):
            inner = module.fit(learn.targets)
        recipe.prepare(inner, learn, dataset.space, seed)
        course = _Course(recipe, module.to(device), dataset.space, chosen, _Normal(mean, std, dataset.space), device)
        # A recipe without weights to step along is fitted in closed form by its `finish`.
        steps = any(weight.requires_grad for weight in module.parameters())
        best_epoch, lowest = course.run(learn, check, seed, most, progress) if steps else (0, math.nan)
        module.cpu().eval()
        with torch.no_grad():
            recipe.finish(inner, course.normal(to_tensor(learn.inputs, dataset.space)))
        if not steps:
            lowest = course.loss_of(check)
    record = TrainingRecord(
        recipe.name, recipe.settings(), dataset.digest, dataset.card.name, split_digest(rows),
        seed, most, best_epoch, lowest, versions(),
    )  # fmt: skip
    return TrainedModel(module, dataset.space, chosen, record, mean=mean, std=std, name=recipe.name)


def normalization(inputs: Array, space: Space) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation per channel or feature of cases [n, *shape]; 0 and 1 for tokens.

    >>> normalization(np.array([[1.0, 5.0], [3.0, 5.0]]), Space("table", (2,), "unit", 0.0, 9.0))
    ((2.0, 5.0), (1.0, 1.0))
    """
    if space.kind == "tokens":
        return 0.0, 1.0
    axes = (0, *range(2, inputs.ndim))
    spread = inputs.std(axis=axes, dtype=np.float64)
    mean = inputs.mean(axis=axes, dtype=np.float64)
    return tuple(mean.tolist()), tuple(np.where(spread > 1e-9, spread, 1.0).tolist())


class _Normal:
    """Cases as the module sees them: centered and scaled, tokens as they are."""

    def __init__(self, mean: Numbers, std: Numbers, space: Space) -> None:
        self.mean, self.std = (torch.from_numpy(np.asarray(space.per_channel(each))) for each in (mean, std))

    def __call__(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean.to(inputs)) / self.std.to(inputs) if inputs.is_floating_point() else inputs


@dataclass(eq=False)
class _Course:
    """One training: the loop over epochs, and what it needs to know."""

    recipe: Recipe
    module: nn.Module
    space: Space
    task: Task
    normal: _Normal
    device: str
    spread: float = 1.0

    def run(
        self, learn: Batch, check: Batch, seed: int, epochs: int, progress: Callable[[Epoch], None] | None
    ) -> tuple[int, float]:
        """Leaves the best weights in the module; gives their epoch and validation loss."""
        inputs, targets = self._tensors(learn)
        held, held_targets = self._tensors(check)
        self.spread = float(np.var(learn.targets)) or 1.0 if self.task.kind == "regression" else 1.0
        generator = Generator().manual_seed(seed)
        optimizer = torch.optim.AdamW(
            [weight for weight in self.module.parameters() if weight.requires_grad],
            lr=self.recipe.rate,
            weight_decay=self.recipe.decay,
        )
        pieces = math.ceil(len(inputs) / self.recipe.batch)
        lowest, best_epoch, best = math.inf, 0, self.module.state_dict()
        began = time.monotonic()
        for number in range(1, epochs + 1):
            self.module.train()
            total, order = 0.0, torch.randperm(len(inputs), generator=generator)
            for step, chosen in enumerate(order.tensor_split(pieces)):
                self._set_rate(optimizer, ((number - 1) * pieces + step) / max(1, epochs * pieces - 1))
                seen = self.recipe.augment(inputs[chosen], self.space, generator)
                total += self._step(optimizer, seen, targets[chosen]) * len(chosen)
            loss = self._mean_loss(held, held_targets)
            if not math.isfinite(loss) or not math.isfinite(total):
                raise ModelError("a training loss that is a number", f"{loss} in epoch {number}", "lower 'rate'")
            better = loss < lowest
            if better:
                lowest, best_epoch, best = loss, number, copy.deepcopy(self.module.state_dict())
            if progress is not None:
                took = time.monotonic() - began
                progress(Epoch(number, epochs, total / len(inputs), loss, better, took))
            if number - best_epoch >= self.recipe.patience:
                break
        self.module.load_state_dict(best)
        return best_epoch, lowest

    def loss_of(self, cases: Batch) -> float:
        """Mean loss of some cases; the module must be back on the CPU."""
        self.device = "cpu"
        return self._mean_loss(*self._tensors(cases))

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs = to_tensor(batch.inputs, self.space)
        if inputs.is_floating_point():
            inputs = inputs.float()
        return inputs, torch.from_numpy(np.ascontiguousarray(batch.targets))

    def _set_rate(self, optimizer: torch.optim.Optimizer, done: float) -> None:
        first, last = self.recipe.rate, self.recipe.final_rate
        for group in optimizer.param_groups:
            group["lr"] = last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))

    def _step(self, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = self._losses(inputs, targets).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        # Recurrent nets and Transformers meet rare steep steps; a norm of 5 leaves ordinary ones alone.
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
        optimizer.step()
        return float(loss.detach())

    def _losses(self, inputs: Tensor, targets: Tensor) -> Tensor:
        seen = self.normal(inputs).to(self.device)
        return self.recipe.loss(self.module, seen, targets.to(self.device), self.task) / self.spread

    def _mean_loss(self, inputs: Tensor, targets: Tensor) -> float:
        self.module.eval()
        with torch.no_grad():
            pieces = [(inputs[at : at + _PIECE], targets[at : at + _PIECE]) for at in range(0, len(inputs), _PIECE)]
            return sum(float(self._losses(seen, wanted).double().sum()) for seen, wanted in pieces) / len(inputs)


def _parts(recipe: Recipe, dataset: Dataset, rows: Rows, epochs: int) -> tuple[Batch, Batch]:
    """Cases to learn from and to check on; for anomaly detectors the normal ones."""
    if not recipe.fits(dataset):
        raise PlanError(
            f"data that {recipe.name} can learn ({', '.join(recipe.kinds)})",
            f"{dataset.card.name}: {dataset.space.kind}, task {dataset.task}",
            "choose another recipe or data set",
        )
    if epochs < 1:
        raise PlanError("at least one epoch", str(epochs), "correct 'epochs'")
    parts = []
    for label, index in (("training", rows.train), ("validation", rows.validation)):
        part = dataset.cases.take(index)
        if dataset.task == "anomaly":
            part = part.take(part.targets == 0)
        if len(part) < 2:
            raise DataError(f"at least two {label} cases", str(len(part)), f"give the {label} part a larger share")
        parts.append(part)
    if dataset.task in ("classes", "binary"):
        missing = sorted(set(range(len(dataset.classes))) - set(parts[0].targets.tolist()))
        if missing:
            names = ", ".join(dataset.classes[k] for k in missing)
            raise DataError("training cases of every class", f"none of {names}", "add cases or change the split")
    return parts[0], parts[1]


@contextmanager
def _deterministic(seed: int, device: str) -> Iterator[None]:
    """A seeded torch with repeatable algorithms, and everything as it was afterwards."""
    strict, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    devices = range(torch.cuda.device_count()) if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        # Where CUDA has no repeatable kernel torch says so and goes on: the CPU is where bits are promised.
        torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warned)

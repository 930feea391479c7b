"""Small models with known answers, for tests, contract checks and examples."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from titer.cases.case import Array, Batch
from titer.cases.space import Space
from titer.models.adapters.sklearn import SklearnModel
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing.segmenter import SmallUNet

Answer = Literal["classes", "two classes", "binary", "multilabel", "regression", "anomaly", "segmentation", "mask"]
Place = Literal["image", "volume", "signal", "table", "tokens"]
_OUTPUTS = {"classes": 3, "two classes": 2, "multilabel": 3}


class Affine(nn.Module):
    """z = W x + b on flattened cases."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


def linear(
    features: int, cases: int, *, seed: int = 0, outputs: int = 2, low: float = -100.0, high: float = 100.0
) -> tuple[TorchModel, Batch]:
    """A linear model and cases that it classifies correctly, in float64.

    The exact distance of case i to the decision border is |m_i| / ||w||_1 (L-infinity) or |m_i| / ||w||_2 (L2), where m
    is the difference of two logits and w that of their weights.

    >>> model, batch = linear(features=3, cases=5)
    >>> model.task.correct(model.predict(batch.inputs), batch.targets).all()
    np.True_
    """
    rng = np.random.default_rng(seed)
    module = Affine(torch.from_numpy(rng.normal(size=(outputs, features))), torch.from_numpy(rng.normal(size=outputs)))
    inputs = rng.uniform(max(low, -1), min(high, 1), size=(cases, features))
    space = Space("table", (features,), "unit", low, high)
    model = TorchModel(module, space, task("classes" if outputs > 1 else "binary", outputs), name="linear")
    return model, Batch.of(inputs, model.task.decide(model.predict(inputs)))


def task(kind: Answer, outputs: int | None = None) -> Task:
    """A task of this kind with plain names; "mask" is a segmentation with one logit per pixel.

    >>> task("regression").tolerance
    0.1
    """
    if kind == "regression":
        return Task("regression", ("age",), tolerance=0.1)
    if kind in ("segmentation", "mask"):
        names = ("background", "lesion", "edema")
        return Task("segmentation", names[: 2 if kind == "mask" else 3], tolerance=0.8)
    if kind in ("binary", "anomaly"):
        return Task("binary" if kind == "binary" else "anomaly", ("negative", "positive"), positive=(1,))
    classes = tuple(f"class {k}" for k in range(outputs or _OUTPUTS[kind]))
    return Task("multilabel" if kind == "multilabel" else "classes", classes, positive=(1,))


class Net(nn.Module):
    """A tiny untrained network of the architecture that suits a space, in float32."""

    def __init__(self, space: Space, outputs: int) -> None:
        super().__init__()
        self.kind = space.kind
        self.embedding: nn.Embedding | None = None
        if space.kind == "image":
            first = nn.Conv2d(space.shape[0], 6, 3, padding=1)
            second = nn.Conv2d(6, 8, 3, padding=1)
            norm = nn.BatchNorm2d(6)
            self.body = nn.Sequential(first, norm, nn.ReLU(), nn.MaxPool2d(2), second, nn.Tanh(), nn.AvgPool2d(2))
            self.body.append(nn.Flatten())
        elif space.kind == "volume":
            self.body = nn.Sequential(nn.Conv3d(space.shape[0], 4, 3, padding=1), nn.Tanh(), nn.AvgPool3d(2))
            self.body.append(nn.Flatten())
        elif space.kind == "signal":
            self.body = nn.Sequential(nn.Conv1d(space.shape[0], 5, 5, stride=2, padding=2), nn.Tanh())
            self.recurrent = nn.GRU(5, 7, batch_first=True)
        elif space.kind == "tokens":
            self.embedding = nn.Embedding(len(space.vocabulary), 12, padding_idx=space.padding)
            layer = nn.TransformerEncoderLayer(12, 2, 20, dropout=0.1, batch_first=True, norm_first=True)
            self.body = nn.Sequential(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False))
        else:
            self.body = nn.Sequential(nn.Linear(space.size, 9), nn.Tanh(), nn.Linear(9, 7), nn.Sigmoid())
        self.head = nn.LazyLinear(outputs)

    def forward(self, x: Tensor) -> Tensor:
        if self.embedding is not None:
            return self._scores(self.body(self.embedding(x)).mean(dim=1))
        if self.kind == "signal":
            return self._scores(self.recurrent(self.body(x).transpose(1, 2))[0].mean(dim=1))
        return self._scores(self.body(x))

    def _scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.head(hidden)
        return scores


def space(kind: Place) -> Space:
    """A small space of this kind.

    >>> space("signal").describe()
    'signal of 2 channels x 20 samples at 125 Hz, -5 to 5 mV'
    """
    if kind == "image":
        return Space("image", (1, 8, 8), "grey level (0-1)")
    if kind == "volume":
        return Space("volume", (1, 4, 6, 5), "normalized intensity", spacing=(2.0, 1.0, 1.0))
    if kind == "signal":
        return Space("signal", (2, 20), "mV", -5.0, 5.0, rate=125.0)
    if kind == "table":
        return Space(
            "table", (7,), "unit", -2.0, (2.0, 2.0, 3.0, 2.0, 2.0, 2.0, 2.0), scale=(1.0, 0.5, 2.0, 1, 1, 1, 1)
        )
    words = ("", *(f"word{number}" for number in range(1, 20)))
    return Space("tokens", (9,), "word", vocabulary=words)


def network(
    kind: Place, cases: int, *, answer: Answer = "classes", seed: int = 0, where: Space | None = None
) -> tuple[TorchModel, Batch]:
    """A tiny network in float32 and random cases, with the network's own decisions as truth.

    Arguments
        kind, where: kind of space, or a space of that kind of your own. answer: what the network gives. seed: of
            weights and cases.

    >>> model, batch = network("tokens", 4)
    >>> model.task.correct(model.predict(batch.inputs), batch.targets).tolist()
    [True, True, True, True]
    """
    # Wide ranges would saturate a network; the small spaces from here need no normalization.
    normal = {} if where is None else _normal(where)
    where = where or space(kind)
    asked = task(answer)
    width = 1 if answer == "mask" else asked.outputs
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module: Net | SmallUNet = SmallUNet(where, width) if asked.kind == "segmentation" else Net(where, width)
        inputs = _cases(where, cases, seed)
        with torch.no_grad():
            # Lively weights, so that decisions differ from case to case.
            module.eval()(torch.from_numpy(inputs))
            for weight in module.parameters():
                weight.mul_(2.5)
    model = TorchModel(module, where, asked, name=f"tiny {kind} net", **normal)
    scores = model.predict(inputs)
    if asked.kind == "segmentation":
        middle = np.median(scores.swapaxes(0, 1).reshape(width, -1), axis=1)
    if asked.kind in ("classes", "binary", "anomaly", "multilabel"):
        # Centered between the two middle answers, so that no class takes all cases and none is on the line.
        ordered = np.sort(scores, axis=0)
        middle = (ordered[max(0, cases // 2 - 1)] + ordered[cases // 2]) / 2
    if asked.kind != "regression":
        dict(module.named_parameters())["head.bias"].data -= torch.from_numpy(middle).float()
        model = TorchModel(module, where, asked, name=model.name, **normal)
    return model, Batch.of(inputs, asked.decide(model.predict(inputs)))


def forest(
    cases: int, *, answer: Answer = "classes", seed: int = 0, steady: bool = False
) -> tuple[SklearnModel, Batch]:
    """A small forest of decision trees and random cases, with its own decisions as truth.

    Arguments
        answer: any but findings, for which a forest is no sum, and anomalies; these become two classes.
        steady: give the same answer whatever is shown.

    >>> model, batch = forest(4)
    >>> model.access, len(model.trees().trees), model.task.correct(model.predict(batch.inputs), batch.targets).all()
    ('scores', 3, np.True_)
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind: Answer = "two classes" if answer in ("multilabel", "anomaly") else answer
    where, asked = space("table"), task(kind)
    rng = np.random.default_rng(seed)
    inputs = _cases(where, 120, seed)
    value = inputs[:, 0] + np.sin(2 * inputs[:, 1]) + 0.3 * inputs[:, 2] + 0.2 * rng.normal(size=120)
    settings: dict[str, Any] = {"n_estimators": 3, "max_depth": 2, "random_state": seed}
    if kind == "regression":
        estimator = RandomForestRegressor(**settings).fit(inputs, 0 * value if steady else value)
    else:
        labels = np.searchsorted(np.quantile(value, np.arange(1, len(asked.classes)) / len(asked.classes)), value)
        if steady:
            # Classes that features tell nothing about: every leaf is the same.
            settings |= {"max_depth": None, "min_samples_leaf": 120, "bootstrap": False}
            labels = np.concatenate((np.arange(len(asked.classes)), np.zeros(120 - len(asked.classes), dtype=np.int64)))
        estimator = RandomForestClassifier(**settings).fit(inputs, labels)
    model = SklearnModel(estimator, where, asked, name="small forest")
    shown = inputs[:cases]
    return model, Batch.of(shown, asked.decide(model.predict(shown)))


def constant(kind: Place, cases: int) -> tuple[TorchModel, Batch]:
    """A model that answers the same whatever it is shown: no attack may fool it.

    >>> model, batch = constant("table", 3)
    >>> model.predict(batch.inputs).tolist()
    [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    model, batch = network(kind, cases, answer="two classes")
    head = model.module.head
    if isinstance(head, nn.Linear):
        head.weight.data.zero_()
        head.bias.data.copy_(torch.tensor([1.0, 0.0]))
    fixed = TorchModel(model.module, model.space, model.task, name="constant")
    return fixed, Batch.of(batch.inputs, np.zeros(cases, dtype=np.int64))


def choices(space: Space) -> Array:
    """For each word of a small vocabulary the two that follow it; padding has no alternative.

    >>> choices(space("tokens"))[[0, 1, 19]].tolist()
    [[0, 0], [2, 3], [1, 2]]
    """
    count = len(space.vocabulary) - 1
    numbers = np.arange(count)
    table = np.stack([(numbers + 1) % count, (numbers + 2) % count], axis=1) + 1
    return np.concatenate([np.zeros((1, 2), dtype=np.int64), table])


def _normal(where: Space) -> dict[str, Any]:
    """Mean and std that bring every channel's range to -1 to 1."""
    low, high = (np.broadcast_to(np.asarray(edge, dtype=float), where.shape[:1]) for edge in (where.low, where.high))
    return {
        name: tuple(float(value) for value in values)
        for name, values in (("mean", (low + high) / 2), ("std", (high - low) / 2))
    }


def _cases(where: Space, count: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    if where.kind == "tokens":
        notes = rng.integers(1, len(where.vocabulary), size=(count, *where.shape))
        length = rng.integers(4, where.shape[0] + 1, size=count)
        notes[np.arange(where.shape[0]) >= length[:, None]] = where.padding
        return notes
    low, high = where.bounds()
    inner = rng.uniform(0.1, 0.9, size=(count, *where.shape))
    if where.kind == "signal":
        inner = rng.normal(0.5, 0.05, size=(count, *where.shape)).clip(0, 1)
    return np.asarray(low + inner * (high - low), dtype=np.float32)

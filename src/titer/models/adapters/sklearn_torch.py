"""Exact translation of scikit-learn pipelines into torch, so that they can be attacked through their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
}
_LINEAR_SCORES = (
    "LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", "SGDClassifier", "LogisticRegression",
    "LogisticRegressionCV", "LinearDiscriminantAnalysis",
)  # fmt: skip
_LINEAR_NUMBERS = (
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "SGDRegressor",
    "LinearSVR", "BayesianRidge", "HuberRegressor",
)  # fmt: skip


class Untranslatable(Exception):  # noqa: N818 - a question answered with no, not a fault
    """A part of a pipeline that has no exact translation."""


class Scale(nn.Module):
    """(x - shift) / scale * factor + offset per feature, clipped where the scaler clips."""

    def __init__(self, *, shift: Any = 0.0, scale: Any = 1.0, factor: Any = 1.0, offset: Any = 0.0) -> None:
        super().__init__()
        for name, value in (("shift", shift), ("scale", scale), ("factor", factor), ("offset", offset)):
            self.register_buffer(name, torch.from_numpy(np.array(value, dtype=np.float64)))

    def forward(self, x: Tensor) -> Tensor:
        parts = dict(self.named_buffers())
        return (x - parts["shift"]) / parts["scale"] * parts["factor"] + parts["offset"]


class Matrix(nn.Module):
    """x W^T + b in float64."""

    def __init__(self, weight: Any, bias: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(np.array(np.atleast_2d(weight), dtype=np.float64)))
        full = np.broadcast_to(np.asarray(bias, dtype=np.float64), (self.weight.shape[0],))
        self.bias = nn.Parameter(torch.from_numpy(np.array(full)))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


class Columns(nn.Module):
    """Features in the order of their names."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = list(order)

    def extra_repr(self) -> str:
        """The order, so that it is part of the module's digest."""
        return str(self.order)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.order]


class LogSigmoidPair(nn.Module):
    """Log-probabilities of both sides from one logit."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((nn.functional.logsigmoid(-x), nn.functional.logsigmoid(x)), dim=1)


class LogSigmoidShares(nn.Module):
    """Log-probabilities from one-against-rest logits: sigmoids divided by their sum."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(nn.functional.logsigmoid(x), dim=1)


def translate(estimator: Any, method: str, order: Sequence[int] | None = None) -> nn.Module:
    """A float64 module that gives what `estimator.<method>` gives; for probabilities their logarithm.

    Knows the scalers Standard, MinMax, MaxAbs and Robust, PCA, linear classifiers and regressors, linear discriminants
    and multi-layer perceptrons, alone or in pipelines and searches. Verify it on inputs before use.

    Arguments
        estimator: fitted. method: "predict_proba", "decision_function" or "predict" (regression).
        order: position of each feature of the estimator among the columns that come in.

    Raises `Untranslatable` with the part that has no translation.

    >>> from sklearn.linear_model import LinearRegression
    >>> line = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
    >>> translate(line, "predict")(torch.tensor([[2.0]], dtype=torch.float64)).detach().round(decimals=6).item()
    5.0
    """
    *before, last = _steps(estimator)
    parts: list[nn.Module] = [] if order is None else [Columns(order)]
    for step in before:
        parts.extend(_transformer(step))
    parts.extend(_head(last, method))
    return nn.Sequential(*parts).double().eval()


def _steps(estimator: Any) -> list[Any]:
    if hasattr(estimator, "best_estimator_"):
        return _steps(estimator.best_estimator_)
    if type(estimator).__name__ != "Pipeline":
        return [estimator]
    flat: list[Any] = []
    for _, step in estimator.steps:
        if step is not None and step != "passthrough":
            flat.extend(_steps(step))
    return flat


def _transformer(step: Any) -> list[nn.Module]:
    kind = type(step).__name__
    if kind == "StandardScaler":
        # The mean is there even where it is not used.
        return [Scale(shift=step.mean_ if step.with_mean else 0.0, scale=step.scale_ if step.with_std else 1.0)]
    if kind == "RobustScaler":
        center = step.center_ if step.center_ is not None else 0.0
        return [Scale(shift=center, scale=1.0 if step.scale_ is None else step.scale_)]
    if kind == "MaxAbsScaler":
        clip: list[nn.Module] = [nn.Hardtanh(-1.0, 1.0)] if getattr(step, "clip", False) else []
        return [Scale(scale=step.scale_), *clip]
    if kind == "MinMaxScaler":
        clip = [nn.Hardtanh(*step.feature_range)] if step.clip else []
        return [Scale(factor=step.scale_, offset=step.min_), *clip]
    if kind == "PCA":
        rows = np.asarray(step.components_, dtype=np.float64)
        scale = np.ones(len(rows))
        if step.whiten:
            scale = np.maximum(np.sqrt(step.explained_variance_), np.finfo(np.float64).eps)
        return [Scale(shift=step.mean_), Matrix(rows / scale[:, None], 0.0)]
    raise Untranslatable(kind)


def _head(last: Any, method: str) -> list[nn.Module]:
    kind = type(last).__name__
    if kind in ("MLPClassifier", "MLPRegressor"):
        return _perceptron(last, method)
    if kind in _LINEAR_NUMBERS and method == "predict":
        return [Matrix(last.coef_, last.intercept_)]
    if kind in _LINEAR_SCORES and method == "decision_function":
        return [Matrix(last.coef_, last.intercept_)]
    if kind in _LINEAR_SCORES and method == "predict_proba":
        weights = Matrix(last.coef_, last.intercept_)
        if len(last.classes_) == 2:
            if kind == "SGDClassifier" and last.loss != "log_loss":
                raise Untranslatable(f"SGDClassifier with loss {last.loss!r}")
            return [weights, LogSigmoidPair()]
        return [weights, LogSigmoidShares() if kind == "SGDClassifier" else nn.LogSoftmax(dim=1)]
    raise Untranslatable(f"{kind}.{method}")


def _perceptron(last: Any, method: str) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for place, (weight, bias) in enumerate(zip(last.coefs_, last.intercepts_, strict=True)):
        parts.append(Matrix(weight.T, bias))
        if place < len(last.coefs_) - 1:
            parts.append(_ACTIVATIONS[last.activation]())
    ending = last.out_activation_
    if type(last).__name__ == "MLPRegressor" and method == "predict" and ending == "identity":
        return parts
    if method == "predict_proba" and ending == "softmax":
        return [*parts, nn.LogSoftmax(dim=1)]
    if method == "predict_proba" and ending == "logistic":
        # Several findings keep their logits: each is a decision of its own.
        return [*parts, LogSigmoidPair()] if last.n_outputs_ == 1 else parts
    raise Untranslatable(f"{type(last).__name__}.{method} with {ending}")

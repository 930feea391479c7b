"""Adapter for scikit-learn estimators and pipelines: scores, or full gradients where an exact translation exists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from titer.cases.case import Array
from titer.cases.space import Space
from titer.errors import ModelError, PlanError
from titer.models.adapters.arrays import ArrayModel
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.fingerprint import object_digest
from titer.models.adapters.probe import first_line, probe_inputs
from titer.models.adapters.torch import TorchModel
from titer.models.model import Access, Model
from titer.models.task import Task
from titer.models.trees import Forest

Method = Literal["predict_proba", "decision_function", "predict"]
_METHODS: tuple[Method, ...] = ("predict_proba", "decision_function", "predict")
_CLOSE = 1e-9


class SklearnModel(ArrayModel):
    """A fitted estimator asked through `predict_proba`, `decision_function` or `predict`; see `sklearn_model`.

    Probabilities become log-probabilities. Detectors of outliers (task "anomaly") give minus their decision function,
    so that higher means more abnormal. `predict` of a classifier gives access "labels".
    """

    def __init__(
        self,
        estimator: Any,
        space: Space,
        task: Task,
        *,
        name: str = "",
        mean: float | tuple[float, ...] = 0.0,
        std: float | tuple[float, ...] = 1.0,
        classes: ClassMap | None = None,
        output: str | None = None,
        access: Access | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = _method(estimator, task, output, access)
        words = _reads_text(estimator)
        self.order, order_note = (None, "") if words else _order(estimator, space)
        own = None if task.kind in ("multilabel", "regression", "anomaly") else getattr(estimator, "classes_", None)
        found, said = (None, "") if classes is not None else ClassMap.found(own, task, type(estimator).__name__)
        labels = self.method == "predict" and task.kind != "regression"
        super().__init__(
            space, task, name=name or _title(estimator), mean=mean, std=std,
            layout="channels-first" if words else "flat", text=words,
            probabilities=self.method == "predict_proba", classes=classes or found,
            dtype=np.dtype(np.int64 if space.kind == "tokens" else np.float64), access="labels" if labels else "scores",
        )  # fmt: skip
        self.notes += tuple(filter(None, (f"asked through {self.method}", said, order_note)))
        self.digest = self._identified([object_digest(estimator), self.method, self.order])

    def ask(self, inputs: Array) -> Array:
        import joblib

        given = inputs if self.order is None else inputs[:, self.order]
        # One after the other: threads that add up in any order would change the last bits.
        with joblib.parallel_config(backend="sequential"):
            answered = getattr(self.estimator, self.method)(_named(self.estimator, given))
        if isinstance(answered, list):
            known = list(getattr(self.estimator, "classes_", [None] * len(answered)))
            answered = np.stack([_present(each, own) for each, own in zip(answered, known, strict=True)], axis=1)
        answered = np.asarray(answered)
        outlier = self.task.kind == "anomaly" and self.method == "decision_function" and _detects(self.estimator)
        return np.asarray(-answered) if outlier else answered

    def trees(self) -> Forest | None:
        return self._forest

    @cached_property
    def _forest(self) -> Forest | None:
        """The estimator's trees with outputs in the order of the data's classes, if they agree with it."""
        from titer.models.adapters.sklearn_trees import agreeing_forest

        plain = np.all(np.asarray(self.intake.mean) == 0) and np.all(np.asarray(self.intake.std) == 1)
        if self.task.kind in ("multilabel", "anomaly") or self.space.kind == "tokens" or not plain:
            return None
        classes = self._answers.classes
        columns = None if classes is None else classes.columns(self.task)
        probes = probe_inputs(self.space, 32)
        told = self.scores(torch.from_numpy(probes)).numpy()
        return agreeing_forest(self.estimator, self.method, self.order, columns, probes, told)


def sklearn_model(
    estimator: Any,
    space: Space,
    task: Task,
    *,
    name: str = "",
    mean: float | tuple[float, ...] = 0.0,
    std: float | tuple[float, ...] = 1.0,
    classes: ClassMap | None = None,
    output: str | None = None,
    access: Access | None = None,
    cases: Array | None = None,
) -> Model:
    """A fitted estimator as a model: with gradients if it can be translated exactly, else with scores or labels.

    A translation (`titer.models.adapters.sklearn_torch`) is used only if it agrees with the estimator to 1e-9 on probe
    inputs spread over the space and on the given cases. `notes` of the model say which it is, and why.

    Arguments
        estimator: fitted estimator, pipeline or search.
        space, task: inputs [n, *shape], which are flattened, and what scores mean.
        mean, std: normalization before the estimator, if it has none of its own.
        classes: which class each output speaks of; found from `classes_` if left out.
        output: "predict_proba", "decision_function" or "predict"; the first that it has if left out.
        access: "gradients" insists on a translation; "scores" and "labels" do without.
        cases: [n, *shape] further inputs to verify a translation on.

    Refuses an estimator that is not fitted, or was fitted on another number of features (`ModelError`).

    >>> from sklearn.linear_model import LogisticRegression
    >>> fitted = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0], [0.9, 0.1]], [0, 1, 1])
    >>> space = Space("table", (2,), "mg/dL", 0.0, 1.0)
    >>> sklearn_model(fitted, space, Task("classes", ("low", "high"))).access
    'gradients'
    """
    plain = SklearnModel(
        estimator, space, task, name=name, mean=mean, std=std, classes=classes, output=output,
        access="scores" if access == "gradients" else access,
    )  # fmt: skip
    if access in ("scores", "labels") or plain.access == "labels":
        if access == "gradients":
            raise _no_gradients(plain, "it gives labels only")
        return plain
    translated, reason = _translated(plain, cases)
    if translated is not None:
        return translated
    if access == "gradients":
        raise _no_gradients(plain, reason)
    plain.notes += (f"scores only: {reason}",)
    return plain


def _no_gradients(plain: SklearnModel, reason: str) -> ModelError:
    return ModelError("an estimator that can be translated into torch", f"{plain.name}: {reason}", "lower 'access'")


def _translated(plain: SklearnModel, cases: Array | None) -> tuple[TorchModel | None, str]:
    from titer.models.adapters.sklearn_torch import Untranslatable, translate

    if plain.space.kind == "tokens" or plain.task.kind == "anomaly":
        return None, f"no translation for {plain.task.kind} of {plain.space.kind}"
    try:
        module = translate(plain.estimator, plain.method, plain.order)
    except Untranslatable as part:
        return None, f"no exact translation of {part}"
    probes = probe_inputs(plain.space, 32)
    if cases is not None:
        probes = np.concatenate((probes, np.asarray(cases[:64], dtype=np.float64)))
    worst = _difference(plain, module, probes)
    if not worst <= _CLOSE:
        return None, f"the translation differs by {worst:.1g}"
    model = TorchModel(
        module, plain.space, plain.task, name=plain.name, mean=plain.intake.mean, std=plain.intake.std, layout="flat",
        classes=plain._answers.classes,  # noqa: SLF001 - the same answers, read the same way
    )  # fmt: skip
    # The translation computes logarithms; what the estimator itself answers stays what it is.
    model.gives_probabilities = plain.gives_probabilities
    kept = tuple(note for note in plain.notes if not note.startswith("asked"))
    model.notes = (
        *kept,
        f"translated exactly into torch: {plain.method} agrees to {max(worst, 1e-16):.0e} on {len(probes)} inputs",
    )
    return model, ""


def _difference(plain: SklearnModel, module: torch.nn.Module, probes: Array) -> float:
    """Largest difference between estimator and translation, probabilities absolute, all else relative to its size."""
    seen = plain.intake(torch.from_numpy(probes))
    told = np.asarray(plain.ask(seen.numpy().copy()), dtype=np.float64).reshape(len(probes), -1)
    with torch.no_grad():
        made = module(seen)
    if plain.method == "predict_proba":
        made = torch.sigmoid(made) if plain.task.kind == "multilabel" else made.exp()
    got = made.numpy()
    if got.shape != told.shape:
        return float("inf")
    return float((np.abs(got - told) / np.maximum(1.0, np.abs(told))).max())


def _present(shares: Array, known: Any) -> Array:
    """[n] probability that a finding is there, from those of all its states; one that was never seen has none."""
    states = [0, 1] if known is None else list(known)
    return np.asarray(shares)[:, states.index(1)] if 1 in states else np.zeros(len(shares))


def _method(estimator: Any, task: Task, wanted: str | None, access: Access | None) -> Method:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError) as error:
        raise ModelError("a fitted estimator", f"{type(estimator).__name__}: {first_line(error)}", "fit it") from error
    if wanted is not None and wanted not in _METHODS:
        raise PlanError(f"an output among {', '.join(_METHODS)}", repr(wanted), "correct 'output'")
    if task.kind == "regression" or access == "labels":
        order: Sequence[Method] = ("predict",)
    elif task.kind == "anomaly" and _detects(estimator):
        order = ("decision_function",)
    else:
        order = _METHODS if access is None else _METHODS[:2]
    for method in order if wanted is None else [each for each in _METHODS if each == wanted]:
        if hasattr(estimator, method):
            return method
    raise ModelError(
        f"an estimator with {' or '.join(order if wanted is None else [wanted])}",
        f"{type(estimator).__name__} for task {task.kind}",
        "lower 'access' to labels, or choose another estimator",
    )


def _detects(estimator: Any) -> bool:
    from sklearn.base import is_outlier_detector

    return bool(is_outlier_detector(estimator))


def _order(estimator: Any, space: Space) -> tuple[list[int] | None, str]:
    """Where each feature of the estimator stands among the features of the space."""
    wanted = getattr(estimator, "n_features_in_", None)
    if wanted is not None and wanted != space.size:
        raise ModelError(
            f"cases of {wanted} values, as {type(estimator).__name__} was fitted on",
            f"cases of {space.size} values ({' x '.join(map(str, space.shape))})",
            "choose the data set the estimator was made for, or resize the cases (data.options)",
        )
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    if not names or list(space.names) == names:
        return None, ""
    if sorted(names) == sorted(space.names):
        return [space.names.index(name) for name in names], "features matched by name"
    return None, "features taken in their order: the estimator's names are not the data's" if space.names else ""


def _named(estimator: Any, inputs: Array) -> Any:
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or inputs.ndim != 2:
        return inputs
    import pandas as pd

    return pd.DataFrame(inputs, columns=list(names))


def _reads_text(estimator: Any) -> bool:
    first = estimator
    while hasattr(first, "steps"):
        first = first.steps[0][1]
    return hasattr(first, "build_analyzer")


def _title(estimator: Any) -> str:
    last = estimator
    while hasattr(last, "steps"):
        last = last.steps[-1][1]
    return type(last).__name__

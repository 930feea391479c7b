"""Builds the adapter that fits a checked `model:` part of a plan, and has it answer two cases."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.cases.dataset import Dataset
from titer.errors import ModelError, PlanError
from titer.models.adapters.spec import ModelSpec
from titer.models.model import Access, Model
from titer.models.task import Task

if TYPE_CHECKING:
    from titer.models.adapters.classmap import ClassMap
    from titer.models.adapters.intake import Layout

_TORCH = (".safetensors", ".pt", ".pth", ".ts", ".pt2", ".bin")
_PICKLES = (".pkl", ".pickle", ".joblib", ".sav")


def build(spec: ModelSpec, dataset: Dataset, folder: Path | None, ledger: Path | None = None) -> Model:
    """The model of a checked spec, found to fit the data; see `titer.models.load.load_model`."""
    from titer.models.adapters.probe import check_fit

    task = _task(dataset, spec.tolerance)
    if spec.url is not None:
        return _endpoint(spec, dataset, task, folder, ledger)
    if spec.path is not None:
        model = _from_file(spec, placed(spec.path, folder), dataset, task, folder)
    elif spec.python is not None:
        from titer.models.adapters.reference import resolve

        found = resolve(spec.python, folder)
        model = _from_object(spec, made(found, spec.python), dataset, task, spec.python.rpartition(":")[2])
    else:
        model = _from_object(spec, spec.object, dataset, task, "")
    if model.space.shape != dataset.space.shape:
        raise ModelError(
            f"a model for cases of shape {list(dataset.space.shape)}",
            f"{model.name} for {list(model.space.shape)}",
            "resize the cases (data.options) or choose the model that belongs to the data",
        )
    if spec.backward and not getattr(model, "backward", None):
        raise PlanError(
            "a torch module for 'backward'", f"{model.name}, which gives {model.access}", "leave 'backward' out"
        )
    check_fit(model, dataset.cases.inputs)
    return model


def _from_file(spec: ModelSpec, path: Path, dataset: Dataset, task: Task, folder: Path | None) -> Model:
    kind = path.suffix.lower()
    if kind in _PICKLES:
        raise ModelError(
            "a file that can be read without running code",
            f"{path.name}, a pickle",
            "save it with skops (skops.io.dump), convert it to ONNX (skl2onnx), or name it with 'python: module:name'",
        )
    if not path.is_file():
        raise ModelError(
            "a model file", f"{path.name}: {'a folder' if path.is_dir() else 'no such file'}", "correct 'path'"
        )
    if kind == ".onnx":
        from titer.models.adapters.onnx import OnnxModel

        return OnnxModel(
            path, dataset.space, task, name=spec.name, mean=spec.mean, std=spec.std, layout=_layout(spec)[0],
            channels=spec.channels, probabilities=spec.probabilities, classes=_classes(spec), output=_word(spec),
            batch=spec.batch, access=_no_more_than_scores(spec, path.name),
        )  # fmt: skip
    if kind == ".skops":
        from titer.models.adapters.sklearn_files import load_skops

        types = spec.trusted if isinstance(spec.trusted, tuple) else ()
        return _from_object(spec, load_skops(path, types), dataset, task, path.stem)
    if kind == ".safetensors" and spec.factory is None:
        from titer.models.checkpoint import is_checkpoint

        if is_checkpoint(path):
            return _from_checkpoint(spec, path, dataset, task)
    if kind in _TORCH:
        from titer.models.adapters.reference import resolve
        from titer.models.adapters.torch_files import load_torch

        factory = None if spec.factory is None else _function(resolve(spec.factory, folder), spec.factory)
        module = load_torch(path, factory=factory, trusted=spec.trusted is True)
        return _from_object(spec, module, dataset, task, path.stem)
    raise ModelError(
        f"a model file that Titer reads (.onnx, .skops, {', '.join(_TORCH)})",
        path.name,
        "convert the model to ONNX, or serve it and give its 'url'",
    )


def _from_checkpoint(spec: ModelSpec, path: Path, dataset: Dataset, task: Task) -> Model:
    """A reference model that Titer trained and saved: recipe, task and normalization stand in the file."""
    from titer.models.checkpoint import load

    model = load(path)
    said, cases = (model.space, model.task), (dataset.space, task)
    if (said[0].kind, said[0].unit, said[1].kind, said[1].classes) != (
        cases[0].kind, cases[0].unit, cases[1].kind, cases[1].classes,
    ):  # fmt: skip
        raise ModelError(
            f"a checkpoint for {task.kind} of {', '.join(task.classes)} on {dataset.space.describe()}",
            f"{path.name} for {model.task.kind} of {', '.join(model.task.classes)} on {model.space.describe()}",
            "choose the checkpoint that belongs to the data, or train again",
        )
    given = sorted(spec.model_fields_set - {"path", "name", "tolerance"})
    if given:
        raise PlanError("no settings for a checkpoint, which holds them all", ", ".join(given), "leave them out")
    model.name = spec.name or path.stem
    model.task = replace(task, threshold=model.task.threshold)
    return model


def _from_object(spec: ModelSpec, found: Any, dataset: Dataset, task: Task, name: str) -> Model:
    from torch import nn
    from torch.export import ExportedProgram

    if isinstance(found, Model):
        return _as_it_is(spec, found)
    if isinstance(found, ExportedProgram):
        found = found.module()
    layout, text = _layout(spec)
    if isinstance(found, nn.Module):
        from titer.models.adapters.torch import TorchModel

        if text:
            raise PlanError("a layout of numbers for a torch module", "'text'", "leave 'layout' out")
        return TorchModel(
            found, dataset.space, task, name=spec.name or name or type(found).__name__, mean=spec.mean, std=spec.std,
            probabilities=spec.probabilities, embedding=spec.embedding, access=spec.access or "gradients",
            layout=layout or "channels-first", channels=spec.channels, output=spec.output, classes=_classes(spec),
            batch=spec.batch, backward=_stand_ins(spec),
        )  # fmt: skip
    if hasattr(found, "get_params") and hasattr(found, "fit"):
        return _estimator(spec, found, dataset, task, layout)
    if callable(found):
        from titer.models.adapters.callable import CallableModel

        return CallableModel(
            found, dataset.space, task, name=spec.name or name, mean=spec.mean, std=spec.std,
            layout=layout or "channels-first", channels=spec.channels, text=text, probabilities=spec.probabilities,
            classes=_classes(spec), batch=spec.batch, access=_no_more_than_scores(spec, name or "a function"),
        )  # fmt: skip
    raise ModelError(
        "a torch module, a scikit-learn estimator, a function of arrays or a titer Model",
        type(found).__name__,
        "wrap it in a function that takes an array [n, ...] and returns scores [n, K]",
    )


def _stand_ins(spec: ModelSpec) -> dict[str, Any]:
    """What stands in for parts of a torch module in the backward pass, functions found by their names."""
    from titer.models.adapters.reference import resolve

    named = spec.backward or {}
    return {
        part: resolve(each, None) if isinstance(each, str) and ":" in each else each for part, each in named.items()
    }


def _estimator(spec: ModelSpec, found: Any, dataset: Dataset, task: Task, layout: Layout | None) -> Model:
    from titer.models.adapters.sklearn import sklearn_model

    if layout not in (None, "flat") or spec.channels is not None or spec.batch is not None:
        raise PlanError(
            "an estimator that takes flat rows", "'layout', 'channels' or 'batch'", "leave them out for scikit-learn"
        )
    if spec.probabilities is not None:
        raise PlanError("no 'probabilities' for scikit-learn", str(spec.probabilities), "choose a method with 'output'")
    return sklearn_model(
        found, dataset.space, task, name=spec.name, mean=spec.mean, std=spec.std, classes=_classes(spec),
        output=_word(spec), access=spec.access, cases=dataset.cases.inputs,
    )  # fmt: skip


def _endpoint(spec: ModelSpec, dataset: Dataset, task: Task, folder: Path | None, ledger: Path | None) -> Model:
    from titer.models.adapters.http import EndpointModel
    from titer.models.adapters.http_client import Client
    from titer.models.adapters.http_terms import Service
    from titer.models.adapters.ledger import Ledger

    counted = None if ledger is None else Ledger(ledger)
    layout, text = _layout(spec)
    ca = None if spec.ca is None else placed(spec.ca, folder)
    service = Service(
        timeout=spec.timeout, retries=spec.retries, rate=spec.rate, max_queries=spec.max_queries,
        max_bytes=spec.max_bytes, token_env=spec.token_env, token_header=spec.token_header, ca=ca,
        plain_http=spec.plain_http,
    )  # fmt: skip
    return EndpointModel(
        Client(str(spec.url), service, ledger=counted), dataset.space, task, protocol=spec.protocol,  # type: ignore[arg-type]
        name=spec.name, mean=spec.mean, std=spec.std, layout=layout, channels=spec.channels, text=text,
        probabilities=spec.probabilities, classes=_classes(spec), input=spec.input, output=_word(spec),
        batch=spec.batch or 32, binary=spec.binary, request_key=spec.request_key, answer_key=spec.answer_key,
        access=_no_more_than_scores(spec, "an endpoint"), probes=dataset.cases.inputs[:2],
    )  # fmt: skip


def _as_it_is(spec: ModelSpec, model: Model) -> Model:
    given = sorted(spec.model_fields_set - {"object", "python", "name"})
    if given:
        raise PlanError("no settings for a finished Model", ", ".join(given), "set them where the Model is made")
    if not spec.name:
        return model
    named = copy.copy(model)
    named.name = spec.name
    return named


def _task(dataset: Dataset, tolerance: float | None) -> Task:
    if dataset.task != "regression":
        overlap = tolerance if dataset.task == "segmentation" else None
        return Task(dataset.task, dataset.classes, dataset.positive, tolerance=overlap)
    if tolerance is None:
        raise PlanError(
            "a 'tolerance' for a regression", "none", f"say which error of {dataset.classes[0]} makes an answer wrong"
        )
    return Task("regression", dataset.classes, tolerance=tolerance)


def made(found: Any, reference: str) -> Any:
    """What a reference means: a factory (no required arguments) is called, everything else is the model."""
    from torch import nn

    if (
        isinstance(found, (Model, nn.Module))
        or not callable(found)
        or (hasattr(found, "fit") and not inspect.isclass(found))
    ):
        return found
    try:
        needed = [
            each
            for each in inspect.signature(found).parameters.values()
            if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):
        return found
    if not needed:
        return found()
    if len(needed) > 1 or inspect.isclass(found):
        raise PlanError(
            "a function of one array, or a factory without arguments",
            f"{reference} with {', '.join(each.name for each in needed)}",
            "give the other arguments default values",
        )
    return found


def _function(found: Any, reference: str) -> Callable[[], Any]:
    if not callable(found):
        raise PlanError("a function that makes the module", f"{reference}: {type(found).__name__}", "correct 'factory'")
    factory: Callable[[], Any] = found
    return factory


def _classes(spec: ModelSpec) -> ClassMap | None:
    from titer.models.adapters.classmap import ClassMap

    return ClassMap.read(spec.classes)


def _layout(spec: ModelSpec) -> tuple[Layout | None, bool]:
    from titer.models.adapters.intake import read_layout

    return (None, True) if spec.layout == "text" else (read_layout(spec.layout), False)


def _word(spec: ModelSpec) -> str | None:
    return None if spec.output is None else str(spec.output)


def _no_more_than_scores(spec: ModelSpec, what: str) -> Access | None:
    if spec.access == "gradients":
        raise ModelError(
            "access 'scores' or 'labels'", f"'gradients' of {what}", "lower 'access', or give a torch module"
        )
    return spec.access


def placed(path: Path, folder: Path | None) -> Path:
    """A path of a plan: relative ones lie in the folder."""
    return path if path.is_absolute() or folder is None else folder / path

"""Cards of models that are held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.cases.space import Kind
from titer.errors import ModelError
from titer.models.adapters.card import ModelCard, Slot
from titer.models.model import Access, Model


def object_card(model: Any, settings: Mapping[str, Any], name: str) -> ModelCard:
    """The card of a module, an estimator, a function or a `Model`."""
    from torch import nn

    if isinstance(model, Model):
        return ModelCard(
            "titer", model.name, kind=model.space.kind, outputs_per_case=model.task.outputs, classes=model.task.classes,
            access=model.access, settings=settings, notes=model.notes, digest=model.digest,
        )  # fmt: skip
    if isinstance(model, nn.Module):
        return _module(model, settings, name)
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        return _estimator(model, settings, name)
    if callable(model):
        notes = ("a function of arrays: nothing is known before the first question",)
        return ModelCard("function", name or getattr(model, "__name__", "function"), settings=settings, notes=notes)
    raise ModelError("a model file, an address, a module, an estimator or a function", type(model).__name__, "give one")


def _module(module: Any, settings: Mapping[str, Any], name: str) -> ModelCard:
    from torch import nn

    from titer.models.adapters.fingerprint import module_digest

    kind: Kind | None = None
    inside: tuple[int | None, ...] | None = None
    for part in module.modules():
        sizes = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}.get(type(part))
        if sizes is not None:
            kind = ("signal", "image", "volume")[sizes - 1]
            inside = (None, part.in_channels, *([None] * sizes))
        elif isinstance(part, nn.Embedding):
            kind, inside = "tokens", (None, None)
        elif isinstance(part, nn.Linear):
            kind, inside = "table", (None, part.in_features)
        if kind is not None:
            break
    ends = [part.out_features for part in module.modules() if isinstance(part, nn.Linear)]
    return ModelCard(
        "torch", name or type(module).__name__, (Slot("input", "int64" if kind == "tokens" else "float32", inside),),
        (Slot("output", "float32", (None, ends[-1] if ends else None)),), kind, ends[-1] if ends else None,
        access="gradients", settings=settings, digest=module_digest(module, None),
    )  # fmt: skip


def _estimator(model: Any, settings: Mapping[str, Any], name: str) -> ModelCard:
    from titer.models.adapters.fingerprint import object_digest
    from titer.models.adapters.sklearn_torch import Untranslatable, translate

    methods = [method for method in ("predict_proba", "decision_function", "predict") if hasattr(model, method)]
    notes: tuple[str, ...] = ()
    access: Access = "scores"
    try:
        translate(model, methods[0] if methods else "predict")
        access = "gradients"
    except Untranslatable as part:
        notes = (f"scores only: no exact translation of {part}",)
    except AttributeError as error:
        raise ModelError("a fitted estimator", type(model).__name__, "fit it first") from error
    classes = tuple(str(each) for each in getattr(model, "classes_", ()))
    width = getattr(model, "n_features_in_", None)
    return ModelCard(
        "scikit-learn", name or type(model).__name__, (Slot("X", "float64", (None, width)),), (),
        "tokens" if width is None else "table", len(classes) or 1, classes, access,
        methods[:1] == ["predict_proba"], settings, notes, object_digest(model),
    )  # fmt: skip

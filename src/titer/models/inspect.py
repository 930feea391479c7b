"""What can be seen of a model without data; `titer init` writes plans from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from titer.digest import digest
from titer.models.adapters.card import ModelCard, Slot, guess_kind, width
from titer.models.adapters.card_files import file_card
from titer.models.adapters.card_objects import object_card

__all__ = ["ModelCard", "Slot", "inspect_model"]

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def inspect_model(model: Any, *, folder: Path | None = None, **terms: Any) -> ModelCard:
    """Look at a model file, an address, a reference `module:name` or an object; nothing is asked about any case.

    Arguments
        folder: where relative paths and modules are looked for. terms: for addresses, see
            `titer.models.adapters.http_terms.Service`.

    Files that hold programs are described from their tables and not opened. Refuses what is no model (`ModelError`).

    >>> from torch import nn
    >>> card = inspect_model(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)))
    >>> card.kind, card.outputs_per_case, card.access
    ('image', 2, 'gradients')
    """
    if isinstance(model, (str, Path)):
        text = str(model)
        if text.startswith(("http://", "https://")):
            return _endpoint(text, terms)
        path = Path(text) if folder is None else folder / text
        if _REFERENCE.fullmatch(text) and not path.exists():
            from titer.models.adapters.build import made
            from titer.models.adapters.reference import resolve

            return object_card(made(resolve(text, folder), text), {"python": text}, text)
        return file_card(path, text)
    return object_card(model, {}, "")


def _endpoint(url: str, terms: Mapping[str, Any]) -> ModelCard:
    from titer.models.adapters.http_client import Client
    from titer.models.adapters.http_protocols import DATATYPES, read_metadata
    from titer.models.adapters.http_terms import Service

    settings = {"url": url, **{key: value for key, value in terms.items() if value is not None}}
    if "/v2/models/" not in url:
        notes = ("taken for plain JSON: nothing is known before the first question",)
        return ModelCard("endpoint", url, settings={**settings, "protocol": "json"}, notes=notes, digest=digest(url))
    said = read_metadata(Client(url, Service(**terms)))
    inputs = tuple(Slot(port.name, DATATYPES[port.datatype], port.shape) for port in said.inputs)
    outputs = tuple(Slot(port.name, DATATYPES[port.datatype], port.shape) for port in said.outputs)
    scored = [slot for slot in outputs if slot.dtype.startswith("float")]
    if len(scored) > 1:
        settings["output"] = scored[0].name
    first = inputs[0] if inputs else None
    return ModelCard(
        "endpoint", said.name or url, inputs, outputs,
        None if first is None or first.shape is None else guess_kind(first.shape[1:], first.dtype),
        width(scored[0].shape) if scored else None, access="scores" if scored or not outputs else "labels",
        settings={**settings, "protocol": "kserve"}, digest=digest([url, inputs, outputs]),
    )  # fmt: skip

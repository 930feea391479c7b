"""ModelCard: what a model says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from titer.cases.space import Kind
from titer.models.model import Access


@dataclass(frozen=True)
class Slot:
    """One input or output: name, element type, and shape with the batch first; None where a size is free or unknown."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        sizes = "unknown" if self.shape is None else " x ".join("any" if n is None else str(n) for n in self.shape)
        return f"{self.name} ({self.dtype}, {sizes})"


@dataclass(frozen=True)
class ModelCard:
    """What a model says of itself.

    Arguments
        format: "onnx", "torch", "torch-export", "torchscript", "safetensors", "weights", "scikit-learn", "function",
            "endpoint" or "titer".
        name: file stem, class or address. inputs, outputs: see `Slot`.
        kind: what the input seems to be, or None. outputs_per_case: numbers per case, or None.
        classes: names of classes, if the model has them.
        access: the most that can be had from it.
        probabilities: whether it seems to give probabilities; None if that cannot be told.
        settings: what `model:` in a plan needs. notes: what a reader should know.
        digest: SHA-256 of the file or of what was seen.
    """

    format: str
    name: str
    inputs: tuple[Slot, ...] = ()
    outputs: tuple[Slot, ...] = ()
    kind: Kind | None = None
    outputs_per_case: int | None = None
    classes: tuple[str, ...] = ()
    access: Access = "scores"
    probabilities: bool | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    digest: str = ""

    def __str__(self) -> str:
        parts = [f"{self.format} model {self.name}"]
        parts += [f"input {', '.join(map(str, self.inputs))}"] if self.inputs else []
        parts += [f"output {', '.join(map(str, self.outputs))}"] if self.outputs else []
        return "; ".join([*parts, f"access {self.access}", *self.notes])


def guess_kind(shape: Sequence[int | None] | None, dtype: str) -> Kind | None:
    """What cases of a shape (without the batch) seem to be.

    >>> guess_kind((None, None, 3), "float32"), guess_kind((12, 1000), "float32"), guess_kind((30,), "int64")
    ('image', 'signal', 'tokens')
    """
    if dtype in ("str", "object", "BYTES"):
        return "tokens"
    if shape is None:
        return None
    if len(shape) == 1:
        return "tokens" if dtype in ("int32", "int64") else "table"
    if len(shape) == 2:
        return "signal"
    return {3: "image", 4: "volume"}.get(len(shape))  # type: ignore[return-value]


def width(shape: Sequence[int | None] | None) -> int | None:
    """Numbers per case of an output, or None."""
    return None if shape is None or not shape else 1 if len(shape) == 1 else shape[1]

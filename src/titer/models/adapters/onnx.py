"""Adapter for ONNX files, run by ONNX Runtime on one processor thread."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.cases.space import Space
from titer.errors import ModelError
from titer.models.adapters.arrays import ArrayModel
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.intake import Layout, find_layout
from titer.models.adapters.onnx_graph import Port, gives_probabilities, read_graph
from titer.models.adapters.onnx_session import session
from titer.models.adapters.probe import first_line
from titer.models.model import Access
from titer.models.task import Task


class OnnxModel(ArrayModel):
    """An ONNX file; scores only, since ONNX Runtime gives no gradients.

    Layout, element type and a fixed batch are read off the graph. Runs with one thread and deterministic kernels, so
    that the same question has the same answer. Float graphs round: a case alone may differ from the case in a batch by
    what float32 cannot tell apart.

    Arguments
        path: one file with its weights inside, at most 2 GiB.
        space, task, mean, std, layout, channels, probabilities, classes: see `ArrayModel`.
        output: name of the output to use; needed where several could be meant.
        batch: ask in blocks of this size, for graphs whose declared free batch is not.
        access: "labels" to use an output of labels.
    """

    def __init__(
        self,
        path: Path | str,
        space: Space,
        task: Task,
        *,
        name: str = "",
        mean: float | tuple[float, ...] = 0.0,
        std: float | tuple[float, ...] = 1.0,
        layout: Layout | None = None,
        channels: int | None = None,
        probabilities: bool | None = None,
        classes: ClassMap | None = None,
        output: str | None = None,
        batch: int | None = None,
        access: Access | None = None,
    ) -> None:
        where = Path(path)
        graph, raw = read_graph(where)
        port = _input(graph.inputs, where.name)
        answer, found = _output(graph.outputs, output, access, where.name)
        dims = None if port.shape is None else port.shape[1:]
        chosen = layout if layout is not None else find_layout(dims, space, channels, where.name)
        named, said = (None, "")
        if classes is None and answer.classes:
            named, said = ClassMap.found(answer.classes, task, where.name)
        super().__init__(
            space, task, name=name or where.stem, mean=mean, std=std, layout=chosen, channels=channels,
            probabilities=probabilities, classes=classes or named, dtype=_dtype(port, where.name),
            batch=batch or (port.shape[0] if port.shape else None), access=found,
        )  # fmt: skip
        file = hashlib.sha256(raw).hexdigest()
        self._port, self._answer = port.name, answer.tensor
        self._session = session(graph.content, where.name)
        self.notes += tuple(filter(None, (said, f"output {answer.name!r}" if len(graph.outputs) > 1 else "")))
        self.notes += (f"file SHA-256 {file}",)
        if chosen != "channels-first":
            self.notes += (f"cases handed over {chosen}",)
        self._settle(known=gives_probabilities(answer))
        self.digest = self._identified([file, answer.name])

    def ask(self, inputs: Array) -> Array:
        try:
            (answered,) = self._session.run([self._answer], {self._port: inputs})
        except Exception as error:
            raise ModelError(
                f"a graph that answers {inputs.shape[0]} cases of shape {list(inputs.shape[1:])} ({inputs.dtype})",
                f"{self.name}: {first_line(error)}",
                "set 'batch: 1' if the graph was exported for a fixed batch, or correct 'layout'",
            ) from error
        return np.asarray(answered)


def _input(inputs: tuple[Port, ...], name: str) -> Port:
    if len(inputs) != 1:
        raise ModelError(
            "one input tensor",
            f"{len(inputs)} in {name}: {', '.join(port.name for port in inputs)}",
            "export the model with one tensor [n, ...]; of scikit-learn, name one FloatTensorType",
        )
    return inputs[0]


def _dtype(port: Port, name: str) -> np.dtype[Any]:
    kinds = {"float16", "float32", "float64", "uint8", "int8", "int16", "uint16", "int32", "int64", "bool"}
    if port.dtype not in kinds:
        raise ModelError("an input of numbers", f"{port.dtype} for {port.name!r} in {name}", "export with float input")
    return np.dtype(port.dtype)


def _output(outputs: tuple[Port, ...], wanted: str | None, access: Access | None, name: str) -> tuple[Port, Access]:
    listed = ", ".join(f"{port.name} ({port.dtype})" for port in outputs)
    if wanted is not None:
        chosen = [port for port in outputs if port.name == wanted]
        if not chosen:
            raise ModelError(f"an output named {wanted!r}", f"{listed} in {name}", "correct 'output'")
    else:
        scored = [port for port in outputs if port.dtype.startswith("float")]
        chosen = [port for port in outputs if port not in scored] if access == "labels" else scored
        chosen = chosen or (list(outputs) if access is None or access == "labels" else [])
    if len(chosen) != 1:
        raise ModelError("one output to read scores from", f"{listed} in {name}", "choose one with 'output'")
    port = chosen[0]
    if port.dtype == "map":
        raise ModelError("an output of tensors", f"{port.name!r} of {name} gives dictionaries", "export without ZipMap")
    found: Access = access or ("scores" if port.dtype.startswith("float") else "labels")
    if found == "labels" and access is None and len(outputs) > 1 and wanted is None:
        raise ModelError("one output to read scores from", f"{listed} in {name}", "choose one with 'output'")
    return port, found

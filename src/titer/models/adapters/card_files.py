"""Cards of model files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from titer.cases.space import Kind
from titer.digest import digest_file
from titer.errors import ModelError
from titer.models.adapters.card import ModelCard, Slot, guess_kind, width
from titer.models.adapters.card_objects import object_card


def file_card(path: Path, text: str) -> ModelCard:
    """The card of a model file; those that hold programs are described from their tables and not opened."""
    kind = path.suffix.lower()
    if kind == ".onnx":
        return _onnx(path, text)
    if kind == ".skops":
        from titer.models.adapters.sklearn_files import load_skops

        return object_card(load_skops(path), {"path": text}, path.stem)
    if kind in (".pkl", ".pickle", ".joblib", ".sav"):
        raise ModelError(
            "a file that can be read without running code", f"{path.name}, a pickle", "save it with skops, or as ONNX"
        )
    from titer.models.adapters.torch_files import torch_format

    held = torch_format(path)
    if held in ("safetensors", "weights"):
        return _weights(path, text, held)
    told = _exported(path) if held == "torch-export" else ModelCard(held, path.stem)
    return ModelCard(
        held, path.stem, told.inputs, told.outputs, told.kind, told.outputs_per_case, access="gradients",
        settings={"path": text, "trusted": False}, digest=digest_file(path),
        notes=("holds a program: set 'trusted: true' if you trust who made it",),
    )  # fmt: skip


def _onnx(path: Path, text: str) -> ModelCard:
    from titer.models.adapters.onnx_graph import Port, read_graph
    from titer.models.adapters.onnx_graph import gives_probabilities as gives

    graph, _ = read_graph(path)

    def slots(ports: tuple[Port, ...]) -> tuple[Slot, ...]:
        return tuple(Slot(port.name, port.dtype, port.shape) for port in ports)

    scored = [port for port in graph.outputs if port.dtype.startswith("float")]
    settings: dict[str, Any] = {"path": text}
    notes: tuple[str, ...] = ()
    if len(graph.inputs) != 1:
        notes += (f"{len(graph.inputs)} inputs: Titer needs one tensor",)
    if len(scored) > 1:
        settings["output"] = scored[0].name
        notes += (f"several outputs, {scored[0].name!r} taken: {', '.join(port.name for port in graph.outputs)}",)
    first = graph.inputs[0] if graph.inputs else None
    best = scored[0] if scored else None
    return ModelCard(
        "onnx", path.stem, slots(graph.inputs), slots(graph.outputs),
        None if first is None else guess_kind(None if first.shape is None else first.shape[1:], first.dtype),
        width(best.shape) if best else None, best.classes if best else (), "scores" if scored else "labels",
        gives(best) if best else None, settings, notes, digest_file(path),
    )  # fmt: skip


def _weights(path: Path, text: str, held: str) -> ModelCard:
    shapes: dict[str, tuple[int, ...]] = {}
    if held == "safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as tensors:
                shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ModelError("a whole safetensors file", path.name, "copy it again") from error
    most = max((len(shape) for shape in shapes.values()), default=0)
    kind: Kind | None = {3: "signal", 4: "image", 5: "volume"}.get(most)  # type: ignore[assignment]
    return ModelCard(
        held, path.stem, kind=kind, access="gradients", settings={"path": text, "factory": "my_module:make_model"},
        notes=("holds weights: name with 'factory' the function that makes the untrained module",),
        digest=digest_file(path),
    )  # fmt: skip


def _exported(path: Path) -> ModelCard:
    """Inputs and outputs of a torch.export file, read from its table of tensors."""
    from titer.models.adapters.probe import first_line

    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if "/models/" in name and name.endswith(".json"))
            module = json.loads(archive.read(name))["graph_module"]
        values = module["graph"]["tensor_values"]
        asked = [spec["user_input"]["arg"]["as_tensor"]["name"] for spec in _of(module, "input_specs", "user_input")]
        told = [spec["user_output"]["arg"]["as_tensor"]["name"] for spec in _of(module, "output_specs", "user_output")]
        inputs, outputs = ([_slot(name, values[name]) for name in names] for names in (asked, told))
    except (StopIteration, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError("a file of torch.export.save", f"{path.name}: {first_line(error)}", "export again") from error
    first = inputs[0] if inputs else None
    return ModelCard(
        "torch-export", path.stem, tuple(inputs), tuple(outputs),
        None if first is None or first.shape is None else guess_kind(first.shape[1:], first.dtype),
        width(outputs[0].shape) if outputs else None,
    )  # fmt: skip


def _of(module: Mapping[str, Any], table: str, key: str) -> list[Any]:
    return [spec for spec in module["signature"][table] if key in spec]


def _slot(name: str, value: Mapping[str, Any]) -> Slot:
    # Numbers of element types as torch.export writes them.
    dtypes = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"}
    return Slot(name, dtypes.get(value["dtype"], "other"), tuple(size.get("as_int") for size in value["sizes"]))

"""What an ONNX file holds, read and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titer.errors import ModelError
from titer.models.adapters.probe import first_line

# Operators that every build of ONNX Runtime brings; all others live in libraries that would have to be loaded.
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
# Operators that run foreign code or read other files.
_FOREIGN = ("EPContext", "PythonOp", "PythonOpGrad")
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_PROBABILITIES = ("Sigmoid", "Softmax", "LinearClassifier", "TreeEnsembleClassifier", "SVMClassifier")
_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Port:
    """One input or output of a graph.

    Arguments
        name: as the graph calls it. dtype: numpy's name of the element type, "str" for words, "map" for ZipMap.
        shape: sizes, None where free; None altogether if the rank is unknown.
        tensor: the tensor to ask for; differs from the name where a ZipMap was taken off.
        classes: names or numbers of classes that a ZipMap declares.
        ending: the operator that makes it, looked at through shape changes.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    tensor: str = ""
    classes: tuple[str, ...] = ()
    ending: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """A checked ONNX graph: the bytes to run, and its inputs and outputs."""

    content: bytes
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def read_graph(path: Path, limit: int = _LIMIT) -> tuple[Graph, bytes]:
    """The graph of a file without anything run, and the file's own bytes.

    ZipMap operators of skl2onnx, which wrap probabilities into dictionaries, are taken off.

    Arguments
        limit: largest size in bytes.

    Refuses (`ModelError`) what is larger, damaged, keeps weights in other files, needs libraries of custom operators,
    or draws random numbers.
    """
    onnx = _onnx()
    try:
        size = path.stat().st_size
        if size > limit:
            raise ModelError(
                f"a model file of at most {limit} bytes", f"{path.name} with {size}", "give a smaller model"
            )
        raw = path.read_bytes()
    except OSError as error:
        raise ModelError("a model file that can be read", f"{path.name}: {error.strerror}", "check the path") from error
    try:
        model = onnx.load_model_from_string(raw)
        _check(onnx, model, path.name)
        onnx.checker.check_model(model)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError("a whole ONNX file", f"{path.name}: {first_line(error)}", "export it again") from error
    outputs = tuple(_outputs(onnx, model.graph))
    held = {each.name for each in model.graph.initializer}
    inputs = tuple(_port(onnx, each) for each in model.graph.input if each.name not in held)
    wrapped = any(port.tensor != port.name for port in outputs)
    return Graph(model.SerializeToString() if wrapped else raw, inputs, outputs), raw


def gives_probabilities(port: Port) -> bool | None:
    """Whether the operator that makes an output gives probabilities; None if that cannot be told."""
    if port.classes or port.ending in _PROBABILITIES:
        return True
    return False if port.ending in ("Gemm", "MatMul", "Add", "Conv", "LinearRegressor") else None


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ModelError("the package onnx for ONNX files", "none", "install it: pip install 'titer[onnx]'") from error
    return onnx


def _check(onnx: Any, model: Any, name: str) -> None:
    own = {function.domain for function in model.functions}
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                "an ONNX file that holds its own weights",
                f"{name}, whose {tensor.name!r} lies in another file",
                "save it in one file: onnx.save(onnx.load(path), new, save_as_external_data=False)",
            )
    for node in _nodes(model):
        if node.domain not in _DOMAINS and node.domain not in own:
            raise ModelError(
                f"operators of {', '.join(filter(None, _DOMAINS))}",
                f"{node.op_type!r} of {node.domain!r} in {name}",
                "export without custom operators, or serve the model and give its address",
            )
        if node.op_type in _FOREIGN:
            raise ModelError(
                "operators that stay inside the file", f"{node.op_type!r} in {name}", "export without a compiled part"
            )
        training = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]
        if node.op_type in _RANDOM or (training and _true(onnx, model, node.input[2])):
            raise ModelError(
                "a graph that answers the same twice",
                f"{node.op_type!r}, which draws random numbers, in {name}",
                "export in evaluation mode; a model that is random by design can be served and audited by its address",
            )


def _true(onnx: Any, model: Any, tensor: str) -> bool:
    """Whether a switch is on, or could be."""
    for held in model.graph.initializer:
        if held.name == tensor:
            return bool(onnx.numpy_helper.to_array(held).any())
    for node in model.graph.node:
        if node.op_type == "Constant" and tensor in node.output:
            return any(
                bool(onnx.numpy_helper.to_array(each.t).any()) for each in node.attribute if each.name == "value"
            )
    return True


def _nodes(model: Any) -> Iterator[Any]:
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                waiting.extend(graph.node)


def _tensors(model: Any) -> Iterator[Any]:
    graphs = [model.graph]
    for node in _nodes(model):
        for attribute in node.attribute:
            graphs.extend([attribute.g] if attribute.HasField("g") else [])
            graphs.extend(attribute.graphs)
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
            sparse = [*([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])]
            for each in (*sparse, *attribute.sparse_tensors):
                yield from (each.values, each.indices)
    for graph in graphs:
        yield from graph.initializer
        for each in graph.sparse_initializer:
            yield from (each.values, each.indices)


def _port(onnx: Any, value: Any, **more: Any) -> Port:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return Port(value.name, "map" if kind == "sequence_type" else str(kind), None, value.name, **more)
    tensor = value.type.tensor_type
    if tensor.elem_type == onnx.TensorProto.STRING:
        dtype = "str"
    else:
        dtype = str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    shape = None
    if tensor.HasField("shape"):
        sizes = (each.dim_value if each.HasField("dim_value") else 0 for each in tensor.shape.dim)
        shape = tuple(size if size > 0 else None for size in sizes)
    return Port(value.name, dtype, shape, value.name, **more)


def _outputs(onnx: Any, graph: Any) -> Iterator[Port]:
    """Outputs with ZipMaps taken off: each then gives the tensor that went into its ZipMap."""
    makers = {name: node for node in graph.node for name in node.output}
    for output in list(graph.output):
        maker = makers.get(output.name)
        if maker is None or maker.op_type != "ZipMap":
            yield _port(onnx, output, ending=_ending(makers, output.name))
            continue
        inside = maker.input[0]
        names = next((a for a in maker.attribute if a.name.startswith("classlabels_")), None)
        classes = () if names is None else tuple(str(n) for n in names.ints) or tuple(n.decode() for n in names.strings)
        graph.node.remove(maker)
        plain = onnx.helper.make_tensor_value_info(inside, onnx.TensorProto.FLOAT, [None, None])
        graph.output.remove(output)
        if inside not in [each.name for each in graph.output]:
            graph.output.append(plain)
        yield Port(output.name, "float32", (None, len(classes) or None), inside, classes, _ending(makers, inside))


def _ending(makers: dict[str, Any], name: str) -> str:
    through = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Normalizer")
    for _ in range(8):
        maker = makers.get(name)
        if maker is None:
            return ""
        if maker.op_type not in through or not maker.input:
            return str(maker.op_type)
        name = maker.input[0]
    return ""

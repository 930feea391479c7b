"""What is written to endpoints and read from them: the open inference protocol of KServe and Triton, and plain JSON.

Source: Open Inference Protocol (v2), github.com/kserve/open-inference-protocol, with Triton's binary tensor extension.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from titer.cases.case import Array
from titer.errors import EndpointError
from titer.models.adapters.http_client import Client, Reply
from titer.models.adapters.http_terms import parse_json

_JSON = "application/json"
_HEADER = "Inference-Header-Content-Length"
DATATYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "INT8": "int8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
    "BYTES": "object",
}  # fmt: skip


class Wire(Protocol):
    """One way to ask an endpoint."""

    def ask(self, client: Client, inputs: Array, count: int) -> Array:
        """Raw answers to inputs [n, ...]; words as an array of objects, whole numbers as integers."""


@dataclass(frozen=True)
class Tensor:
    """An input or output as metadata describe it; a size of None is free."""

    name: str
    datatype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Metadata:
    """What an endpoint says of itself."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class OpenInference:
    """POST {url}/infer with one input tensor.

    Arguments
        input: name and type of the input tensor; `shape` counts its dimensions. output: name of the output wanted.
        binary: send and receive tensors as raw little-endian bytes after the JSON.
    """

    input: Tensor
    output: str | None = None
    binary: bool = False

    def ask(self, client: Client, inputs: Array, count: int) -> Array:
        content, headers = self._request(inputs)
        kind = "application/octet-stream" if headers else _JSON
        reply = client.post(content, kind, count, url=f"{client.url}/infer", headers=headers)
        return self._answer(reply)

    def _request(self, inputs: Array) -> tuple[bytes, dict[str, str]]:
        words = inputs.dtype == object
        shape = [len(inputs), *([1] * (len(self.input.shape) - 1))] if words else list(inputs.shape)
        tensor: dict[str, Any] = {"name": self.input.name, "shape": shape, "datatype": self.input.datatype}
        asked: dict[str, Any] = {"inputs": [tensor]}
        if self.output is not None:
            asked["outputs"] = [{"name": self.output, **({"parameters": {"binary_data": True}} if self.binary else {})}]
        if not self.binary or words:
            tensor["data"] = inputs.reshape(-1).tolist()
            return json.dumps(asked, allow_nan=False).encode(), {}
        raw = np.ascontiguousarray(inputs).astype(inputs.dtype.newbyteorder("<")).tobytes()
        tensor["parameters"] = {"binary_data_size": len(raw)}
        head = json.dumps(asked).encode()
        return head + raw, {_HEADER: str(len(head))}

    def _answer(self, reply: Reply) -> Array:
        length = reply.headers.get(_HEADER.lower())
        if length is not None and not (length.isdecimal() and int(length) <= len(reply.body)):
            raise EndpointError(f"a length in {_HEADER}", repr(length), "check the service")
        split = len(reply.body) if length is None else int(length)
        told = parse_json(reply.body[:split])
        outputs = told.get("outputs") if isinstance(told, Mapping) else None
        if not isinstance(outputs, list) or not all(isinstance(each, Mapping) for each in outputs) or not outputs:
            raise EndpointError(
                "'outputs' with tensors in the answer", _brief(told), "check 'protocol' and the address"
            )
        names = [str(each.get("name")) for each in outputs]
        if self.output is None and len(outputs) > 1:
            raise EndpointError("one output", ", ".join(names), "choose one with 'output'")
        if self.output is not None and self.output not in names:
            raise EndpointError(f"an output named {self.output!r}", ", ".join(names), "correct 'output'")
        chosen = 0 if self.output is None else names.index(self.output)
        skipped = sum(_size(each) or 0 for each in outputs[:chosen])
        return _tensor(outputs[chosen], memoryview(reply.body)[split + skipped :])


@dataclass(frozen=True)
class PlainJson:
    """POST {url} with {"instances": [...]}, answered by {"predictions": [...]}.

    Arguments
        request_key, answer_key: other words for the two; an empty answer key means that the answer is the list.
        output: the entry to take where each prediction is a mapping.
    """

    request_key: str = "instances"
    answer_key: str = "predictions"
    output: str | None = None

    def ask(self, client: Client, inputs: Array, count: int) -> Array:
        content = json.dumps({self.request_key: inputs.tolist()}, allow_nan=False).encode()
        told = parse_json(client.post(content, _JSON, count).body)
        rows = told if not self.answer_key else told.get(self.answer_key) if isinstance(told, Mapping) else None
        if not isinstance(rows, list):
            raise EndpointError(
                f"a list under {self.answer_key!r} in the answer" if self.answer_key else "a list as answer",
                _brief(told),
                "correct 'answer_key' and 'request_key'",
            )
        if self.output is not None:
            rows = [row.get(self.output) if isinstance(row, Mapping) else None for row in rows]
        elif any(isinstance(row, Mapping) for row in rows):
            raise EndpointError(
                "numbers, lists or words as predictions", _brief(rows[0]), "choose an entry with 'output'"
            )
        return _rows(rows)


def read_metadata(client: Client) -> Metadata:
    """What a KServe or Triton endpoint says of itself at GET {url}."""
    told = parse_json(client.get(client.url).body)
    if not isinstance(told, Mapping):
        raise EndpointError("metadata of a model", _brief(told), "give the address up to the model's name")
    return Metadata(
        str(told.get("name", "")), _tensors(told.get("inputs"), "inputs"), _tensors(told.get("outputs"), "outputs")
    )


def find_input(said: Metadata, wanted: str | None) -> Tensor:
    """The input tensor to fill: the named one, or the only one."""
    found = [port for port in said.inputs if wanted in (None, port.name)]
    if len(found) == 1:
        return found[0]
    if not said.inputs and wanted is not None:
        return Tensor(wanted, "FP32", ())
    names = ", ".join(port.name for port in said.inputs) or "none in the metadata"
    raise EndpointError(
        "one input tensor" if wanted is None else f"an input named {wanted!r}", names, "name it with 'input'"
    )


def find_output(said: Metadata, wanted: str | None, access: str | None) -> str | None:
    """The output tensor to read: the named one, or the only one that fits what is asked for."""
    names = [port.name for port in said.outputs]
    if wanted is not None or not names:
        if wanted is not None and names and wanted not in names:
            raise EndpointError(f"an output named {wanted!r}", ", ".join(names), "correct 'output'")
        return wanted
    scored = [port.name for port in said.outputs if port.datatype.startswith("FP")]
    likely = [name for name in names if name not in scored] if access == "labels" else scored
    chosen = names if len(names) == 1 else likely
    if len(chosen) != 1:
        raise EndpointError("one output to read answers from", ", ".join(names), "choose one with 'output'")
    return chosen[0]


def _tensors(told: Any, what: str) -> tuple[Tensor, ...]:
    if told is None:
        return ()
    try:
        found = tuple(
            Tensor(
                str(each["name"]),
                str(each["datatype"]),
                tuple(None if int(size) < 0 else int(size) for size in each["shape"]),
            )
            for each in told
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EndpointError(f"{what} with name, datatype and shape", _brief(told), "check the service") from error
    unknown = [each.datatype for each in found if each.datatype not in DATATYPES]
    if unknown:
        raise EndpointError(f"a datatype among {', '.join(DATATYPES)}", unknown[0], "serve the model with another type")
    return found


def _size(output: Mapping[str, Any]) -> int | None:
    """Bytes of a tensor that follows the JSON; None if it is inside."""
    parameters = output.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, Mapping) else None
    if size is not None and (not isinstance(size, int) or size < 0):
        raise EndpointError("a whole number as binary_data_size", repr(size), "check the service")
    return size


def _tensor(output: Mapping[str, Any], after: memoryview) -> Array:
    shape, datatype = output.get("shape"), output.get("datatype")
    if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise EndpointError("a shape of whole numbers", _brief(shape), "check the service")
    if datatype not in DATATYPES:
        raise EndpointError(f"a datatype among {', '.join(DATATYPES)}", repr(datatype), "check the service")
    size = _size(output)
    if size is not None:
        if datatype == "BYTES":
            raise EndpointError("numbers as binary tensor", "BYTES", "set 'binary: false'")
        kind = np.dtype(DATATYPES[datatype]).newbyteorder("<")
        if size != math.prod(shape) * kind.itemsize or len(after) < size:
            raise EndpointError(
                f"{math.prod(shape)} values of {datatype} for shape {shape}",
                f"{min(size, len(after))} bytes",
                "check it",
            )
        return np.frombuffer(after[:size], dtype=kind).astype(kind.newbyteorder("=")).reshape(shape)
    data = output.get("data")
    values = _rows(data) if isinstance(data, list) else np.zeros(0)
    if values.size != math.prod(shape) or not isinstance(data, list):
        raise EndpointError(
            f"{math.prod(shape)} values for shape {shape}", f"{values.size} in 'data'", "check the service"
        )
    if datatype != "BYTES" and values.dtype == object:
        raise EndpointError(f"{datatype} in 'data'", _brief(data), "check the service")
    return values.reshape(shape) if values.dtype == object else values.reshape(shape).astype(DATATYPES[datatype])


def _rows(rows: list[Any]) -> Array:
    """Numbers or words of a JSON list as an array; everything else is refused."""
    if rows and all(isinstance(row, str) for row in rows):
        return np.array(rows, dtype=object)
    try:
        array = np.array(rows)
    except (ValueError, OverflowError) as error:
        raise EndpointError("answers of one shape", _brief(rows), "check the service") from error
    if array.dtype.kind not in "fiub" or array.size == 0:
        raise EndpointError("numbers, or one word per case", _brief(rows), "check the service and 'output'")
    return array


def _brief(told: Any) -> str:
    """A few words on what came, without its contents."""
    if isinstance(told, Mapping):
        return f"an object with {', '.join(repr(str(key)[:40]) for key in list(told)[:6]) or 'nothing'}"
    if isinstance(told, list):
        return f"a list of {len(told)} {type(told[0]).__name__ if told else 'things'}"
    return f"{type(told).__name__} {str(told)[:40]!r}"

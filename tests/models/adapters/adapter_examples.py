"""Small models of every kind with the same answers, for the tests of adapters."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.models.task import Task

IMAGES = Space("image", (1, 5, 7), "grey level (0-1)", 0.0, 1.0)
TABLE = Space("table", (4,), "mg/dL", -3.0, 3.0)
TWO = Task("classes", ("healthy", "sick"), positive=(1,))
THREE = Task("classes", ("a", "b", "c"), positive=(1, 2))
ONE = Task("binary", ("healthy", "sick"), positive=(1,))
FINDINGS = Task("multilabel", ("edema", "mass"))
DOSE = Task("regression", ("dose",), tolerance=0.5)
CARD = DataCard("toy", "made-up cases", "CC0-1.0", "none", "none", "none", synthetic=True)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def images(count: int = 11, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return rng(seed).uniform(size=(count, *IMAGES.shape)).astype(dtype)


def rows(count: int = 60, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return rng(seed).uniform(-3, 3, size=(count, 4)).astype(dtype)


def labels(inputs: np.ndarray, classes: int = 2) -> np.ndarray:
    """Labels by quantiles of a skewed sum, so that every class is there."""
    flat = inputs.reshape(len(inputs), -1)
    score = flat @ np.linspace(-1, 2, flat.shape[1])
    return np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))


def dataset(inputs: np.ndarray, space: Space, task: Task = TWO, targets: np.ndarray | None = None) -> Dataset:
    truth = labels(inputs, len(task.classes)) if targets is None else targets
    kind = "classes" if task.kind == "binary" else task.kind
    return Dataset(CARD, space, kind, task.classes, task.positive, Batch.of(inputs, truth))


def cnn(outputs: int = 2, channels: int = 1, dtype: torch.dtype = torch.float32, seed: int = 3) -> nn.Sequential:
    """Convolution, batch norm, dropout, mean over the picture, linear layer; in training mode."""
    generator = torch.Generator().manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, outputs),
    )  # fmt: skip
    with torch.no_grad():
        for held in (*module.parameters(), *module.buffers()):
            if held.is_floating_point():
                held.copy_(torch.rand(held.shape, generator=generator) + 0.2)
        module[0].weight.sub_(0.6)
        module[-1].weight.sub_(0.6)
    return module.to(dtype).train()


def cnn_onnx(
    path: Path,
    *,
    outputs: int = 2,
    channels: int = 1,
    batch: int | str = "N",
    last: bool = False,
    ending: str = "",
    squeeze: bool = False,
    dtype: int = TensorProto.FLOAT,
    extra: Callable[[Any], None] | None = None,
) -> nn.Sequential:
    """Write `cnn` as an ONNX graph and return the module in evaluation mode.

    `last` takes pictures with channels last, `ending` adds Softmax or Sigmoid, `squeeze` gives [n] for one output.
    """
    module = cnn(outputs, channels).eval()
    conv, norm, line = module[0], module[1], module[6]
    kind = np.float64 if dtype == TensorProto.DOUBLE else np.float32
    held = {
        "w": conv.weight, "b": conv.bias, "scale": norm.weight, "shift": norm.bias, "mean": norm.running_mean,
        "var": norm.running_var, "W": line.weight, "B": line.bias,
    }  # fmt: skip
    weights = [numpy_helper.from_array(value.detach().numpy().astype(kind), name) for name, value in held.items()]
    nodes = []
    first = "input"
    if dtype == TensorProto.UINT8:
        nodes.append(helper.make_node("Cast", ["input"], ["real"], to=TensorProto.FLOAT))
        first = "real"
    if last:
        nodes.append(helper.make_node("Transpose", [first], ["first"], perm=[0, 3, 1, 2]))
        first = "first"
    nodes += [
        helper.make_node("Conv", [first, "w", "b"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"], epsilon=1e-5),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "W", "B"], ["z"], transB=1),
    ]
    name = "z"
    if ending:
        attributes = {"axis": 1} if ending == "Softmax" else {}
        nodes.append(helper.make_node(ending, [name], ["p"], **attributes))
        name = "p"
    if squeeze:
        weights.append(numpy_helper.from_array(np.array([1]), "one"))
        nodes.append(helper.make_node("Squeeze", [name, "one"], ["s"]))
        name = "s"
    shape = [batch, 5, 7, channels] if last else [batch, channels, 5, 7]
    real = TensorProto.FLOAT if dtype == TensorProto.UINT8 else dtype
    graph = helper.make_graph(
        nodes,
        "cnn",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info(name, real, [batch] if squeeze else [batch, outputs])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if extra is not None:
        extra(model)
    onnx.save(model, path)
    return module


def answers(module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """What a module in evaluation mode says, in float64."""
    with torch.no_grad():
        return module(torch.from_numpy(inputs)).double().numpy()


def _serve_module() -> Any:
    if "serve_model" not in sys.modules:
        path = Path(__file__).resolve().parents[3] / "examples" / "serve_model.py"
        spec = importlib.util.spec_from_file_location("serve_model", path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["serve_model"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["serve_model"])
    return sys.modules["serve_model"]


serve_model = _serve_module()


class FaultyHandler(serve_model.Handler):
    """Answers as the server's list of faults says, one fault per request, and properly when the list is empty."""

    def reply(self, status: int, answer: dict[str, Any]) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault is None:
            super().reply(status, answer)
            return
        if fault == "hang up":
            self.close_connection = True
            return
        code, headers, body = fault(answer) if callable(fault) else fault
        self.close_connection = "Content-Length" in headers
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class FaultyServer(serve_model.ModelServer):
    """A server whose answers can be spoiled."""

    def __init__(self, predict: Any, shape: tuple[int, ...], *, name: str = "model") -> None:
        super().__init__(predict, shape, name=name)
        self.RequestHandlerClass = FaultyHandler
        self.faults: list[Any] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up on a spoiled answer are what the tests are about."""

    @property
    def kserve(self) -> str:
        return f"{self.address}/v2/models/{self.name}"

    @property
    def plain(self) -> str:
        return f"{self.address}/v1/models/{self.name}:predict"


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

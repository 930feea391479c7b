"""The model behind a guard that is started from a file: an ONNX file, or an endpoint of the open inference protocol."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.errors import EndpointError, GuardError

if TYPE_CHECKING:
    from titer.cli.guard_plan import ModelPlan

Ask = Callable[[Any], Any]
_START_SECONDS = 120.0


@contextmanager
def opened(plan: ModelPlan) -> Iterator[tuple[Ask, str]]:
    """The model, which takes and gives arrays, and its digest."""
    if plan.onnx is not None:
        ask, digest = _onnx(plan)
        yield _safe(ask), digest
        return
    assert plan.digest is not None
    with _started(plan):
        yield _safe(_endpoint(plan)), plan.digest


def _onnx(plan: ModelPlan) -> tuple[Ask, str]:
    from titer.models.adapters.onnx_graph import read_graph
    from titer.models.adapters.onnx_session import session

    assert plan.onnx is not None
    graph, raw = read_graph(plan.onnx)
    inputs = [port for port in graph.inputs if plan.input in (None, port.name)]
    outputs = [port for port in graph.outputs if plan.output in (None, port.name)]
    if len(inputs) != 1 or not outputs:
        raise GuardError(
            "one input and an output of the graph",
            f"inputs {', '.join(port.name for port in graph.inputs)}; "
            f"outputs {', '.join(port.name for port in graph.outputs)}",
            "choose with 'input' and 'output'",
            code="model.ports",
        )
    running = session(graph.content, plan.onnx.name)
    port = inputs[0]
    kind = None if port.dtype == "str" else np.dtype(port.dtype)

    def ask(given: Any) -> Any:
        fed = given.astype(object) if kind is None else given.astype(kind)
        answers = running.run([each.tensor for each in outputs], {port.name: fed})
        named = {each.name: np.asarray(answer) for each, answer in zip(outputs, answers, strict=True)}
        return {name: answer.astype(str) if answer.dtype == object else answer for name, answer in named.items()}

    return ask, hashlib.sha256(raw).hexdigest()


def _endpoint(plan: ModelPlan) -> Ask:
    from titer.models.adapters.http_client import Client
    from titer.models.adapters.http_protocols import DATATYPES, OpenInference, find_input, find_output, read_metadata
    from titer.models.adapters.http_terms import Service

    assert plan.kserve is not None
    client = Client(plan.kserve, Service(timeout=plan.timeout, token_env=plan.token_env, ca=plan.ca))
    said = read_metadata(client)
    port, output = find_input(said, plan.input), find_output(said, plan.output, None)
    wire, kind = OpenInference(port, output), np.dtype(DATATYPES[port.datatype])

    def ask(given: Any) -> Any:
        answer = wire.ask(client, given.astype(kind), len(given))
        return {output or "output": answer.astype(str) if answer.dtype == object else answer}

    return ask


@contextmanager
def _started(plan: ModelPlan) -> Iterator[None]:
    """The program that serves the address, if one is to be started; it ends with the guard."""
    if not plan.command:
        yield
        return
    from titer.models.adapters.http_client import Client
    from titer.models.adapters.http_protocols import read_metadata
    from titer.models.adapters.http_terms import Service

    assert plan.kserve is not None
    terms = Service(timeout=plan.timeout, retries=0, token_env=plan.token_env, ca=plan.ca)
    try:
        process = subprocess.Popen(plan.command, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise GuardError(
            "a program that serves the model", str(error.strerror), "correct 'command'", code="model.command"
        ) from error
    try:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                read_metadata(Client(plan.kserve, terms))
                break
            except EndpointError as error:
                if process.poll() is not None or time.monotonic() > until:
                    raise GuardError(
                        "an endpoint once 'command' runs",
                        "none",
                        "see its messages",
                        code="model.command",
                    ) from error
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _safe(ask: Ask) -> Ask:
    """The same, but what goes wrong is told by its kind alone: the words of an error may quote the object."""

    def asked(given: Any) -> Any:
        try:
            return ask(given)
        except Exception as error:
            raise GuardError(
                "an answer of the model",
                type(error).__name__,
                "see that it runs and takes what 'prepare' makes; the decision is noted",
                code="model.failed",
            ) from error

    return asked

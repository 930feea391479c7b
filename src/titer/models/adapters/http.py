"""Adapter for models behind an HTTP endpoint: scores or labels only."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from titer.cases.case import Array
from titer.cases.space import Space
from titer.errors import EndpointError, PlanError
from titer.models.adapters.arrays import ArrayModel, numbers
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.http_client import Client
from titer.models.adapters.http_protocols import (
    DATATYPES,
    Metadata,
    OpenInference,
    PlainJson,
    Wire,
    find_input,
    find_output,
    read_metadata,
)
from titer.models.adapters.intake import Layout, find_layout
from titer.models.adapters.probe import answers_digest, probe_inputs
from titer.models.model import Access, to_tensor
from titer.models.task import Task

Form = Literal["kserve", "json"]


class EndpointModel(ArrayModel):
    """A model that somebody serves: the open inference protocol of KServe and Triton, or plain JSON.

    Equal cases of one question are sent once. `queries` counts the cases sent, repeats of failed requests included.
    The digest is made of address, metadata and the answers to the probes: a model that is replaced behind its address
    gets another one.

    Arguments
        client: the endpoint and the terms on which it is asked. For "kserve" its address ends in the model's name (or
            version); for "json" it is where predictions are asked for.
        space, task, mean, std, layout, channels, text, probabilities, classes: see `ArrayModel`.
        protocol: "kserve" or "json".
        input: name of the input tensor, where metadata name none or several ("kserve").
        output: name of the output tensor, or of the entry of a prediction ("json").
        batch: most cases per request; a fixed batch in the metadata is kept.
        binary: send tensors as bytes ("kserve").
        request_key, answer_key: see `PlainJson`.
        access: "labels" if the endpoint gives decisions only; found from the answers where they are words.
        probes: [n, *shape] cases to look at the answers with; two made-up ones if left out. Each is one query.
    """

    remote = True

    def __init__(
        self,
        client: Client,
        space: Space,
        task: Task,
        *,
        protocol: Form = "kserve",
        name: str = "",
        mean: float | tuple[float, ...] = 0.0,
        std: float | tuple[float, ...] = 1.0,
        layout: Layout | None = None,
        channels: int | None = None,
        text: bool = False,
        probabilities: bool | None = None,
        classes: ClassMap | None = None,
        input: str | None = None,  # noqa: A002 - the protocol's own word
        output: str | None = None,
        batch: int = 32,
        binary: bool = False,
        request_key: str = "instances",
        answer_key: str = "predictions",
        access: Access | None = None,
        probes: Array | None = None,
    ) -> None:
        if protocol not in ("kserve", "json"):
            raise PlanError("a protocol of kserve or json", repr(protocol), "correct 'protocol'")
        if batch < 1:
            raise PlanError("a batch of at least 1", str(batch), "correct 'batch'")
        self.client = client
        self._most, self._fixed = batch, False
        said: Metadata | None = None
        wire: Wire = PlainJson(request_key, answer_key, output)
        kind = np.dtype(np.int64 if space.kind == "tokens" else np.float64)
        if protocol == "kserve":
            said = read_metadata(client)
            port = find_input(said, input)
            wire = OpenInference(port, find_output(said, output, access), binary)
            text = text or (port.datatype == "BYTES" and space.kind == "tokens")
            kind = np.dtype(DATATYPES[port.datatype])
            if not text and layout is None and port.shape:
                layout = find_layout(port.shape[1:], space, channels, client.url)
            if port.shape and port.shape[0] is not None:
                self._most, self._fixed = max(1, port.shape[0]), True
        self.wire = wire
        super().__init__(
            space, task, name=name or (said.name if said and said.name else "endpoint"), mean=mean, std=std,
            layout=layout or "channels-first", channels=channels, text=text, probabilities=probabilities,
            classes=classes, dtype=kind, access=access or "scores",
        )  # fmt: skip
        looked = self._looked(probes, access)
        shown: Any = None if said is None else [said.name, list(said.inputs), list(said.outputs)]
        self.digest = self._identified([client.url, protocol, shown, input, output, looked])

    @property
    def queries(self) -> int:
        """Cases sent so far, repeats included."""
        return self.client.queries

    def ask(self, inputs: Array) -> Array:
        rows = [row if self.text else row.tobytes() for row in inputs]
        first = {row: place for place, row in reversed(list(enumerate(rows)))}
        alone = sorted(first.values())
        where = {rows[place]: number for number, place in enumerate(alone)}
        answers = [
            self._request(inputs[alone[start : start + self._most]]) for start in range(0, len(alone), self._most)
        ]
        widths = {answer.shape[1:] for answer in answers}
        if len(widths) != 1:
            raise EndpointError("answers of one shape", f"shapes {sorted(map(str, widths))}", "check the service")
        return np.concatenate(answers)[[where[row] for row in rows]]

    def _request(self, inputs: Array) -> Array:
        full = inputs
        if self._fixed and len(inputs) < self._most:
            full = np.concatenate((inputs, np.repeat(inputs[:1], self._most - len(inputs), axis=0)))
        answered = self.wire.ask(self.client, full, len(full))
        if answered.shape[:1] != (len(full),):
            raise EndpointError(
                f"{len(full)} answers for {len(full)} cases",
                f"an answer of shape {list(answered.shape)}",
                "check the service; lower 'batch' to 1 if it takes one case at a time",
            )
        if answered.dtype.kind == "f" and not np.isfinite(answered).all():
            bad = ~np.isfinite(answered.reshape(len(full), -1)).all(axis=1)
            raise EndpointError(
                "finite numbers", f"NaN or infinity for {int(bad.sum())} of {len(full)} cases", "check the service"
            )
        return answered[: len(inputs)]

    def _looked(self, probes: Array | None, access: Access | None) -> str:
        """Look at the answers to a few cases: labels or numbers, probabilities or logits, shape; returns their name."""
        cases = probe_inputs(self.space, 2) if probes is None else np.asarray(probes)
        seen = self.ask(self._cast(self.intake(to_tensor(cases, self.space)).numpy()))
        words = seen.dtype.kind in "OUS"
        whole = seen.dtype.kind in "iub" and seen.size == len(seen) and self.task.kind != "regression"
        if access is None and (words or (whole and len(self.task.classes) > 2)):
            self.access = "labels"
            self.notes += ("the endpoint answers with labels",)
        elif access is None and whole:
            raise EndpointError(
                "to know whether the endpoint gives labels or scores",
                f"whole numbers such as {seen.reshape(-1)[:4].tolist()}",
                "set 'access' to labels or scores in the plan",
            )
        self._settle(numbers(seen))
        if self.access == "labels":
            scores = self._answers.labels(numbers(seen), len(cases))
        else:
            if words:
                raise EndpointError(
                    "numbers", f"words such as {str(seen.reshape(-1)[0])[:40]!r}", "set 'access: labels'"
                )
            scores = self._answers.scores(torch.from_numpy(numbers(seen)), len(cases))
        return answers_digest(scores.double().numpy())

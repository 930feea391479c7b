"""Endpoints: a real server on this machine that speaks both protocols."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from adapter_examples import DOSE, FINDINGS, IMAGES, THREE, TWO, FaultyServer, rows, serve_model, serving
from http_examples import client_of, endpoint, logits

from titer.attacks.engine import run
from titer.attacks.noise import Noise
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import EndpointError, ModelError
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.http import EndpointModel
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel


@pytest.fixture
def server() -> Iterator[Any]:
    with serving(FaultyServer(logits, (4,))) as running:
        yield running


@pytest.mark.parametrize("form", ["kserve", "json"])
def test_scores_are_those_of_the_served_model(server: Any, form: str) -> None:
    model = endpoint(server, form)
    np.testing.assert_allclose(model.predict(rows(40, dtype=np.float32)), logits(rows(40, dtype=np.float32)), atol=1e-6)
    assert model.access == "scores"


@pytest.mark.parametrize("form", ["kserve", "json"])
def test_every_case_is_counted_as_the_server_counts_it(server: Any, form: str) -> None:
    model = endpoint(server, form)
    assert (model.queries, server.cases) == (2, 2)
    model.predict(rows(40, dtype=np.float32))
    model.predict(rows(1))
    assert model.queries == server.cases == 43
    batch = Batch.of(rows(5, dtype=np.float32), np.zeros(5, dtype=int))
    run(Noise(), model, batch, ThreatModel(Additive("linf"), 0.1, knowledge="scores"), seed="s")
    server.faults = [(503, {}, b""), "hang up"]
    model.predict(rows(3, seed=8))
    assert model.queries == server.cases
    assert model.client.requests == sum(command == "POST" for command, _, _ in server.seen) + (form == "kserve")
    assert model.client.retried == 2


def test_equal_cases_are_sent_once(server: Any) -> None:
    model = endpoint(server, batch=3)
    before = model.queries
    told = model.predict(np.repeat(rows(4), 5, axis=0))
    assert model.queries - before == 4
    np.testing.assert_allclose(told, np.repeat(logits(rows(4).astype(np.float32)), 5, axis=0), atol=1e-6)


def test_a_second_operating_point_shares_the_count(server: Any) -> None:
    model = endpoint(server)
    model.calibrated(TWO.at(0.5)).predict(rows(3))
    assert model.queries == server.cases == 5


def test_binary_tensors(server: Any) -> None:
    def infer(question: dict) -> dict:
        raise AssertionError("not asked in JSON")

    server.infer = infer
    seen: list[bytes] = []

    def binary(_: Any) -> tuple[int, dict[str, str], bytes]:
        body = seen[-1]
        head = int(body[1])
        told = json.loads(body[0][:head])
        assert told["inputs"][0]["parameters"]["binary_data_size"] == len(body[0]) - head
        inputs = np.frombuffer(body[0][head:], "<f4").reshape(told["inputs"][0]["shape"])
        server.cases += len(inputs)
        scores = logits(inputs).astype("<f8")
        output = {"name": "output", "datatype": "FP64", "shape": list(scores.shape)}
        answer = json.dumps({"outputs": [{**output, "parameters": {"binary_data_size": scores.nbytes}}]}).encode()
        return 200, {"Inference-Header-Content-Length": str(len(answer))}, answer + scores.tobytes()

    def do_post(handler: Any) -> None:
        content = handler.rfile.read(int(handler.headers["Content-Length"]))
        seen.append((content, handler.headers["Inference-Header-Content-Length"]))
        handler.server.faults = [binary]
        handler.reply(200, {})

    class Binary(server.RequestHandlerClass):  # type: ignore[misc,name-defined]
        do_POST = do_post  # noqa: N815

    server.RequestHandlerClass = Binary
    model = endpoint(server, binary=True)
    np.testing.assert_allclose(model.predict(rows(5)), logits(rows(5).astype(np.float32)), atol=1e-6)


def test_labels_and_probabilities_are_told_apart() -> None:
    def served(predict: Any, **settings: Any) -> EndpointModel:
        server = FaultyServer(lambda x: np.zeros((len(x), 2)), (4,))
        server.answers = predict
        stack.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return endpoint(server, "json", **settings)

    stack: list[Any] = []
    try:
        shares = served(lambda x: np.exp(logits(x)) / np.exp(logits(x)).sum(1, keepdims=True))
        assert "probabilities found" in shares.notes[0]
        told = shares.predict(rows(4))
        np.testing.assert_allclose(told[:, 1] - told[:, 0], np.diff(logits(rows(4)))[:, 0], atol=1e-5)
        words = served(lambda x: np.where(np.diff(logits(x))[:, 0] > 0, "PNEUMONIA", "NORMAL"),
                       classes=ClassMap.read({"NORMAL": "healthy", "PNEUMONIA": "sick"}))  # fmt: skip
        assert words.access == "labels"
        assert np.array_equal(words.predict(rows(9)).argmax(1), (np.diff(logits(rows(9)))[:, 0] > 0).astype(int))
        numbered = served(lambda x: (x[:, 0] > 0).astype(int) * 2, task=THREE)
        assert numbered.access == "labels"
        assert set(numbered.predict(rows(9)).argmax(1)) == {0, 2}
        with pytest.raises(EndpointError, match="labels or scores"):
            served(lambda x: (x[:, 0] > 0).astype(int))
        declared = served(lambda x: (x[:, 0] > 0).astype(int), access="labels")
        assert declared.predict(rows(9)).shape == (9, 2)
        dose = served(lambda x: x.sum(1), task=DOSE)
        np.testing.assert_allclose(dose.predict(rows(3))[:, 0], rows(3).sum(1), atol=1e-9)
        found = served(logits, task=FINDINGS, probabilities=False)
        assert found.predict(rows(3)).shape == (3, 2)
        with pytest.raises(ModelError, match="3 score"):
            served(logits, task=THREE)
        with pytest.raises(ModelError, match="label among"):
            served(lambda x: np.array(["ill"] * len(x)))
        entries = served(lambda x: np.array([{"p": row} for row in logits(x).tolist()], dtype=object), output="p")
        np.testing.assert_allclose(entries.predict(rows(3)), logits(rows(3)), atol=1e-5)
    finally:
        for server in stack:
            server.shutdown()
            server.server_close()


def test_metadata_decide_layout_type_and_batch(server: Any) -> None:
    def told(**changes: Any) -> None:
        entry = {"name": "x", "datatype": "FP32", "shape": [-1, 4], **changes}
        server.metadata = lambda: {"name": "m", "inputs": [entry], "outputs": []}

    told(shape=[4, 4])
    model = endpoint(server)
    assert (model._most, model._fixed) == (4, True)
    np.testing.assert_allclose(model.predict(rows(6)), logits(rows(6).astype(np.float32)), atol=1e-6)
    assert model.queries == server.cases == 12
    told(datatype="FP64")
    np.testing.assert_allclose(endpoint(server).predict(rows(6)), logits(rows(6).astype(np.float32)), atol=1e-12)
    told(shape=[-1, 5])
    with pytest.raises(ModelError, match=r"takes \(5\).*shape 4"):
        endpoint(server)
    server.metadata = lambda: {"inputs": [{"name": "a", "datatype": "FP32", "shape": [-1, 5, 7, 1]}]}
    server.predict = lambda x: x.reshape(len(x), -1)[:, :2]
    picture = EndpointModel(client_of(server.kserve), IMAGES, TWO)
    assert picture.intake.layout == "channels-last"
    for wrong in (
        {}, {"inputs": []}, {"inputs": 3}, {"inputs": [{"name": "x"}]}, [],
        {"inputs": [{"name": "x", "datatype": "FP4", "shape": [-1, 4]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}] * 2},
    ):  # fmt: skip
        server.metadata = lambda wrong=wrong: wrong
        with pytest.raises(EndpointError):
            endpoint(server)
    server.metadata = dict
    assert endpoint(server, input="x").wire.input.name == "x"
    server.metadata = lambda: {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "output", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }
    server.predict = logits
    assert endpoint(server).wire.output == "output"
    with pytest.raises(EndpointError, match="named 'scores'"):
        endpoint(server, output="scores")


def test_notes_are_sent_as_words(server: Any) -> None:
    seen: list[Any] = []

    def infer(question: dict) -> dict:
        tensor = question["inputs"][0]
        seen.append(tensor)
        count = len(tensor["data"])
        server.cases += count
        scores = [[0.0, float("fever" in note)] for note in tensor["data"]]
        return {"outputs": [{"name": "p", "datatype": "FP32", "shape": [count, 2], "data": np.ravel(scores).tolist()}]}

    server.infer = infer
    server.metadata = lambda: {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}], "outputs": []}
    notes = Space("tokens", (3,), "word", vocabulary=("", "no", "fever"))
    model = EndpointModel(client_of(server.kserve), notes, TWO, probabilities=False)
    assert model.predict(np.array([[1, 2, 0], [1, 0, 0]])).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert seen[-1] == {"name": "text", "shape": [2, 1], "datatype": "BYTES", "data": ["no fever", "no"]}


def test_digest_follows_address_metadata_and_answers(server: Any) -> None:
    first, again = endpoint(server), endpoint(server)
    assert first.digest == again.digest
    server.predict = lambda x: logits(x) * (1 + 1e-9)
    assert endpoint(server).digest == first.digest
    server.predict = lambda x: logits(x) * 1.1
    assert endpoint(server).digest != first.digest
    assert endpoint(server, "json").digest != endpoint(server).digest


def test_the_example_server_serves_a_good_model() -> None:
    from sklearn.datasets import load_breast_cancer

    cases, truth = load_breast_cancer(return_X_y=True)
    space = Space("table", (30,), "as measured", tuple(cases.min(0) - 1), tuple(cases.max(0) + 1))
    with serving(serve_model.biopsies()) as server:
        model = EndpointModel(client_of(f"{server.address}/v2/models/biopsies"), space, TWO)
        assert (TWO.decide(model.predict(cases)) == truth).mean() > 0.97
        assert model.queries == server.cases
        with pytest.raises(EndpointError, match="HTTP 404: no such model"):
            EndpointModel(client_of(f"{server.address}/v2/models/other"), space, TWO)

"""Endpoints: a real server on this machine that speaks both protocols, and misbehaves on request."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_examples import DOSE, FINDINGS, IMAGES, TABLE, THREE, TWO, FaultyServer, rows, serve_model, serving

from titer.attacks.engine import run
from titer.attacks.noise import Noise
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import EndpointError, ModelError, PlanError
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.http import EndpointModel
from titer.models.adapters.http_client import Client
from titer.models.adapters.http_terms import Service, checked_url, parse_json, retry_after
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

WEIGHT = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0], [-1.0, 1.0]])


def _logits(inputs: np.ndarray) -> np.ndarray:
    return np.asarray(inputs, dtype=np.float64).reshape(len(inputs), -1)[:, :4] @ WEIGHT


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[Any]:
    with serving(FaultyServer(_logits, (4,))) as running:
        yield running


def _client(url: str, clock: Clock | None = None, **terms: Any) -> Client:
    time = clock or Clock()
    return Client(url, Service(**{"timeout": 5.0, **terms}), sleep=time.sleep, clock=time)


def _model(server: Any, form: Any = "kserve", **settings: Any) -> EndpointModel:
    terms = settings.pop("terms", {})
    client = _client(server.kserve if form == "kserve" else server.plain, settings.pop("clock", None), **terms)
    return EndpointModel(client, TABLE, settings.pop("task", TWO), protocol=form, **settings)


@pytest.mark.parametrize("form", ["kserve", "json"])
def test_scores_are_those_of_the_served_model(server: Any, form: str) -> None:
    model = _model(server, form)
    np.testing.assert_allclose(
        model.predict(rows(40, dtype=np.float32)), _logits(rows(40, dtype=np.float32)), atol=1e-6
    )
    assert model.access == "scores"


@pytest.mark.parametrize("form", ["kserve", "json"])
def test_every_case_is_counted_as_the_server_counts_it(server: Any, form: str) -> None:
    model = _model(server, form)
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
    model = _model(server, batch=3)
    before = model.queries
    told = model.predict(np.repeat(rows(4), 5, axis=0))
    assert model.queries - before == 4
    np.testing.assert_allclose(told, np.repeat(_logits(rows(4).astype(np.float32)), 5, axis=0), atol=1e-6)


def test_a_second_operating_point_shares_the_count(server: Any) -> None:
    model = _model(server)
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
        scores = _logits(inputs).astype("<f8")
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
    model = _model(server, binary=True)
    np.testing.assert_allclose(model.predict(rows(5)), _logits(rows(5).astype(np.float32)), atol=1e-6)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_servers_are_asked_again_and_waited_for(server: Any, status: int) -> None:
    clock = Clock()
    model = _model(server, clock=clock)
    server.faults = [(status, {}, b""), (status, {"Retry-After": "7"}, b"slow"), (status, {"Retry-After": "soon"}, b"")]
    assert model.predict(rows(2)).shape == (2, 2)
    assert clock.slept == [0.5, 7.0, 2.0]
    server.faults = [(status, {}, json.dumps({"error": "no\x00 room"}).encode())] * 9
    with pytest.raises(EndpointError, match=rf"within 5 attempts, got HTTP {status}: no room"):
        model.predict(rows(2))
    server.faults = [(status, {"Retry-After": "3600"}, b"")]
    with pytest.raises(EndpointError, match="wait 3600 s"):
        model.predict(rows(2))


def test_broken_connections_and_timeouts_are_tried_again(server: Any) -> None:
    clock = Clock()
    model = _model(server, clock=clock)
    server.faults = ["hang up", (200, {"Content-Length": "500"}, b"{")]
    assert model.predict(rows(2)).shape == (2, 2)
    assert clock.slept == [0.5, 1.0]
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/predict"
        slow = Client(address, Service(timeout=0.05, retries=2), sleep=clock.sleep, clock=Clock())
        with pytest.raises(EndpointError, match=r"within 3 attempts, got ReadTimeout"):
            slow.post(b"{}", "application/json", 2)
        assert slow.queries == 6
    finally:
        silent.close()
    with pytest.raises(EndpointError, match="ConnectError"):
        _client(address, retries=1).post(b"{}", "application/json", 1)


def test_an_answer_that_drips_is_cut_off() -> None:
    class Late:
        def __init__(self) -> None:
            self.now = 0.0

        def __call__(self) -> float:
            self.now += 3.0
            return self.now

    with serving(FaultyServer(_logits, (4,))) as server:
        client = Client(server.plain, Service(timeout=5.0, retries=1), sleep=lambda _: None, clock=Late())
        server.faults = [(200, {}, b" " * 300_000)] * 2
        with pytest.raises(EndpointError, match="no whole answer in 5 s"):
            client.post(json.dumps({"instances": rows(1).tolist()}).encode(), "application/json", 1)


def _json(told: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(told).encode()


def _kserve(**changes: Any) -> tuple[int, dict[str, str], bytes]:
    output = {"name": "output", "datatype": "FP32", "shape": [2, 2], "data": [0.0, 1.0, 2.0, 3.0], **changes}
    return _json({"outputs": [{key: value for key, value in output.items() if value is not None}]})


@pytest.mark.parametrize(
    ("form", "fault", "match"),
    [
        ("json", (200, {}, b"<html>"), "answer in JSON"),
        ("json", (200, {}, b"\xff\xfe\x00"), "answer in JSON"),
        ("json", (200, {}, b"[" * 100_000), "answer in JSON|list under"),
        ("json", (200, {}, b'{"predictions": ' + b"9" * 5000 + b"}"), "answer in JSON|list under"),
        ("json", _json([1, 2]), "under 'predictions'"),
        ("json", _json({"predictions": "no"}), "under 'predictions'"),
        ("json", _json({"predictions": [[0.0, 1.0]]}), "2 answers for 2 cases"),
        ("json", _json({"predictions": [[0.0, 1.0]] * 3}), "2 answers for 2 cases"),
        ("json", _json({"predictions": [[0.0, 1.0], [0.0]]}), "answers of one shape"),
        ("json", _json({"predictions": [[0.0, None], [0.0, 1.0]]}), "numbers, or one word"),
        ("json", _json({"predictions": [["0.1", "0.2"], ["0.1", "0.2"]]}), "numbers, or one word"),
        ("json", _json({"predictions": [{"p": 1}, {"p": 2}]}), "choose an entry with 'output'"),
        ("json", _json({"predictions": []}), "numbers, or one word"),
        ("json", _json({"predictions": [[0.0, float("nan")], [0.0, 1.0]]}), "NaN or infinity for 1 of 2"),
        ("json", _json({"predictions": [[0.0, float("inf")], [0.0, 1.0]]}), "NaN or infinity"),
        ("json", _json({"predictions": [[0.0, 1.0, 2.0]] * 2}), "shape .2, 3."),
        ("json", _json({"predictions": [["sick"], ["sick"]]}), "numbers, or one word"),
        ("json", _json({"predictions": ["sick", "sick"]}), "set 'access: labels'"),
        ("json", (200, {"Content-Encoding": "gzip"}, b"x"), "uncompressed"),
        ("json", (200, {}, b" " * 2_000_000), "at most 1000000 bytes"),
        ("json", (404, {}, json.dumps({"error": "no such model"}).encode()), "HTTP 404: no such model"),
        ("json", (401, {}, b""), "token_env"),
        ("json", (413, {}, b""), "lower 'batch'"),
        ("json", (500, {}, b"{" * 70_000), "HTTP 500"),
        ("json", (200, {"Transfer-Encoding": "chunked", "Content-Length": "1"}, b"zz\r\n"), "attempts|JSON"),
        ("kserve", _json({"error": "x"}), "'outputs' with tensors"),
        ("kserve", _json({"outputs": [3]}), "'outputs' with tensors"),
        ("kserve", _json({"outputs": []}), "'outputs' with tensors"),
        ("kserve", _kserve(name="other"), "named 'output'.*other"),
        ("kserve", _kserve(shape=None), "shape of whole numbers"),
        ("kserve", _kserve(shape=[2, -1]), "shape of whole numbers"),
        ("kserve", _kserve(shape=[10**9, 10**9]), "values for shape"),
        ("kserve", _kserve(shape=[1, 4]), "2 answers for 2 cases"),
        ("kserve", _kserve(data=[0.0, 1.0]), "4 values for shape"),
        ("kserve", _kserve(data=None), "4 values for shape"),
        ("kserve", _kserve(data=["a", "b", "c", "d"]), "FP32 in 'data'"),
        ("kserve", _kserve(datatype="FP8"), "datatype among"),
        ("kserve", _kserve(parameters={"binary_data_size": 16}), "0 bytes"),
        ("kserve", _kserve(parameters={"binary_data_size": -1}), "binary_data_size"),
        ("kserve", (200, {"Inference-Header-Content-Length": "-4"}, b"{}"), "Inference-Header"),
        ("kserve", (200, {"Inference-Header-Content-Length": "99"}, b"{}"), "Inference-Header"),
    ],
)  # fmt: skip
def test_hostile_and_broken_answers_are_refused(server: Any, form: str, fault: Any, match: str) -> None:
    model = _model(server, form, terms={"max_bytes": 1_000_000, "retries": 0})
    server.faults = [fault]
    with pytest.raises(ModelError, match=match) as caught:
        model.predict(rows(2, seed=5))
    assert caught.value.expected
    assert caught.value.remedy


def test_redirects_stay_on_the_host_and_keep_the_question(server: Any) -> None:
    model = _model(server, "json")
    server.faults = [(307, {"Location": server.plain}, b"")]
    assert model.predict(rows(2)).shape == (2, 2)
    for status, location in (
        (307, "http://evil.example/steal"), (308, "https://127.0.0.1/steal"), (302, server.plain), (307, "http://[bad"),
        (307, ""),
    ):  # fmt: skip
        server.faults = [(status, {"Location": location} if location else {}, b"")]
        with pytest.raises(EndpointError, match="give the final address"):
            model.predict(rows(2))
    server.faults = [(307, {"Location": server.plain}, b"")] * 3
    with pytest.raises(EndpointError, match="at most 3 redirects"):
        model.predict(rows(2))


def test_rate_and_budget_are_kept(server: Any) -> None:
    clock = Clock()
    model = _model(server, "json", clock=clock, batch=2, terms={"rate": 4.0, "max_queries": 12})
    model.predict(rows(10))
    assert clock.slept == [0.25] * 5
    before = server.cases
    with pytest.raises(EndpointError, match=r"at most 12 queries.*12 sent and 1 more"):
        model.predict(rows(1, seed=3))
    assert server.cases == before == model.queries == 12


def test_tokens_come_from_the_environment_and_are_never_shown(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITER_TEST_TOKEN", raising=False)
    with pytest.raises(EndpointError, match="TITER_TEST_TOKEN"):
        _client(server.plain, token_env="TITER_TEST_TOKEN")
    monkeypatch.setenv("TITER_TEST_TOKEN", "sesame\nX: y")
    with pytest.raises(EndpointError, match="none that can be sent"):
        _client(server.plain, token_env="TITER_TEST_TOKEN")
    monkeypatch.setenv("TITER_TEST_TOKEN", "sesame")
    model = _model(server, "json", terms={"token_env": "TITER_TEST_TOKEN"})
    assert server.seen[-1][2]["Authorization"] == "Bearer sesame"
    _model(server, "json", terms={"token_env": "TITER_TEST_TOKEN", "token_header": "X-Api-Key"})
    assert server.seen[-1][2]["X-Api-Key"] == "sesame"
    server.faults = [(403, {}, b'{"error": "forbidden"}')]
    with pytest.raises(EndpointError) as caught:
        model.predict(rows(2))
    shown = f"{caught.value!r} {model.client!r} {model.client.service!r} {model.digest} {model.notes}"
    assert "sesame" not in shown


@pytest.mark.parametrize(
    ("url", "terms", "match"),
    [
        ("ftp://127.0.0.1/x", {}, "address such as"),
        ("127.0.0.1:80/x", {}, "address such as"),
        ("https:///x", {}, "address such as"),
        ("http://127.0.0.1:99999/x", {}, "address of an endpoint"),
        ("https://user:sesame@host/x", {}, "without user"),
        ("https://host/x?key=sesame", {}, "token_env"),
        ("http://hospital.example/x", {}, "plain_http"),
        ("http://hospital.example/x", {"token_env": "HOME", "plain_http": True}, "https:// to send a token"),
    ],
)
def test_addresses_that_would_leak_are_refused(url: str, terms: dict, match: str) -> None:
    with pytest.raises(PlanError, match=match) as caught:
        checked_url(url, Service(**terms))
    assert "sesame" not in str(caught.value)
    assert checked_url("http://hospital.example/x", Service(plain_http=True))
    assert checked_url("http://[::1]:80/x/", Service()) == "http://[::1]:80/x"


@pytest.mark.parametrize(
    "terms", [{"timeout": 0}, {"rate": -1}, {"retries": -1}, {"max_queries": 0}, {"max_bytes": 0}, {"wait": -1}]
)
def test_terms_that_cannot_be_are_refused(terms: dict) -> None:
    with pytest.raises(PlanError, match=next(iter(terms))):
        Service(**terms)


def test_certificates_are_verified(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(EndpointError, match="ca"):
        Client("https://127.0.0.1/x", Service(ca=tmp_path / "ca.pem"))
    certificate, key = _self_signed(tmp_path)
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = FaultyServer(_logits, (4,))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    with serving(server):
        url = server.plain.replace("http://", "https://")
        clock = Clock()
        with pytest.raises(EndpointError, match="trusted certificate"):
            _client(url, clock).post(b"{}", "application/json", 1)
        assert clock.slept == []
        trusting = EndpointModel(_client(url, ca=certificate), TABLE, TWO, protocol="json")
        assert trusting.predict(rows(2)).shape == (2, 2)


def _self_signed(folder: Path) -> tuple[Path, Path]:
    x509 = pytest.importorskip("cryptography.x509")
    import ipaddress
    from datetime import timedelta

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_labels_and_probabilities_are_told_apart() -> None:
    def served(predict: Any, **settings: Any) -> EndpointModel:
        server = FaultyServer(lambda x: np.zeros((len(x), 2)), (4,))
        server.answers = predict
        stack.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return _model(server, "json", **settings)

    stack: list[Any] = []
    try:
        shares = served(lambda x: np.exp(_logits(x)) / np.exp(_logits(x)).sum(1, keepdims=True))
        assert "probabilities found" in shares.notes[0]
        told = shares.predict(rows(4))
        np.testing.assert_allclose(told[:, 1] - told[:, 0], np.diff(_logits(rows(4)))[:, 0], atol=1e-5)
        words = served(lambda x: np.where(np.diff(_logits(x))[:, 0] > 0, "PNEUMONIA", "NORMAL"),
                       classes=ClassMap.read({"NORMAL": "healthy", "PNEUMONIA": "sick"}))  # fmt: skip
        assert words.access == "labels"
        assert np.array_equal(words.predict(rows(9)).argmax(1), (np.diff(_logits(rows(9)))[:, 0] > 0).astype(int))
        numbered = served(lambda x: (x[:, 0] > 0).astype(int) * 2, task=THREE)
        assert numbered.access == "labels"
        assert set(numbered.predict(rows(9)).argmax(1)) == {0, 2}
        with pytest.raises(EndpointError, match="labels or scores"):
            served(lambda x: (x[:, 0] > 0).astype(int))
        declared = served(lambda x: (x[:, 0] > 0).astype(int), access="labels")
        assert declared.predict(rows(9)).shape == (9, 2)
        dose = served(lambda x: x.sum(1), task=DOSE)
        np.testing.assert_allclose(dose.predict(rows(3))[:, 0], rows(3).sum(1), atol=1e-9)
        found = served(_logits, task=FINDINGS, probabilities=False)
        assert found.predict(rows(3)).shape == (3, 2)
        with pytest.raises(ModelError, match="3 score"):
            served(_logits, task=THREE)
        with pytest.raises(ModelError, match="label among"):
            served(lambda x: np.array(["ill"] * len(x)))
        entries = served(lambda x: np.array([{"p": row} for row in _logits(x).tolist()], dtype=object), output="p")
        np.testing.assert_allclose(entries.predict(rows(3)), _logits(rows(3)), atol=1e-5)
    finally:
        for server in stack:
            server.shutdown()
            server.server_close()


def test_metadata_decide_layout_type_and_batch(server: Any) -> None:
    def told(**changes: Any) -> None:
        entry = {"name": "x", "datatype": "FP32", "shape": [-1, 4], **changes}
        server.metadata = lambda: {"name": "m", "inputs": [entry], "outputs": []}

    told(shape=[4, 4])
    model = _model(server)
    assert (model._most, model._fixed) == (4, True)
    np.testing.assert_allclose(model.predict(rows(6)), _logits(rows(6).astype(np.float32)), atol=1e-6)
    assert model.queries == server.cases == 12
    told(datatype="FP64")
    np.testing.assert_allclose(_model(server).predict(rows(6)), _logits(rows(6).astype(np.float32)), atol=1e-12)
    told(shape=[-1, 5])
    with pytest.raises(ModelError, match=r"takes \(5\).*shape 4"):
        _model(server)
    server.metadata = lambda: {"inputs": [{"name": "a", "datatype": "FP32", "shape": [-1, 5, 7, 1]}]}
    server.predict = lambda x: x.reshape(len(x), -1)[:, :2]
    picture = EndpointModel(_client(server.kserve), IMAGES, TWO)
    assert picture.intake.layout == "channels-last"
    for wrong in (
        {}, {"inputs": []}, {"inputs": 3}, {"inputs": [{"name": "x"}]}, [],
        {"inputs": [{"name": "x", "datatype": "FP4", "shape": [-1, 4]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}] * 2},
    ):  # fmt: skip
        server.metadata = lambda wrong=wrong: wrong
        with pytest.raises(EndpointError):
            _model(server)
    server.metadata = dict
    assert _model(server, input="x").wire.input.name == "x"
    server.metadata = lambda: {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "output", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }
    server.predict = _logits
    assert _model(server).wire.output == "output"
    with pytest.raises(EndpointError, match="named 'scores'"):
        _model(server, output="scores")


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
    model = EndpointModel(_client(server.kserve), notes, TWO, probabilities=False)
    assert model.predict(np.array([[1, 2, 0], [1, 0, 0]])).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert seen[-1] == {"name": "text", "shape": [2, 1], "datatype": "BYTES", "data": ["no fever", "no"]}


def test_digest_follows_address_metadata_and_answers(server: Any) -> None:
    first, again = _model(server), _model(server)
    assert first.digest == again.digest
    server.predict = lambda x: _logits(x) * (1 + 1e-9)
    assert _model(server).digest == first.digest
    server.predict = lambda x: _logits(x) * 1.1
    assert _model(server).digest != first.digest
    assert _model(server, "json").digest != _model(server).digest


def test_small_parts() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after("Thu, 01 Jan 2026 00:00:09 GMT", now) == 9.0
    assert retry_after("Thu, 01 Jan 2025 00:00:09 GMT", now) == 0.0
    assert retry_after("", now) == retry_after("-3", now) == retry_after("1e9", now) == 0.0
    assert parse_json(b'{"a": 1}') == {"a": 1}
    with pytest.raises(PlanError, match="kserve or json"):
        EndpointModel(_client("http://127.0.0.1/x"), TABLE, TWO, protocol="soap")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="batch"):
        EndpointModel(_client("http://127.0.0.1/x"), TABLE, TWO, batch=0)


def test_the_example_server_serves_a_good_model() -> None:
    from sklearn.datasets import load_breast_cancer

    cases, truth = load_breast_cancer(return_X_y=True)
    space = Space("table", (30,), "as measured", tuple(cases.min(0) - 1), tuple(cases.max(0) + 1))
    with serving(serve_model.biopsies()) as server:
        model = EndpointModel(_client(f"{server.address}/v2/models/biopsies"), space, TWO)
        assert (TWO.decide(model.predict(cases)) == truth).mean() > 0.97
        assert model.queries == server.cases
        with pytest.raises(EndpointError, match="HTTP 404: no such model"):
            EndpointModel(_client(f"{server.address}/v2/models/other"), space, TWO)

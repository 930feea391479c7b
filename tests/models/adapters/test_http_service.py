"""Endpoints that misbehave: busy, broken, hostile; and what may leave this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from adapter_examples import TABLE, TWO, FaultyServer, rows, serving
from http_examples import Clock, client_of, endpoint, logits

from titer.errors import EndpointError, ModelError, PlanError
from titer.models.adapters.http import EndpointModel
from titer.models.adapters.http_client import Client
from titer.models.adapters.http_terms import Service, checked_url, parse_json, retry_after


@pytest.fixture
def server() -> Iterator[Any]:
    with serving(FaultyServer(logits, (4,))) as running:
        yield running


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_servers_are_asked_again_and_waited_for(server: Any, status: int) -> None:
    clock = Clock()
    model = endpoint(server, clock=clock)
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
    model = endpoint(server, clock=clock)
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
        client_of(address, retries=1).post(b"{}", "application/json", 1)


def test_an_answer_that_drips_is_cut_off() -> None:
    class Late:
        def __init__(self) -> None:
            self.now = 0.0

        def __call__(self) -> float:
            self.now += 3.0
            return self.now

    with serving(FaultyServer(logits, (4,))) as server:
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
    model = endpoint(server, form, terms={"max_bytes": 1_000_000, "retries": 0})
    server.faults = [fault]
    with pytest.raises(ModelError, match=match) as caught:
        model.predict(rows(2, seed=5))
    assert caught.value.expected
    assert caught.value.remedy


def test_redirects_stay_on_the_host_and_keep_the_question(server: Any) -> None:
    model = endpoint(server, "json")
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
    model = endpoint(server, "json", clock=clock, batch=2, terms={"rate": 4.0, "max_queries": 12})
    model.predict(rows(10))
    assert clock.slept == [0.25] * 5
    before = server.cases
    with pytest.raises(EndpointError, match=r"at most 12 queries.*12 sent and 1 more"):
        model.predict(rows(1, seed=3))
    assert server.cases == before == model.queries == 12


def test_tokens_come_from_the_environment_and_are_never_shown(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITER_TEST_TOKEN", raising=False)
    with pytest.raises(EndpointError, match="TITER_TEST_TOKEN"):
        client_of(server.plain, token_env="TITER_TEST_TOKEN")
    monkeypatch.setenv("TITER_TEST_TOKEN", "sesame\nX: y")
    with pytest.raises(EndpointError, match="none that can be sent"):
        client_of(server.plain, token_env="TITER_TEST_TOKEN")
    monkeypatch.setenv("TITER_TEST_TOKEN", "sesame")
    model = endpoint(server, "json", terms={"token_env": "TITER_TEST_TOKEN"})
    assert server.seen[-1][2]["Authorization"] == "Bearer sesame"
    endpoint(server, "json", terms={"token_env": "TITER_TEST_TOKEN", "token_header": "X-Api-Key"})
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
    server = FaultyServer(logits, (4,))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    with serving(server):
        url = server.plain.replace("http://", "https://")
        clock = Clock()
        with pytest.raises(EndpointError, match="trusted certificate"):
            client_of(url, clock).post(b"{}", "application/json", 1)
        assert clock.slept == []
        trusting = EndpointModel(client_of(url, ca=certificate), TABLE, TWO, protocol="json")
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


def test_small_parts() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after("Thu, 01 Jan 2026 00:00:09 GMT", now) == 9.0
    assert retry_after("Thu, 01 Jan 2025 00:00:09 GMT", now) == 0.0
    assert retry_after("", now) == retry_after("-3", now) == retry_after("1e9", now) == 0.0
    assert parse_json(b'{"a": 1}') == {"a": 1}
    with pytest.raises(PlanError, match="kserve or json"):
        EndpointModel(client_of("http://127.0.0.1/x"), TABLE, TWO, protocol="soap")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="batch"):
        EndpointModel(client_of("http://127.0.0.1/x"), TABLE, TWO, batch=0)

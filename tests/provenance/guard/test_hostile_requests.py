"""What hostile senders get: a reason code within bounds; and the next sender is served as if nothing had been."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest
from guard_tools import Counting, Hospital
from test_guard_http import WFDB, many, sizes

from titer.provenance.guard import serving
from titer.provenance.guard.http import application
from titer.provenance.guard.intake import Door
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.serving import Server
from titer.provenance.guard.work import guarding, recording

LARGEST = 1 << 20
TEXT = {"Content-Type": "text/plain"}
FHIR = {"Content-Type": "application/fhir+json"}


@pytest.fixture(params=["capture", "guard"], scope="module")
def running(request: pytest.FixtureRequest, hospital: Hospital) -> Iterator[Server]:
    guarded = hospital.guarded(Counting(), hospital.policy("block"), prepare=sizes)
    work = recording(hospital.point, print) if request.param == "capture" else guarding(guarded, print)
    door = Door(None, Limits(object_bytes=LARGEST), memory=2 * LARGEST, seconds=0.5)
    with Server(application(work, door, files=4, instances=4), connections=16) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    # Whatever came, the next one is served.
    with httpx.Client(base_url=running.address, trust_env=False) as client:
        assert client.post("/text", content=b"after all that", headers=TEXT).status_code in (200, 201, 202)


def spoken(server: Server, raw: bytes, *, end: bool = False) -> tuple[int, str]:
    """Status and reason code of what a server answers to raw bytes; 0 where it hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.sendall(raw)
        if end:
            line.shutdown(socket.SHUT_WR)
        told = b""
        try:
            while piece := line.recv(65536):
                told += piece
                if re.search(rb"\r\n\r\n\{.*\}\Z", told, re.DOTALL):
                    break
        except ConnectionResetError:
            pass
    status = int(told.split()[1]) if told else 0
    body = told.partition(b"\r\n\r\n")[2]
    return status, json.loads(body)["code"] if body.startswith(b"{") else ""


def head(path: str = "/text", **headers: str | int) -> bytes:
    told = {"Host": "a", "Content-Type": "text/plain"} | {
        name.replace("_", "-"): each for name, each in headers.items()
    }
    return "\r\n".join([f"POST {path} HTTP/1.1", *(f"{name}: {each}" for name, each in told.items()), "", ""]).encode()


@pytest.mark.parametrize("length", [2**31, 2**63, 10**17, LARGEST + 1])
def test_a_length_beyond_the_limit_is_refused_before_the_body(server: Server, length: int) -> None:
    status, code = spoken(server, head(Content_Length=length))
    assert (status, code) in ((413, "limit.object_bytes"), (400, ""))


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "99999999999999999999999", "1, 2", "١"])
def test_a_length_that_is_none_is_refused(server: Server, length: str) -> None:
    assert spoken(server, head(Content_Length=length))[0] in (400, 413)


def test_pieces_without_end_are_cut_off(server: Server) -> None:
    piece = b"%x\r\n%b\r\n" % (1 << 16, b"a" * (1 << 16))
    assert spoken(server, head(Transfer_Encoding="chunked") + piece * 17) == (413, "limit.object_bytes")
    assert spoken(server, head(Transfer_Encoding="chunked") + b"ffffffffffffffffffffffff\r\n")[0] in (0, 400, 408)


def test_both_a_length_and_pieces_are_not_two_requests(server: Server) -> None:
    """Request smuggling: proxies may believe one, servers the other."""
    inside = head("/text", Content_Length=3) + b"abc"
    raw = head(Content_Length=len(inside) + 5, Transfer_Encoding="chunked") + b"0\r\n\r\n" + inside
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
        line.sendall(raw)
        line.settimeout(1)
        told = b""
        try:
            while piece := line.recv(65536):
                told += piece
        except (TimeoutError, ConnectionResetError):
            pass
    assert told.count(b"HTTP/1.1 20") <= 1


def test_a_body_that_ends_early_or_never(server: Server, hospital: Hospital) -> None:
    before = hospital.ledger.store.size()
    assert spoken(server, head(Content_Length=100) + b"half", end=True)[0] in (0, 400)
    assert spoken(server, head(Content_Length=100) + b"half") == (408, "limit.seconds")
    assert hospital.ledger.store.size() == before


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip", "identity, gzip"])
def test_compressed_bodies_are_not_unfolded(server: Server, encoding: str) -> None:
    bomb = gzip.compress(bytes(100 << 20), 9)
    tracemalloc.start()
    told = spoken(server, head(Content_Length=len(bomb), Content_Encoding=encoding) + bomb[:1000])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told == (415, "unsupported.encoding")
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("path", "media", "raw", "code"),
    [
        ("/text", "text/plain", b"caf\xe9", "malformed.utf8"),
        ("/fhir", "application/fhir+json", b'{"resourceType":"A","x":"\xff"}', "malformed.utf8"),
        ("/fhir", "application/fhir+json", b'{"resourceType":"A","x":1,"x":2}', "malformed.duplicate_key"),
        ("/row", "application/json", b'{"a":1,"a":1}', "malformed.duplicate_key"),
        ("/fhir", "application/fhir+json", b'{"resourceType":"A","x":' + b"[" * 500_000, "limit.depth"),
        ("/row", "application/json", b'{"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "limit.depth"),
        ("/row", "application/json", b'{"a":NaN}', "malformed.json"),
        ("/fhir", "application/fhir+json", b'{"resourceType":"A","x":"\\ud800"}', "malformed.unicode"),
        ("/dicom", "application/dicom", b"MZ" + bytes(126) + b"DICM", "malformed.preamble"),
        ("/dicom", "application/dicom", bytes(128) + b"DICM", "malformed.truncated"),
        ("/signal", "application/edf", b"0       " + b"x" * 300, None),
        ("/x12", "application/edi-x12", b"ISA*00*", None),
    ],
)
def test_malformed_objects_have_a_reason(server: Server, path: str, media: str, raw: bytes, code: str | None) -> None:
    began = time.monotonic()
    with httpx.Client(base_url=server.address, trust_env=False) as client:
        told = client.post(path, content=raw, headers={"Content-Type": media})
    found = told.json().get("code") or told.json()["reasons"][0]
    assert code is None or found == code
    assert found.split(".")[0] in ("malformed", "limit", "unsupported")
    # 202: the guard keeps what it does not understand.
    assert told.status_code in (202, 415, 422)
    assert time.monotonic() - began < 20


def _without_end(body: bytes) -> bytes:
    return body.removesuffix(b"--\r\n")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body[: len(body) // 2], "malformed.multipart"),
        (_without_end, "malformed.multipart"),
        (lambda body: body.replace(b"--cut", b"--other"), "malformed.multipart"),
        (lambda body: b"MZ a program\r\n" + body, "malformed.multipart"),
        (lambda body: body + b"and more", "malformed.multipart"),
        (lambda body: body.replace(b"\r\n", b"\n"), "malformed.multipart"),
        (lambda body: body.replace(b'="a.dat', b'="' + b"../a.dat"), "malformed.file_name"),
        (lambda body: body.replace(b'="a.dat', b'="' + b"a.hea"), "malformed.file_name"),
        (lambda body: body.replace(b'="a.dat', b'="' + b"a\0dat"), "malformed.multipart"),
        (lambda body: body.replace(b'filename="a.hea"', b"filename*=UTF-8''a.hea"), "malformed.content_type"),
        (lambda body: body.replace(b"octet-stream", b"octet-stream\r\nContent-Transfer-Encoding: base64"), None),
        (lambda body: body.replace(b"octet-stream", b"octet-stream\r\nX: " + b"y" * 10_000), "malformed.multipart"),
        (lambda body: body.replace(b"octet-stream", b"octet-stream\r\nContent-Type: a/b"), "malformed.multipart"),
        # A pattern with several runs of blanks would take a quarter of an hour for these.
        (
            lambda body: body.replace(b"octet-stream", b"octet-stream\r\nX:" + b" " * 8000 + b"\0"),
            "malformed.multipart",
        ),
        (lambda body: b"--cut\r\n\r\n\r\n" * 10_000 + b"--cut--", None),
        (lambda _: b"", "malformed.multipart"),
        (lambda _: b"--cut--", "malformed.recording"),
        (lambda body: body.replace(b'="a.hea', b'="a.txt'), "malformed.recording"),
    ],
)
def test_bodies_of_several_parts_are_read_strictly(server: Server, change: object, code: str | None) -> None:
    sent = many(WFDB)
    with httpx.Client(base_url=server.address, trust_env=False) as client:
        told = client.post("/signal", content=change(sent["content"]), headers=sent["headers"])  # type: ignore[operator]
    assert told.status_code >= 400
    assert code is None or told.json()["code"] == code


@pytest.mark.parametrize("boundary", ["", '"', "a" * 71, '"a\r\nb"', "é", '"a "'])
def test_a_boundary_that_is_none_is_refused(server: Server, boundary: str) -> None:
    raw = many(WFDB)["content"]
    media = f"multipart/form-data; boundary={boundary}".encode()
    told = spoken(
        server,
        b"POST /signal HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nContent-Type: %b\r\n\r\n%b"
        % (len(raw), media, raw),
    )
    assert told[0] in (400, 415)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "image/png"}, {"Content-Type": ""}, {"Content-Type": "text/plain; charset=latin-1"},
        {"Content-Type": "text"}, {"Content-Type": "text/plain; a=1; a=2"},
    ],
)  # fmt: skip
def test_other_media_types_are_refused(server: Server, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=server.address, trust_env=False) as client:
        assert client.post("/text", content=b"a", headers=headers).status_code == 415
        assert client.post("/studies", content=b"a", headers=headers).status_code == 415


@pytest.mark.parametrize(
    "more",
    [
        {"Titer-Subject": b"\xff"}, {"Titer-Subject": b""}, {"Titer-Subject": b"a" * 300}, {"Titer-Encounter": b"a\tb"},
        {"Titer-Record": b"zz"}, {"Titer-Record": b"AB" * 32},
    ],
)  # fmt: skip
def test_headers_that_say_nothing_clear_are_refused(server: Server, more: dict[str, bytes]) -> None:
    with httpx.Client(base_url=server.address, trust_env=False) as client:
        told = client.post("/text", content=b"a", headers={**TEXT, **more})  # type: ignore[dict-item]
    assert (told.status_code, told.json()) == (400, {"code": "malformed.header"})


def test_a_request_with_one_bad_part_stores_the_others_and_one_without_an_end_none(
    server: Server, hospital: Hospital
) -> None:
    before = hospital.ledger.store.size()
    sent = many({"a": b"x", "b": b"y"}, "related", kind="application/dicom")
    with httpx.Client(base_url=server.address, trust_env=False) as client:
        told = client.post("/studies", content=sent["content"][:-8], headers=sent["headers"])
        assert (told.status_code, told.json()) == (400, {"code": "malformed.multipart"})
        more = many({str(number): b"x" for number in range(5)}, "related", kind="application/dicom")
        assert client.post("/studies", **more).json() == {"code": "limit.parts"}
        # XML and pixels apart are other ways of STOW-RS, which are not offered.
        assert client.post("/studies", **many({"a": b"x"}, "related", kind="application/dicom+json")).status_code == 415
    assert hospital.ledger.store.size() == before


def test_who_dawdles_is_hung_up_on_and_others_are_served(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_HEAD_SECONDS", 0.3)
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(10)]
    try:
        for line in lines:
            line.sendall(b"POST /text HTTP/1.1\r\nHost: a\r\n")
        with httpx.Client(base_url=server.address, trust_env=False) as client:
            assert client.get("/health").status_code == 200
        for line in lines:
            assert line.recv(100) == b""
    finally:
        for line in lines:
            line.close()


def test_bodies_together_have_a_bound(hospital: Hospital) -> None:
    door = Door(None, Limits(object_bytes=1000), memory=1000, seconds=5)
    with (
        Server(application(recording(hospital.point, print), door)) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow,
        httpx.Client(base_url=server.address, trust_env=False) as client,
    ):
        slow.sendall(head(Content_Length=900) + b"a")
        until = time.monotonic() + 10
        while client.post("/text", content=b"b" * 200, headers=TEXT).status_code != 503 and time.monotonic() < until:
            pass
        told = client.post("/text", content=b"c" * 200, headers=TEXT)
        assert (told.json(), told.headers["retry-after"]) == ({"code": "limit.memory"}, "1")
        slow.sendall(b"a" * 899)
        assert b" 201 " in slow.recv(65536)
        assert client.post("/text", content=b"d" * 200, headers=TEXT).status_code == 201


def test_what_nobody_expected_is_answered_and_told_without_its_words(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from titer.provenance.guard import http

    def fails(*_: object) -> None:
        raise ValueError("Jane Roe, 1970-01-01")

    monkeypatch.setattr(http, "_done", fails)
    door = Door(None, Limits(object_bytes=LARGEST))
    with (
        Server(application(recording(hospital.point, print), door)) as server,
        httpx.Client(base_url=server.address, trust_env=False) as client,
    ):
        told = client.post("/text", content=b"a", headers=TEXT)
    assert (told.status_code, told.json()) == (500, {"code": "guard.failed"})
    assert "ValueError" in caplog.text
    assert "Jane" not in caplog.text

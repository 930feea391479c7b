"""FHIR out: every resource is one that an independent implementation of R4 accepts; files and servers get all."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from trail_tools import A, B, C, D, FhirReceiver, certificates, decision, events

from titer.errors import GuardError, LedgerError
from titer.provenance.guard.trail.event import Event
from titer.provenance.guard.trail.fhir import BASE, DCM, Fhir, audit_event, outcome, provenance, written
from titer.provenance.guard.trail.fhir_server import FhirServer
from titer.provenance.guard.trail.ndjson import NdjsonFolder
from titer.provenance.guard.trail.outbox import Outbox

EVENTS = events()


def _name(event: Event) -> str:
    return f"{event.kind}-{event.verdict}-{event.action}"


def _foreign(name: str) -> Any:
    """A model of the package fhir.resources, of R4B, in which both resources are as in R4."""
    try:
        return getattr(importlib.import_module(f"fhir.resources.R4B.{name.lower()}"), name)
    except ModuleNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("needs fhir.resources: pip install 'titer[dev]'")


@pytest.mark.parametrize("event", EVENTS, ids=_name)
def test_resources_are_valid_r4(event: Event) -> None:
    audit, origin = _foreign("AuditEvent"), _foreign("Provenance")
    told = audit_event(event, "guard-1")
    assert json.loads(audit.model_validate(told).model_dump_json()) == told
    came = provenance(event)
    assert (came is None) == (not event.noted)
    if came is not None:
        assert json.loads(origin.model_validate(came).model_dump_json()) == came


def test_what_is_not_sound_is_a_security_alert() -> None:
    for event in EVENTS:
        told = audit_event(event, "guard-1")
        alert = told["type"] == {"system": DCM, "code": "110113", "display": "Security Alert"}
        assert alert == (not event.sound)
        assert {"system": BASE + "verdict", "code": event.verdict} in told.get("subtype", []) or not event.verdict
    override = next(each for each in EVENTS if each.kind == "override")
    codes = {each["code"] for each in audit_event(override, "guard-1")["subtype"]}
    assert codes == {"override", "altered", "110127"}


@pytest.mark.parametrize(
    ("event", "wanted"),
    [(decision(), "0"), (decision("altered", "banner"), "4"), (decision("altered", "quarantine", "block"), "8"),
     (decision("altered", "pass", "observe"), "12"), (decision("altered", "failed"), "8"),
     (decision("verified", "banner"), "4"), (decision("altered", "banner", "override"), "0"),
     (decision("verified", "pass", "observe", leaf_hash=""), "12")],
)  # fmt: skip
def test_outcomes_say_how_well_harm_was_contained(event: Event, wanted: str) -> None:
    assert outcome(event) == wanted


def test_an_audit_event_holds_what_the_decision_binds() -> None:
    told = audit_event(decision("altered", "banner"), "guard-1")
    assert told["recorded"] == "2023-11-14T22:13:20Z"
    assert told["outcomeDesc"] == "content.px"
    assert told["source"]["observer"]["identifier"] == {"system": BASE + "guard", "value": "guard-1"}
    assert [each["requestor"] for each in told["agent"]] == [False, True]
    assert told["agent"][0]["who"]["identifier"] == {"system": BASE + "ed25519", "value": A}
    assert told["agent"][0]["policy"] == [BASE + "mode/flag"]
    names = {each["name"]: each["what"]["identifier"] for each in told["entity"]}
    assert names == {
        "leaf": {"system": BASE + "leaf-hash", "value": B}, "record": {"system": BASE + "leaf-hash", "value": C},
        "program": {"system": BASE + "program", "value": A}, "tensor": {"system": BASE + "model-input", "value": B},
        "model": {"system": BASE + "model", "value": C}, "output": {"system": BASE + "model-output", "value": D},
    }  # fmt: skip
    assert told["meta"]["tag"] == [{"system": BASE + "leaf-hash", "code": B}]


def test_a_provenance_leads_from_the_output_to_the_record() -> None:
    told = provenance(decision())
    assert told is not None
    assert told["target"][0]["identifier"] == {"system": BASE + "model-output", "value": D}
    assert told["entity"][0]["what"]["identifier"] == {"system": BASE + "leaf-hash", "value": C}
    roles = {each["type"]["coding"][0]["code"]: each["who"]["identifier"]["value"] for each in told["agent"]}
    assert roles == {"verifier": A, "assembler": C}
    held = provenance(decision("altered", "quarantine", "block"))
    assert held is not None
    assert [each["identifier"]["value"] for each in held["target"]] == [B]


def test_clocks_of_any_year_give_an_instant() -> None:
    assert audit_event(decision(time=2**53 - 1), "guard-1")["recorded"] == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize("name", ["", "a name", "-", "x" * 65, "guard/1"])
def test_guards_are_named_plainly(name: str) -> None:
    with pytest.raises(GuardError, match="name for this guard"):
        Fhir(name, print)


# -- files ------------------------------------------------------------------------------------------------------------


def _lines(folder: Path) -> dict[str, list[Any]]:
    return {
        path.name: [json.loads(line) for line in path.read_bytes().splitlines()]
        for path in sorted(folder.glob("*.ndjson"))
    }


def test_files_hold_one_type_each_and_are_rotated(tmp_path: Path) -> None:
    folder = NdjsonFolder(tmp_path / "fhir", largest=20_000)
    listener = Fhir("guard-1", folder.put)
    for each in EVENTS:
        listener(each)
    folder.close()
    found = _lines(tmp_path / "fhir")
    assert len(found) > 4
    assert all(resource["resourceType"] == name.partition("-")[0] for name, told in found.items() for resource in told)
    assert sum(map(len, found.values())) == 2 * len(EVENTS) - 1
    told = [resource for name, each in found.items() if name.startswith("AuditEvent") for resource in each]
    assert told == [audit_event(each, "guard-1") for each in EVENTS]
    assert max(path.stat().st_size for path in (tmp_path / "fhir").glob("*")) < 25_000
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "fhir").glob("*")} == {0}


def test_a_line_that_a_killed_process_left_is_cut_and_the_file_goes_on(tmp_path: Path) -> None:
    for number in range(2):
        folder = NdjsonFolder(tmp_path)
        Fhir("guard-1", folder.put)(decision())
        folder.close()
        path = tmp_path / "AuditEvent-000001.ndjson"
        path.write_bytes(path.read_bytes() + b'{"resourceType": "Aud' * (10_000 if number else 1))
    folder = NdjsonFolder(tmp_path)
    Fhir("guard-1", folder.put)(decision())
    folder.close()
    assert len(_lines(tmp_path)["AuditEvent-000001.ndjson"]) == 3


def test_a_disk_that_fails_leaves_whole_lines_and_the_next_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = NdjsonFolder(tmp_path)
    raw = written(audit_event(decision(), "guard-1"))
    folder.put(raw)
    whole = os.write
    left = [1]

    def short(handle: int, data: Any) -> int:
        if left[0]:
            left[0] = 0
            return whole(handle, bytes(data)[:40])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(LedgerError, match="room for a line"):
        folder.put(raw)
    monkeypatch.setattr(os, "write", whole)
    folder.put(raw)
    folder.close()
    assert len(_lines(tmp_path)["AuditEvent-000001.ndjson"]) == 2


def test_a_folder_is_of_one_process_and_takes_resources_alone(tmp_path: Path) -> None:
    folder = NdjsonFolder(tmp_path)
    with pytest.raises(GuardError, match="another process"):
        NdjsonFolder(tmp_path)
    for raw in (b"{}", b'{"resourceType": "../x"}', b'{"resourceType":\n"AuditEvent"}'):
        with pytest.raises(GuardError, match="FHIR resource"):
            folder.put(raw)
    folder.close()


# -- a server ---------------------------------------------------------------------------------------------------------


def test_a_server_gets_every_resource_once_though_answers_are_lost(tmp_path: Path) -> None:
    with FhirReceiver(statuses=[201, 599, 503, 401, 429, 201, 302]) as receiver:
        server = FhirServer(receiver.url, token=lambda: "secret-token")
        with Outbox(tmp_path / "fhir.sqlite", server.send, first=0.01, longest=0.02) as outbox:
            listener = Fhir("guard-1", outbox.put)
            told = [decision(leaf_hash=f"{number:064x}") for number in range(5)]
            for each in told:
                listener(each)
            assert outbox.drain(30)
            counts = outbox.counts
        server.close()
    assert (counts.waiting, counts.refused, counts.sent, counts.failures) == (0, 0, 10, 5)
    wanted = sorted(written(each) for event in told for each in (audit_event(event, "guard-1"), provenance(event)))  # type: ignore[arg-type]
    assert sorted(raw for _, raw in receiver.kept.values()) == wanted
    assert {path for path, _ in receiver.kept.values()} == {"/fhir/AuditEvent", "/fhir/Provenance"}
    assert {each["Authorization"] for each in receiver.asked} == {"Bearer secret-token"}
    assert {each["Content-Type"] for each in receiver.asked} == {"application/fhir+json"}


def test_what_a_server_refuses_is_kept_and_the_others_go_on(tmp_path: Path) -> None:
    with FhirReceiver(statuses=[201, 422]) as receiver:
        server = FhirServer(receiver.url)
        with Outbox(tmp_path / "fhir.sqlite", server.send, first=0.01) as outbox:
            for number in range(2):
                Fhir("guard-1", outbox.put)(decision(leaf_hash=f"{number:064x}"))
            assert outbox.drain(30)
            assert (outbox.counts.refused, outbox.counts.sent) == (1, 3)
            outbox.retry()
            assert outbox.drain(30)
            assert (outbox.counts.refused, outbox.counts.sent) == (0, 4)
        server.close()
    assert len(receiver.kept) == 4


def test_an_answer_without_end_is_not_read() -> None:
    """A hostile server would fill the memory of the guard, or hold its queue up for ever."""
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                while not line.recv(65536).endswith(b"}"):
                    pass
                line.sendall(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
                try:
                    while True:
                        line.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                except OSError:
                    stopped.set()

        stopped = threading.Event()
        threading.Thread(target=serve, daemon=True).start()
        server = FhirServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server.send([written(audit_event(decision(), "guard-1"))])
        assert stopped.wait(20)
        server.close()


@pytest.mark.parametrize(
    "url",
    ["http://fhir.example/r4", "ftp://fhir.example", "fhir.example", "https://user:word@fhir.example/", "https://x/?a"],
)
def test_addresses_that_would_give_the_trail_away_are_refused(url: str) -> None:
    with pytest.raises(GuardError) as caught:
        FhirServer(url)
    assert caught.value.code == "trail.address"
    assert "word" not in str(caught.value)


def test_a_server_of_a_stranger_is_not_told(tmp_path: Path) -> None:
    import ssl
    from http.server import HTTPServer

    from trail_tools import FhirReceiver as Receiver

    made = certificates(tmp_path)
    with Receiver() as receiver:
        inner: HTTPServer = receiver._server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*made.stranger)
        inner.socket = context.wrap_socket(inner.socket, server_side=True)
        server = FhirServer(f"https://localhost:{inner.server_address[1]}/fhir", authorities=made.authority, timeout=5)
        with pytest.raises(GuardError) as caught:
            server.send([written(audit_event(decision(), "guard-1"))])
        server.close()
    assert caught.value.code == "trail.unreachable"
    assert not receiver.kept

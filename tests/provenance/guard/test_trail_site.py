"""All ways out of a guard together, as a site sets them up."""

from __future__ import annotations

import shutil
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from guard_tools import Counting, Hospital
from trail_tools import FhirReceiver, SyslogReceiver, certificates, decision, events

from titer.errors import GuardError
from titer.provenance.guard.trail.event import Event
from titer.provenance.guard.trail.site import Settings, Trail
from titer.provenance.guard.trail.spool import Spool, packed, unpacked


def test_a_decision_goes_every_way_that_the_site_has_named(hospital: Hospital, tmp_path: Path) -> None:
    pem = certificates(tmp_path)
    (tmp_path / "token").write_text("fhir-token\n")
    hospital.point.capture(b"every way", "text")
    with FhirReceiver() as fhir, SyslogReceiver(pem, mutual=True) as syslog:
        told = {
            "source": "guard-1", "folder": str(tmp_path / "trail"), "fhir": fhir.url, "syslog": "localhost",
            "syslog_port": syslog.port, "metrics_port": 0, "authorities": str(pem.authority),
            "certificate": str(pem.client[0]), "key": str(pem.client[1]), "fhir_token": str(tmp_path / "token"),
        }  # fmt: skip
        with Trail(Settings.of(told), hospital.ledger) as trail:
            guarded = hospital.guarded(Counting(), listeners=trail.listeners)
            trail.watch(guarded.listeners)
            assert guarded(b"every way", "text").verdict == "verified"
            assert guarded.listeners.failed == {}
            assert trail.drain(60)
            with urllib.request.urlopen(f"http://127.0.0.1:{trail.metrics_port}/metrics") as answer:
                text = answer.read()
        assert (len(fhir.kept), len(syslog.messages)) == (2, 1)
        assert fhir.asked[0]["Authorization"] == "Bearer fhir-token"
    assert b'titer_guard_decisions_total{action="pass",mode="flag",verdict="verified"} 1.0' in text
    assert b"titer_ledger_entries" in text
    names = {path.name for path in (tmp_path / "trail" / "fhir").glob("*.ndjson")}
    assert names == {"AuditEvent-000001.ndjson", "Provenance-000001.ndjson"}


def test_receivers_that_are_away_change_no_answer_and_are_told_later(hospital: Hospital, tmp_path: Path) -> None:
    pem = certificates(tmp_path)
    hospital.point.capture(b"away", "text")
    with FhirReceiver() as gone:
        url = gone.url
    settings: dict[str, Any] = {
        "source": "guard-1",
        "folder": tmp_path / "trail",
        "syslog": "localhost",
        "files": False,
    }
    with Trail(Settings(**settings, fhir=url, syslog_port=1, authorities=pem.authority)) as trail:
        guarded = hospital.guarded(Counting(), listeners=trail.listeners)
        assert guarded(b"away", "text").verdict == "verified"
        assert trail.queues["events"].drain(60)
        assert {name: each.counts.waiting for name, each in trail.queues.items()} == {"events": 0, "fhir": 2, "atna": 1}
        assert guarded.listeners.failed == {}
    with FhirReceiver() as fhir, SyslogReceiver(pem) as syslog:
        more = {"fhir": fhir.url, "syslog_port": syslog.port, "authorities": pem.authority}
        with Trail(Settings(**settings, **more)) as trail:
            assert trail.drain(60)
        assert (len(fhir.kept), len(syslog.messages)) == (2, 1)


@pytest.mark.parametrize(
    "more",
    [{"souce": "x"}, {"source": "a name"}, {"fhir": "http://fhir.example"},
     {"metrics_port": 0, "metrics_host": "0.0.0.0"},
     {"fhir": "https://fhir.example", "fhir_token": "/none"}, {"syslog": "x", "certificate": "/none"}],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused_and_leave_nothing_held(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(GuardError):
        Trail(Settings.of({"source": "guard-1", "folder": str(tmp_path)} | more))
    Trail(Settings("guard-1", tmp_path)).close()


def test_nothing_is_told_to_whom_nobody_named(tmp_path: Path) -> None:
    with Trail(Settings("guard-1", tmp_path / "trail", files=False)) as trail:
        assert (trail.queues, trail.metrics_port, len(trail.listeners)) == ({}, None, 1)
    assert not (tmp_path / "trail").exists()


@pytest.mark.parametrize("event", events(), ids=lambda event: f"{event.kind}-{event.verdict}-{event.action}")
def test_events_come_out_of_the_spool_as_they_went_in(event: Event) -> None:
    assert unpacked(packed(event)) == event


def test_a_killed_process_tells_the_rest_when_the_spool_is_opened_again(tmp_path: Path) -> None:
    held, told = threading.Event(), []

    def hangs(_: Event) -> None:
        held.wait(60)

    spool = Spool(tmp_path / "events.sqlite", [hangs])
    wanted = [decision(leaf_hash=f"{number:064x}") for number in range(5)]
    for each in wanted:
        spool(each)
    # What a kill would leave: the file as it is now.
    for path in tmp_path.glob("events.sqlite*"):
        shutil.copy(path, tmp_path / path.name.replace("events", "copy"))
    held.set()
    spool.outbox.close()
    again = Spool(tmp_path / "copy.sqlite", [told.append])
    assert again.outbox.drain(30)
    again.outbox.close()
    assert told == wanted


def test_behind_a_spool_too_one_that_fails_holds_up_none(tmp_path: Path) -> None:
    def fails(_: Event) -> None:
        raise ValueError

    told: list[Event] = []
    spool = Spool(tmp_path / "events.sqlite", [fails, told.append])
    for each in events():
        spool(each)
    assert spool.outbox.drain(30)
    spool.outbox.close()
    assert told == events()
    assert spool.listeners.failed == {"fails": len(told)}

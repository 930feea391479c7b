"""All ways out of a guard together, as a site sets them up."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import pytest
from guard_tools import Counting, Hospital
from trail_tools import FhirReceiver, SyslogReceiver, certificates

from titer.errors import GuardError
from titer.provenance.guard.trail.site import Settings, Trail


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
            assert all(each.drain(60) for each in trail.queues.values())
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
        assert [each.counts.waiting for each in trail.queues.values()] == [2, 1]
        assert guarded.listeners.failed == {}
    with FhirReceiver() as fhir, SyslogReceiver(pem) as syslog:
        more = {"fhir": fhir.url, "syslog_port": syslog.port, "authorities": pem.authority}
        with Trail(Settings(**settings, **more)) as trail:
            assert all(each.drain(60) for each in trail.queues.values())
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

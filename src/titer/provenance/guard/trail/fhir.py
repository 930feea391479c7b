"""Decisions and captures as FHIR R4 resources: AuditEvent says that it happened, Provenance what came from what.

References are logical: the hash of a leaf, the digest of a model or of its output, the public key that signed, a keyed
token of who asked. None of them leads to a person without the site's own index and secret.

Sources: HL7 FHIR R4 (4.0.1), AuditEvent and Provenance; codes of DICOM PS3.16 (DCM), of HL7 terminology, and of this
program under `BASE`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from titer.provenance.guard.trail.event import Event, require_source

BASE = "https://titer.readthedocs.io/fhir/"
"""Where the identifiers and codes of this program are named."""

DCM = "http://dicom.nema.org/resources/ontology/DCM"
_HL7 = "http://terminology.hl7.org/CodeSystem/"
_OBJECTS = {"program": "program", "tensor": "model-input", "model": "model", "output": "model-output"}
_LIFE = {"capture": "1", "derive": "8", "decision": "4", "override": "4"}
_ACTIVITY = {"capture": "originate", "derive": "transform", "decision": "verify", "override": "verify"}


class Fhir:
    """A listener that gives the resources of each event to a sink.

    Arguments
        source: the name of this guard, see `require_source`.
        put: takes one resource as bytes, such as `NdjsonFolder.put` or `Outbox.put`.
    """

    def __init__(self, source: str, put: Callable[[bytes], None]) -> None:
        self._source, self._put = require_source(source), put

    def __call__(self, event: Event) -> None:
        """Write both resources."""
        for resource in (audit_event(event, self._source), provenance(event)):
            if resource is not None:
                self._put(written(resource))


def written(resource: Mapping[str, Any]) -> bytes:
    """A resource on one line."""
    return json.dumps(resource, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def outcome(event: Event) -> str:
    """The outcome: 0 success, 4 or 8 a failure whose effect was contained, 12 one that may not have been.

    Source: DICOM PS3.15, A.5.3.11. A banner contains less than a quarantine withholds; what a model saw although it was
    not sound, and what no leaf holds, was not contained.
    """
    if not event.noted:
        return "12"
    if event.sound or event.kind == "override":
        return "0"
    return {"banner": "4", "quarantine": "8", "failed": "8"}.get(event.action, "12")


def audit_event(event: Event, source: str) -> dict[str, Any]:
    """The AuditEvent of an event. What is not sound is DICOM's Security Alert, so that alarms find it."""
    kind = _coding(BASE + "event", event.kind) if event.sound else _coding(DCM, "110113", "Security Alert")
    subtypes = [] if event.sound else [_coding(BASE + "event", event.kind)]
    if event.verdict:
        subtypes.append(_coding(BASE + "verdict", event.verdict))
    if event.kind == "override":
        subtypes.append(_coding(DCM, "110127", "Emergency Override Started"))
    made: dict[str, Any] = {
        "resourceType": "AuditEvent",
        **_tagged(event),
        "type": kind,
        "subtype": subtypes,
        "action": "C" if event.kind in ("capture", "derive") else "E",
        "recorded": when(event.time),
        "outcome": outcome(event),
        "outcomeDesc": ", ".join(event.reasons),
        "agent": _agents(event),
        "source": {
            "observer": {"identifier": _identifier("guard", source)},
            "type": [_coding(_HL7 + "security-source-type", "4", "Application Server")],
        },
        "entity": _entities(event),
    }
    return {name: value for name, value in made.items() if value}


def provenance(event: Event) -> dict[str, Any] | None:
    """The Provenance of an event; None where no leaf holds it, for then nothing could vouch for it."""
    if not event.noted:
        return None
    output = event.digests.get("output")
    targets = [_identifier("leaf-hash", event.leaf_hash)]
    sources = [_identifier("leaf-hash", each) for each in event.refs]
    agents = [("verifier" if event.verdict else "author", _identifier("ed25519", event.signer))]
    if output is not None:
        targets.insert(0, _identifier("model-output", output))
        sources.append(_identifier("model-input", event.digests["tensor"]))
        agents.append(("assembler", _identifier("model", event.digests["model"])))
    agents += [("attester", _identifier("person-token", each)) for each in _people(event)]
    made = {
        "resourceType": "Provenance",
        **_tagged(event),
        "target": [{"identifier": each} for each in targets],
        "recorded": when(event.time),
        "activity": {"coding": [_coding(_HL7 + "iso-21089-lifecycle", _ACTIVITY[event.kind])]},
        "agent": [
            {
                "type": {"coding": [_coding(_HL7 + "provenance-participant-type", role)]},
                "who": {"identifier": who},
            }
            for role, who in agents
        ],
        "entity": [{"role": "source", "what": {"identifier": each}} for each in sources],
    }
    return {name: value for name, value in made.items() if value}


def when(seconds: int) -> str:
    """Seconds since 1970 as an instant.

    >>> when(0)
    '1970-01-01T00:00:00Z'
    """
    # Clocks of capture points may be anything; years of more than four digits have no form in FHIR or XML.
    return datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tagged(event: Event) -> dict[str, Any]:
    """By its tag a receiver knows a message that comes twice."""
    return {"meta": {"tag": [_coding(BASE + "leaf-hash", event.leaf_hash)]}} if event.noted else {}


def _people(event: Event) -> list[str]:
    return [event.digests[each] for each in ("first", "second") if each in event.digests]


def _agents(event: Event) -> list[dict[str, Any]]:
    guard: dict[str, Any] = {
        "type": {"coding": [_coding(DCM, "110150", "Application")]},
        "who": {"identifier": _identifier("ed25519", event.signer)},
        "requestor": False,
    }
    if event.mode:
        guard["policy"] = [f"{BASE}mode/{event.mode}"]
    asked = [("caller-token", event.caller)] if event.caller else []
    asked += [("person-token", each) for each in _people(event)]
    return [guard, *({"who": {"identifier": _identifier(*each)}, "requestor": True} for each in asked)]


def _entities(event: Event) -> list[dict[str, Any]]:
    found: list[tuple[str, dict[str, str], str, list[tuple[str, str]]]] = [
        ("record", _identifier("leaf-hash", each), "13", []) for each in event.refs
    ]
    if event.noted:
        told = [("action", event.action), ("class", event.data)]
        if event.index is not None:
            told.append(("index", str(event.index)))
        found.insert(0, ("leaf", _identifier("leaf-hash", event.leaf_hash), "13", told))
    found += [
        (name, _identifier(system, event.digests[name]), "26" if name in ("program", "model") else "4", [])
        for name, system in _OBJECTS.items()
        if name in event.digests
    ]
    return [
        {
            "what": {"identifier": identifier},
            "type": _coding(_HL7 + "audit-entity-type", "2", "System Object"),
            "role": _coding(_HL7 + "object-role", role),
            "lifecycle": _coding(_HL7 + "dicom-audit-lifecycle", _LIFE[event.kind]),
            "name": name,
            **({"detail": [{"type": kind, "valueString": value} for kind, value in told]} if told else {}),
        }
        for name, identifier, role, told in found
    ]


def _identifier(system: str, value: str) -> dict[str, str]:
    return {"system": BASE + system, "value": value}


def _coding(system: str, code: str, display: str = "") -> dict[str, str]:
    return {"system": system, "code": code, **({"display": display} if display else {})}

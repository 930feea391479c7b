"""Decisions and captures as audit messages of IHE ATNA: the XML of DICOM PS3.15.

What is not sound is a Security Alert (110113), whose form A.5.3.11 prescribes; all else has a code of this program, as
DICOM names no event for it. No patient, host or address is named: the schema does not ask for them, and whoever may
know finds them from the leaf's hash.

Source: DICOM PS3.15, A.5.1 (schema), A.5.2 (conventions), A.5.3.11 (Security Alert).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from xml.etree.ElementTree import Element, SubElement, tostring

from titer.provenance.guard.trail.event import Event, require_source
from titer.provenance.guard.trail.fhir import BASE, outcome, when

_OWN = "titer"
_OBJECTS = {"program": "program", "tensor": "model-input", "model": "model", "output": "model-output"}
_TITLES = {
    "capture": "Capture recorded", "derive": "Derivation recorded", "decision": "Input of a model examined",
    "override": "Withheld input released",
}  # fmt: skip


class Atna:
    """A listener that gives the audit message of each event to a sink.

    Arguments
        source: the name of this guard, see `require_source`.
        put: takes one syslog message as bytes, such as `Outbox.put`.
        frame: makes a syslog message of XML and time, see `titer.provenance.guard.trail.syslog.message`.
    """

    def __init__(self, source: str, put: Callable[[bytes], None], frame: Callable[[bytes, int], bytes]) -> None:
        self._source, self._put, self._frame = require_source(source), put, frame

    def __call__(self, event: Event) -> None:
        """Write the message."""
        self._put(self._frame(audit_message(event, self._source), event.time))


def audit_message(event: Event, source: str) -> bytes:
    """The AuditMessage of an event, as UTF-8 with an XML declaration."""
    root = Element("AuditMessage")
    alert = not event.sound
    made = SubElement(
        root,
        "EventIdentification",
        EventActionCode="C" if event.kind in ("capture", "derive") and not alert else "E",
        EventDateTime=when(event.time),
        EventOutcomeIndicator=outcome(event),
    )
    if alert:
        _coded(made, "EventID", "110113", "DCM", "Security Alert")
    else:
        _coded(made, "EventID", event.kind, _OWN, _TITLES[event.kind])
    if event.kind == "override":
        _coded(made, "EventTypeCode", "110127", "DCM", "Emergency Override Started")
    _coded(made, "EventTypeCode", event.verdict or event.kind, _OWN, event.verdict or event.kind)
    if event.reasons:
        SubElement(made, "EventOutcomeDescription").text = ", ".join(event.reasons)
    _participant(root, f"ed25519:{event.signer}", False, "110150", "DCM", "Application")
    # In an alert those who act are never marked as requestors (A.5.3.11).
    if event.caller:
        _participant(root, f"caller-token:{event.caller}", not alert, "caller", _OWN, "Caller")
    for each in ("first", "second"):
        if each in event.digests:
            token = f"person-token:{event.digests[each]}"
            _participant(root, token, not alert, "releasing-person", _OWN, "Releasing person")
    said = SubElement(root, "AuditSourceIdentification", AuditSourceID=source)
    SubElement(said, "AuditSourceTypeCode", {"csd-code": "4"})
    told = {"action": event.action, "class": event.data, "mode": event.mode}
    told["index"] = "" if event.index is None else str(event.index)
    if alert:
        told = {"Alert Description": f"{event.kind} {event.verdict}".strip(), **told}
    if event.noted:
        _object(root, "leaf", "leaf-hash", event.leaf_hash, told)
    for each in event.refs:
        _object(
            root,
            "record",
            "leaf-hash",
            each,
            {"Alert Description": "the record that it was held against"} if alert else {},
        )
    for name, system in _OBJECTS.items():
        if name in event.digests:
            _object(root, name, system, event.digests[name], {"Alert Description": name} if alert else {})
    declaration = b'<?xml version="1.0" encoding="UTF-8"?>'
    return declaration + tostring(root, encoding="unicode").encode()


def _coded(parent: Element, name: str, code: str, system: str, text: str) -> None:
    told = {"csd-code": code, "codeSystemName": system, "displayName": text, "originalText": text}
    SubElement(parent, name, told)


def _participant(root: Element, user: str, asks: bool, code: str, system: str, text: str) -> None:
    made = SubElement(root, "ActiveParticipant", UserID=user, UserIsRequestor=str(asks).lower())
    _coded(made, "RoleIDCode", code, system, text)


def _object(root: Element, name: str, system: str, value: str, told: dict[str, str]) -> None:
    made = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=f"{BASE}{system}/{value}",
        ParticipantObjectTypeCode="2",
        ParticipantObjectTypeCodeRole="13",
    )
    _coded(made, "ParticipantObjectIDTypeCode", "12", "RFC-3881", "URI")
    SubElement(made, "ParticipantObjectName").text = name
    for kind, value_told in told.items():
        if value_told:
            # Values are base 64, whatever they hold (A.5.1).
            SubElement(made, "ParticipantObjectDetail", type=kind, value=base64.b64encode(value_told.encode()).decode())

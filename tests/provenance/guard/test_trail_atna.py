"""ATNA out: messages of the standard's own schema, framed and delivered over TLS to a receiver that reads as RFCs say.

The grammar below is a table of what DICOM PS3.15, A.5.1 allows: elements in order with how often, attributes with their
form. It is checked against messages that break each rule before it judges ours.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from trail_tools import A, B, C, Certificates, SyslogReceiver, certificates, decision, events

from titer.errors import GuardError
from titer.provenance.guard.trail.atna import Atna, audit_message
from titer.provenance.guard.trail.event import Event
from titer.provenance.guard.trail.fhir import BASE
from titer.provenance.guard.trail.outbox import Outbox
from titer.provenance.guard.trail.syslog import TlsSyslog, message

EVENTS = events()
TOKEN = r"\S(?:.*\S)?"
CODE = {"csd-code!": TOKEN, "codeSystemName!": TOKEN, "displayName": TOKEN, "originalText!": TOKEN}
# element: (children in order, each with how often; attributes, ! for those that must be there; form of its text)
GRAMMAR: dict[str, tuple[str, dict[str, str], str]] = {
    "AuditMessage": (
        "EventIdentification ActiveParticipant+ AuditSourceIdentification ParticipantObjectIdentification*", {}, "",
    ),
    "EventIdentification": (
        "EventID EventTypeCode* EventOutcomeDescription?",
        {"EventActionCode": "[CRUDE]", "EventOutcomeIndicator!": "0|4|8|12",
         "EventDateTime!": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"}, "",
    ),
    "EventID": ("", CODE, ""),
    "EventTypeCode": ("", CODE, ""),
    "EventOutcomeDescription": ("", {}, ".+"),
    "ActiveParticipant": (
        "RoleIDCode* MediaIdentifier?",
        {"UserID!": ".+", "AlternativeUserID": ".*", "UserName": ".*", "UserIsRequestor!": "true|false|0|1",
         "NetworkAccessPointID": TOKEN, "NetworkAccessPointTypeCode": "[1-5]"}, "",
    ),
    "RoleIDCode": ("", CODE, ""),
    "AuditSourceIdentification": (
        "AuditSourceTypeCode*", {"AuditEnterpriseSiteID": TOKEN, "AuditSourceID!": TOKEN}, "",
    ),
    "AuditSourceTypeCode": ("", {"csd-code!": "[1-9]"}, ""),
    "ParticipantObjectIdentification": (
        "ParticipantObjectIDTypeCode ParticipantObjectName ParticipantObjectDetail* ParticipantObjectDescription*",
        {"ParticipantObjectID!": TOKEN, "ParticipantObjectTypeCode": "[1-4]",
         "ParticipantObjectTypeCodeRole": "[1-9]|1[0-9]|2[0-6]", "ParticipantObjectDataLifeCycle": "[1-9]|1[0-5]",
         "ParticipantObjectSensitivity": TOKEN}, "",
    ),
    "ParticipantObjectIDTypeCode": ("", CODE, ""),
    "ParticipantObjectName": ("", {}, TOKEN),
    "ParticipantObjectDetail": (
        "", {"type!": TOKEN, "value!": "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"}, "",
    ),
}  # fmt: skip


def faults(element: ElementTree.Element) -> list[str]:
    """What of a message the schema forbids."""
    if element.tag not in GRAMMAR:
        return [f"element {element.tag}"]
    children, attributes, text = GRAMMAR[element.tag]
    found = []
    order = "".join(f"(?:{each.rstrip('+*?')} ){each[len(each.rstrip('+*?')) :]}" for each in children.split())
    if not re.fullmatch(order, "".join(f"{each.tag} " for each in element)):
        found.append(f"children of {element.tag}")
    allowed = {name.rstrip("!"): form for name, form in attributes.items()}
    found += [f"attribute {name} of {element.tag}" for name in set(element.attrib) - set(allowed)]
    needed = {name[:-1] for name in attributes if name.endswith("!")}
    found += [f"no {name} of {element.tag}" for name in needed - set(element.attrib)]
    found += [
        f"form of {name} of {element.tag}"
        for name, value in element.attrib.items()
        if name in allowed and not re.fullmatch(allowed[name], value)
    ]
    if not re.fullmatch(text, element.text or ""):
        found.append(f"text of {element.tag}")
    return found + [each for child in element for each in faults(child)]


def _parsed(event: Event) -> ElementTree.Element:
    return ElementTree.fromstring(audit_message(event, "guard-1"))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.kind}-{event.verdict}-{event.action}")
def test_messages_follow_the_schema(event: Event) -> None:
    assert faults(_parsed(event)) == []


@pytest.mark.parametrize(
    ("path", "change"),
    [(".", lambda e: e.remove(e.find("ActiveParticipant")) or e.remove(e.find("ActiveParticipant"))),
     (".", lambda e: e.append(e[0])), (".", lambda e: e.set("host", "x")),
     ("EventIdentification", lambda e: e.attrib.pop("EventDateTime")),
     ("EventIdentification", lambda e: e.set("EventDateTime", "yesterday")),
     ("EventIdentification", lambda e: e.set("EventOutcomeIndicator", "3")),
     ("EventIdentification/EventID", lambda e: e.attrib.pop("originalText")),
     ("ActiveParticipant", lambda e: e.set("UserIsRequestor", "True")),
     ("ParticipantObjectIdentification", lambda e: e.remove(e.find("ParticipantObjectName"))),
     ("ParticipantObjectIdentification/ParticipantObjectDetail", lambda e: e.set("value", "no base 64!"))],
)  # fmt: skip
def test_the_grammar_finds_each_fault(path: str, change: object) -> None:
    root = _parsed(decision())
    change(root.find(path))  # type: ignore[operator]
    assert faults(root)


def test_what_is_not_sound_is_the_security_alert_of_the_standard() -> None:
    """PS3.15, A.5.3.11: E, nobody but the reporter may be a requestor, each subject is a described system object."""
    alerts = [each for each in EVENTS if not each.sound]
    assert len(alerts) > 30
    for event in alerts:
        root = _parsed(event)
        identified = root.find("EventIdentification")
        assert identified is not None
        assert identified.find("EventID").attrib["csd-code"] == "110113"  # type: ignore[union-attr]
        assert identified.attrib["EventActionCode"] == "E"
        assert identified.find("EventTypeCode") is not None
        assert {each.attrib["UserIsRequestor"] for each in root.iter("ActiveParticipant")} == {"false"}
        for subject in root.iter("ParticipantObjectIdentification"):
            assert subject.attrib["ParticipantObjectTypeCode"] == "2"
            assert subject.find("ParticipantObjectIDTypeCode").attrib["originalText"] == "URI"  # type: ignore[union-attr]
            assert "Alert Description" in {each.attrib["type"] for each in subject.iter("ParticipantObjectDetail")}


def test_a_message_holds_what_the_decision_binds() -> None:
    root = _parsed(decision("altered", "banner"))
    objects = {
        each.findtext("ParticipantObjectName"): each.attrib["ParticipantObjectID"] for each in root[1:] if len(each) > 1
    }
    assert (objects["leaf"], objects["record"]) == (f"{BASE}leaf-hash/{B}", f"{BASE}leaf-hash/{C}")
    assert objects["model"] == f"{BASE}model/{C}"
    users = [each.attrib["UserID"] for each in root.iter("ActiveParticipant")]
    assert users[0] == f"ed25519:{A}"
    assert users[1].startswith("caller-token:")
    assert root.findtext("EventIdentification/EventOutcomeDescription") == "content.px"
    details = {
        each.attrib["type"]: base64.b64decode(each.attrib["value"]).decode()
        for each in root.iter("ParticipantObjectDetail")
    }
    assert (details["action"], details["class"], details["mode"], details["index"]) == ("banner", "dicom", "flag", "7")


def test_a_syslog_message_has_the_head_of_its_standard() -> None:
    """RFC 5424, section 6, as a pattern; facility 10, severity 5; text marked as UTF-8."""
    raw = message(audit_message(decision(), "guard-1"), 1_700_000_000, host="guard-1")
    head = re.fullmatch(
        rb"<(\d{1,3})>1 (\S{1,64}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) - \xef\xbb\xbf(<\?xml .*)",
        raw,
        re.DOTALL,
    )
    assert head is not None
    assert divmod(int(head[1]), 8) == (10, 5)
    assert head.group(2, 3, 4, 5, 6) == (b"2023-11-14T22:13:20Z", b"guard-1", b"titer", b"-", b"IHE+RFC-3881")
    assert ElementTree.fromstring(head[7]).tag == "AuditMessage"
    with pytest.raises(GuardError):
        message(b"", 0, host="a host with spaces")


# -- delivery ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("pem"))


def _sender(
    pem: Certificates, port: int, mine: str = "", host: str = "localhost", *, farewell: bool = True
) -> TlsSyslog:
    more: dict[str, Any] = {"farewell": farewell}
    if mine:
        certificate, key = getattr(pem, mine)
        more |= {"certificate": certificate, "key": key}
    return TlsSyslog(host, port, authorities=pem.authority, timeout=10, **more)


@pytest.mark.parametrize("polite", [True, False])
@pytest.mark.parametrize("mutual", [True, False])
def test_all_messages_arrive_whole_and_in_order(pem: Certificates, tmp_path: Path, mutual: bool, polite: bool) -> None:
    with SyslogReceiver(pem, mutual=mutual, polite=polite) as receiver:
        send = _sender(pem, receiver.port, "client" if mutual else "", farewell=polite).send
        with Outbox(tmp_path / "atna", send, batch=16, first=0.01) as outbox:
            listener = Atna("guard-1", outbox.put, message)
            for each in EVENTS:
                listener(each)
            assert outbox.drain(60)
            assert outbox.counts.failures == 0
        assert receiver.messages == [message(audit_message(each, "guard-1"), each.time) for each in EVENTS]


def test_a_receiver_that_goes_down_with_unread_bytes_is_sent_them_again(pem: Certificates, tmp_path: Path) -> None:
    with SyslogReceiver(pem, tears=3) as receiver:
        with Outbox(tmp_path / "atna", _sender(pem, receiver.port).send, batch=64, first=0.01) as outbox:
            wanted = [b"<85>1 %d" % number + b"x" * 5000 for number in range(40)]
            for each in wanted:
                outbox.put(each)
            assert outbox.drain(60)
            assert outbox.counts.failures == 3
        assert receiver.messages[-1] == wanted[-1]
        assert [each for each in receiver.messages if each in wanted] == wanted


def test_a_receiver_that_is_away_is_sent_all_when_it_comes(pem: Certificates, tmp_path: Path) -> None:
    with SyslogReceiver(pem) as gone:
        port = gone.port
    with Outbox(tmp_path / "atna", _sender(pem, port).send, first=0.01) as outbox:
        outbox.put(b"kept")
        assert not outbox.drain(0.2)
        assert outbox.counts.failures > 0
    with (
        SyslogReceiver(pem) as receiver,
        Outbox(tmp_path / "atna", _sender(pem, receiver.port).send, first=0.01) as outbox,
    ):
        assert outbox.drain(30)
        assert receiver.messages == [b"kept"]


def test_without_an_answer_to_its_end_a_batch_is_not_delivered(pem: Certificates) -> None:
    with SyslogReceiver(pem, polite=False) as receiver, pytest.raises(GuardError) as caught:
        _sender(pem, receiver.port).send([b"read, perhaps"])
    assert caught.value.code == "trail.unreachable"


@pytest.mark.parametrize("mine", ["", "stranger"])
def test_a_receiver_that_asks_for_certificates_gets_nothing_from_others(pem: Certificates, mine: str) -> None:
    with SyslogReceiver(pem, mutual=True) as receiver:
        with pytest.raises(GuardError) as caught:
            _sender(pem, receiver.port, mine).send([b"never taken"])
        assert caught.value.code == "trail.unreachable"
        assert receiver.messages == []


def test_nothing_is_sent_to_a_stranger_or_under_another_name(pem: Certificates) -> None:
    strange = Certificates(pem.authority, pem.stranger, pem.client, pem.stranger)
    with SyslogReceiver(strange) as receiver, pytest.raises(GuardError):
        _sender(pem, receiver.port).send([b"never sent"])
    with SyslogReceiver(pem) as receiver, pytest.raises(GuardError):
        _sender(pem, receiver.port, host="127.0.0.2").send([b"never sent"])
    assert receiver.messages == []


def test_files_that_cannot_be_used_are_told_at_once(pem: Certificates, tmp_path: Path) -> None:
    for more in ({"authorities": tmp_path / "none"}, {"certificate": pem.client[0]},
                 {"certificate": pem.client[0], "key": pem.server[1]}):  # fmt: skip
        with pytest.raises(GuardError) as caught:
            TlsSyslog("localhost", **more)
        assert caught.value.code == "trail.certificate"

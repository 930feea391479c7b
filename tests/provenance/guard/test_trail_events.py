"""Who is told of what: after the leaf is durable, in codes and digests alone, and never at the cost of an answer."""

from __future__ import annotations

import ast
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from guard_tools import MODEL, PREPARATION, Counting, Hospital

import titer.provenance
from titer.errors import GuardError, LedgerError
from titer.provenance.guard.policy import MODES, TABLE, Finding
from titer.provenance.guard.stages import STAGES
from titer.provenance.guard.trail.codes import CODES, known
from titer.provenance.guard.trail.event import Event, event_of
from titer.provenance.ledger.record import parse


def _told(site: Hospital, mode: str = "flag", **more: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    return site.guarded(Counting(), site.policy(mode, **more), listeners=[events.append]), events


def test_a_decision_is_told_as_its_leaf_says_it(hospital: Hospital) -> None:
    made = hospital.point.capture(b"told", "text")
    guarded, events = _told(hospital)
    answer = guarded(b"told", "text", caller="ward 7")
    (event,) = events
    leaf = parse(answer.leaf)
    assert (event.kind, event.action, event.verdict, event.mode) == ("decision", "pass", "verified", "flag")
    assert (event.leaf_hash, event.refs) == (answer.decision.leaf_hash.hex(), (made.leaf_hash.hex(),))
    assert (event.signer, event.time, event.data) == (leaf.capture_key, leaf.claimed_time, "text")
    assert event.digests == {name: leaf.ext[name] for name in ("program", "tensor", "model", "output")}
    assert (event.digests["model"], event.digests["program"]) == (MODEL, PREPARATION)
    assert event.caller == hospital.index.blinded("caller", "ward 7").hex()
    assert set(event.seconds) == set(STAGES)
    assert min(event.seconds.values()) >= 0
    assert event.sound


def test_listeners_are_told_once_the_leaf_is_durable(hospital: Hospital) -> None:
    hospital.point.capture(b"durable first", "text")
    found: list[bool] = []

    def look(event: Event) -> None:
        queued = hospital.ledger.store.find(event.signer, 0) is not None or hospital.ledger.store.waiting() > 0
        found.append(queued)

    assert hospital.guarded(Counting(), listeners=[look])(b"durable first", "text").verdict == "verified"
    assert found == [True]


@pytest.mark.parametrize("mode", MODES)
def test_actions_are_told_as_they_were_taken(hospital: Hospital, mode: str) -> None:
    guarded, events = _told(hospital, mode)
    guarded(f"unknown in {mode}".encode(), "text")
    (event,) = events
    assert (event.action, event.reasons) == (TABLE["unknown"][MODES.index(mode)], ("record.none",))
    assert event.sound is False


def test_captures_derivations_and_overrides_are_told(hospital: Hospital) -> None:
    events: list[Event] = []
    point = hospital.point_of(hospital.workshop)
    point.listeners = type(point.listeners)([events.append])
    first = point.capture(b"born", "text")
    point.derive(b"made", [first.leaf_hash], program="aa" * 32, parameters="bb" * 32, kind="text")
    assert [(each.kind, each.action, each.data) for each in events] == [
        ("capture", "recorded", "text"), ("derive", "recorded", "text"),
    ]  # fmt: skip
    assert events[1].refs == (first.leaf_hash.hex(),)
    guarded, told = _told(hospital, "block")
    held = guarded(b"never captured", "text").held
    guarded.override(held, "A. Jones", "B. Smith", "needed at once")
    assert [(each.kind, each.action, each.mode) for each in told] == [
        ("decision", "quarantine", "block"), ("override", "banner", "override"),
    ]  # fmt: skip
    assert {"first", "second"} <= set(told[1].digests)
    assert not any(word in repr(told) for word in ("Jones", "Smith", "needed"))


def test_failures_of_model_and_ledger_are_told(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("Zyxwombat")

    hospital.point.capture(b"failing", "text")
    events: list[Event] = []
    for more, model in (({"prepare": broken}, Counting()), ({}, broken)):
        with pytest.raises(RuntimeError):
            hospital.guarded(model, listeners=[events.append], **more)(b"failing", "text")
    assert [each.action for each in events] == ["failed", "failed"]
    assert events[0].reasons == ("prepare.failed",)

    def refuse(*_: Any, **__: Any) -> None:
        raise LedgerError("room", "none", "free some space", code="storage.full")

    monkeypatch.setattr(hospital.ledger, "append", refuse)
    guarded, told = _told(hospital, "observe")
    assert guarded(b"failing", "text").decision is None
    strict, refused = _told(hospital, "flag")
    with pytest.raises(LedgerError):
        strict(b"failing", "text")
    assert [(each.noted, each.sound, each.action) for each in told + refused] == [(False, False, "pass")] * 2


def test_a_listener_that_fails_changes_no_answer(hospital: Hospital, caplog: pytest.LogCaptureFixture) -> None:
    def fails(event: Event) -> None:
        raise ValueError(f"Zyxwombat {event.time}")

    hospital.point.capture(b"listener", "text")
    events: list[Event] = []
    guarded = hospital.guarded(Counting(), listeners=[fails, events.append])
    with caplog.at_level(logging.ERROR):
        answer = guarded(b"listener", "text")
    assert (answer.verdict, answer.action, len(events)) == ("verified", "pass", 1)
    assert guarded.listeners.failed == {"fails": 1}
    assert "a listener failed" in caplog.text
    assert "Zyxwombat" not in caplog.text


def test_an_event_that_cannot_be_made_changes_no_answer(hospital: Hospital) -> None:
    hospital.point.capture(b"strange caller", "text")
    guarded, events = _told(hospital)
    assert guarded(b"strange caller", "text", caller="\ud800").verdict == "verified"
    assert (events, guarded.listeners.failed) == ([], {"event": 1})


def test_words_of_others_leave_as_other(hospital: Hospital) -> None:
    def detector(_: Any) -> Finding:
        return Finding("Zyxwombat, MRN 4471920", 1.0)

    hospital.point.capture(b"detected", "text")
    guarded, events = _told(hospital, detectors=(detector,))
    assert guarded(b"detected", "text").reasons == ("Zyxwombat, MRN 4471920",)
    assert events[0].reasons == ("other",)


@pytest.mark.parametrize(
    "field",
    [{"verdict": "Zyx"}, {"mode": "Zyx"}, {"data": "Zyx"}, {"signer": "Zyx"}, {"caller": "Zyx"}, {"refs": ("Zyx",)},
     {"digests": {"patient": "ab" * 32}}, {"digests": {"model": "Zyx"}}, {"seconds": {"Zyx": 1.0}}, {"action": "Zyx"}],
)  # fmt: skip
def test_an_event_has_no_room_for_a_name(field: dict[str, Any]) -> None:
    event = Event("decision", "pass", "ab" * 32, 0, "verified", "flag")
    with pytest.raises(GuardError) as caught:
        replace(event, **field)
    assert "Zyx" not in str(caught.value)


def test_an_event_is_made_of_records_that_happened(hospital: Hospital) -> None:
    made = hospital.point.capture(b"an event of", "text")
    event = event_of(made.leaf, made.leaf_hash, 7, "recorded")
    assert (event.kind, event.index, event.mode, event.verdict) == ("capture", 7, "", "")


_NO_CODES = re.compile(r"(index|held|ledger)\.(html|json|js|sqlite)|key\.open|record\.once|detector\..*")


def test_every_code_of_the_guard_and_what_it_calls_may_be_told() -> None:
    """Codes that reach a reason: those of the fingerprints, of the guard, and what a look-up in the ledger raises."""
    package = Path(titer.provenance.__path__[0])
    families = {code.partition(".")[0] for code in CODES} - {"content", "identity", "append", "mark", "store", "ledger"}
    looked = [*package.glob("fingerprint/*.py"), *package.glob("guard/*.py"), package / "ledger" / "tiles.py"]
    looked += [package / "ledger" / f"{name}.py" for name in ("merkle", "note", "checkpoint", "receipt", "record")]
    for path in looked:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                word = node.value
                if re.fullmatch(r"[a-z]+\.[a-z0-9_]+", word) and word.partition(".")[0] in families:
                    assert word in CODES or _NO_CODES.fullmatch(word) or _is_setting(word), f"{path.name}: {word}"


def _is_setting(word: str) -> bool:
    """Raised while a guard is set up, or by a command beside it, which no decision follows."""
    return word in {
        "guard.digest", "guard.quarantine", "index.secret", "index.owner", "derive.parents", "key.open", "key.name",
        "key.exists", "opening.erased",
    }  # fmt: skip


def test_detectors_that_come_along_are_told_by_their_code() -> None:
    folder = Path(titer.provenance.__path__[0]) / "guard" / "detectors"
    names = [path.stem for path in folder.glob("[a-z]*.py")]
    assert names
    assert known(f"detector.{name}" for name in names) == tuple(f"detector.{name}" for name in names)

"""The guard around a model: what it binds, and that each part of it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from guard_tools import MODEL, PREPARATION, Counting, Hospital, letters

from titer.errors import GuardError, LedgerError
from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.guard.inprocess import unbound
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.policy import Finding, Policy
from titer.provenance.guard.quarantine import Quarantine
from titer.provenance.guard.view import LedgerView
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.record import Opening, Record, origin_of, parse


def test_answers_of_untouched_inputs_equal_those_without_the_guard(hospital: Hospital) -> None:
    model = Counting()
    guarded = hospital.guarded(model, hospital.policy("block"))
    texts = [f"untouched {number}".encode() for number in range(8)]
    for text in texts:
        hospital.point.capture(text, "text", wait="durable")
    hospital.point.capture(b"the last one", "text")
    for text in texts:
        answer = guarded(text, "text")
        assert answer.action == "pass"
        assert answer.output.tobytes() == Counting()(letters(text)).tobytes()
    assert model.calls == len(texts)


def test_a_decision_binds_record_preparation_input_model_and_output(hospital: Hospital) -> None:
    made = hospital.point.capture(b"bound", "text")
    answer = hospital.guarded(Counting())(b"bound", "text")
    told: dict[str, Any] = {
        "record": made.leaf_hash,
        "program": PREPARATION,
        "tensor": letters(b"bound"),
        "model": MODEL,
        "output": answer.output,
    }
    assert unbound(answer.leaf, **told) == ()
    for name, other in (
        ("record", bytes(32)), ("program", MODEL), ("tensor", letters(b"bounD")), ("model", PREPARATION),
        ("output", answer.output + 1),
    ):  # fmt: skip
        assert unbound(answer.leaf, **(told | {name: other})) == (name,)


# -- ablations: without each part, an attack passes ---------------------------------------------------------------


def test_without_identity_the_swap_passes(hospital: Hospital) -> None:
    hospital.point.capture(b"of patient 1", "text", subject="p1")
    with_it = hospital.guarded(Counting(), hospital.policy("block"))(b"of patient 1", "text", subject="p2")
    without = hospital.guarded(Counting(), hospital.policy("block", identity=()))(b"of patient 1", "text", subject="p2")
    assert (with_it.verdict, without.verdict) == ("mismatch_subject", "verified")


def test_without_signatures_of_known_keys_whoever_can_write_passes(hospital: Hospital) -> None:
    thief = hospital.point_of(Ed25519PrivateKey.generate())
    thief.capture(b"forged", "text")
    anyone = {"captures": {hospital.point.chain.public, thief.chain.public}}
    with_it = hospital.guarded(Counting(), hospital.policy("block"))(b"forged", "text")
    without = hospital.guarded(Counting(), hospital.policy("block", **anyone))(b"forged", "text")
    assert (with_it.verdict, without.verdict) == ("suspect_key", "verified")


def _collude(site: Hospital, raw: bytes) -> tuple[Policy, LedgerView]:
    """A record that is signed by an allowed key and never logged, and a log that says it has it."""
    key = Ed25519PrivateKey.generate()
    opening = Opening.of([("tx.v1", fingerprint_of(raw, "text")["tx"])], {})
    public = Chain(site.ledger, key).public
    record = Record(
        kind="capture",
        origin=origin_of(site.ledger.origin),
        capture_key=public,
        counter=0,
        prev="0" * 64,
        nonce="0" * 32,
        claimed_time=0,
        data="text",
        fp=opening.commitments(),
    )
    leaf = record.sign(key.sign)
    site.index.put(leaf, opening)

    class Lying(LedgerView):
        def find(self, capture_key: str, counter: int) -> tuple[int, bytes] | None:
            return (0, leaf) if capture_key == public else super().find(capture_key, counter)

    return site.policy("block", captures={public}), Lying(site.ledger)


def test_without_the_log_a_colluding_site_passes(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital.point.capture(b"so that the log has a leaf", "text")
    policy, lying = _collude(hospital, b"signed, never logged")
    told = hospital.guarded(Counting(), policy)(b"signed, never logged", "text")
    assert (told.verdict, told.reasons) == ("unknown", ("log.missing",))
    # A log that lies about its entries is caught by the proof ...
    told = hospital.guarded(Counting(), policy, view=lying)(b"signed, never logged", "text")
    assert (told.verdict, told.reasons) == ("forked_log", ("receipt.invalid",))
    # ... and passes without it.
    monkeypatch.setattr("titer.provenance.ledger.receipt.Receipt.check", lambda *_: None)
    assert hospital.guarded(Counting(), policy, view=lying)(b"signed, never logged", "text").verdict == "verified"


def test_without_the_input_digest_a_change_between_check_and_use_passes(hospital: Hospital) -> None:
    hospital.point.capture(b"checked", "text")
    used = letters(b"checked")
    used[0] += 1
    model = Counting()
    guarded = hospital.guarded(model, hospital.policy("block"))
    with_it = guarded(b"checked", "text", tensor=used)
    assert (with_it.verdict, with_it.reasons, model.calls) == ("altered", ("tensor.mismatch",), 0)
    assert guarded(b"checked", "text", tensor=letters(b"checked")).action == "pass"
    # Without it: the check looks at the bytes, the model at the array.
    assert guarded._decider.decide(b"checked", "text").verdict == "verified"
    assert not np.array_equal(Counting()(used), Counting()(letters(b"checked")))


def test_what_the_preparation_keeps_cannot_be_changed_under_the_model(hospital: Hospital) -> None:
    hospital.point.capture(b"shared", "text")
    kept = letters(b"shared").copy()
    seen = []

    def model(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        kept[:] = 0
        seen.append(values.copy())
        return values

    hospital.guarded(model, prepare=lambda _: kept)(b"shared", "text")
    assert np.array_equal(seen[0], letters(b"shared"))


# -- detectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "action"), [("observe", "pass"), ("flag", "banner"), ("block", "quarantine")])
@pytest.mark.parametrize("fails", [False, True])
def test_detectors_make_the_guard_more_cautious(hospital: Hospital, mode: str, action: str, fails: bool) -> None:
    def detector(case: Any) -> Finding | None:
        if fails:
            raise RuntimeError("broken")
        return Finding("detector.test", case.tensor.sum())

    hospital.point.capture(b"suspicious", "text")
    guarded = hospital.guarded(Counting(), hospital.policy(mode, detectors=(detector,)))
    answer = guarded(b"suspicious", "text")
    assert (answer.verdict, answer.action) == ("verified", action)
    assert answer.reasons == (("detector.failed",) if fails else ("detector.test",))
    assert bool(answer.banner) == (action != "pass")


def test_detectors_cannot_help_what_is_altered(hospital: Hospital) -> None:
    made = hospital.point.capture(b"no fever at all", "text")
    asked = []
    policy = hospital.policy("block", detectors=(asked.append,))
    answer = hospital.guarded(Counting(), policy)(b"fever after all", "text", expected=made.leaf_hash)
    assert (answer.action, asked) == ("quarantine", [])


def test_detectors_cannot_change_what_the_model_sees(hospital: Hospital) -> None:
    def detector(case: Any) -> None:
        case.tensor[:] = 0

    hospital.point.capture(b"left alone", "text")
    answer = hospital.guarded(Counting(), hospital.policy(detectors=(detector,)))(b"left alone", "text")
    assert np.array_equal(answer.output, Counting()(letters(b"left alone")))


# -- overriding, limits, failures ---------------------------------------------------------------------------------


def test_two_people_together_may_override_and_that_is_a_leaf(hospital: Hospital) -> None:
    model = Counting()
    guarded = hospital.guarded(model, hospital.policy("block"))
    held = guarded(b"never captured", "text")
    for first, second in (
        ("A. Jones", "a. jones "), ("A. Jones", ""), ("A. Jones", "A.\u200bJones"), ("A. Jones", "\uff21 Jones"),
        (".", "A. Jones"),
    ):  # fmt: skip
        with pytest.raises(GuardError, match="two people"):
            guarded.override(held.held, first, second, "emergency")
    with pytest.raises(GuardError, match="reason"):
        guarded.override(held.held, "A. Jones", "B. Smith", " ")
    assert model.calls == 0
    answer = guarded.override(held.held, "A. Jones", "B. Smith", "emergency")
    with pytest.raises(GuardError, match="released already"):
        guarded.override(held.held, "A. Jones", "B. Smith", "emergency")
    assert np.array_equal(answer.output, Counting()(letters(b"never captured")))
    leaf = parse(answer.leaf)
    assert (leaf.ext["mode"], leaf.ext["verdict"]) == ("override", "unknown")
    assert leaf.ext["first"] != leaf.ext["second"]
    assert held.decision is not None
    assert leaf.refs == (held.decision.leaf_hash.hex(),)
    assert b"Jones" not in answer.leaf
    assert answer.banner
    quarantine = guarded._quarantine
    assert quarantine is not None
    assert held.held not in [each.name for each in quarantine.held()]


def test_what_is_too_large_or_asked_too_often_is_refused_with_a_reason(hospital: Hospital) -> None:
    guarded = hospital.guarded(Counting(), limits=Limits(object_bytes=10, rate=1, burst=2, clock=lambda: 0.0))
    answers = [guarded(raw, "text", caller="ward") for raw in (b"x" * 11, b"short", b"short")]
    assert [each.reasons[0] for each in answers] == ["limit.object_bytes", "record.none", "limit.rate"]
    assert [each.output is None for each in answers] == [True, False, True]


def test_a_failing_preparation_or_model_is_noted_and_raised(hospital: Hospital) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("broken")

    hospital.point.capture(b"fails", "text")
    key = Ed25519PrivateKey.generate()
    for more, model in (({"prepare": broken}, Counting()), ({}, broken)):
        with pytest.raises(RuntimeError, match="broken"):
            hospital.guarded(model, key=key, **more)(b"fails", "text")
    public = Chain(hospital.ledger, key).public
    noted = [hospital.ledger.store.find(public, counter) for counter in (0, 1)]
    assert ["output" in parse(each.leaf).ext for each in noted if each] == [False, False]


def test_no_answer_leaves_without_its_decision(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital.point.capture(b"unnoted", "text")

    def refuse(*_: Any, **__: Any) -> None:
        raise LedgerError("room", "none", "free some space", code="storage.full")

    guards = {mode: hospital.guarded(Counting(), hospital.policy(mode)) for mode in ("observe", "flag", "block")}
    monkeypatch.setattr(hospital.ledger, "append", refuse)
    for mode in ("flag", "block"):
        with pytest.raises(LedgerError):
            guards[mode](b"unnoted", "text")
    assert guards["observe"](b"unnoted", "text").decision is None
    quarantine = guards["block"]._quarantine
    assert quarantine is not None
    before = len(quarantine.held())
    with pytest.raises(LedgerError):
        guards["block"](b"unnoted and unknown", "text")
    assert len(quarantine.held()) == before + 1


def test_settings_that_cannot_work_are_refused(hospital: Hospital, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="quarantine"):
        hospital.guarded(Counting(), quarantine=None)
    with pytest.raises(GuardError, match="64 hexadecimal"):
        hospital.guarded(Counting(), model_digest="v1")
    with pytest.raises(GuardError, match="mode"):
        hospital.policy("off")
    with pytest.raises(GuardError, match="capture"):
        Policy(captures=frozenset())
    with pytest.raises(GuardError, match="withheld"):
        Quarantine(tmp_path).get("../../etc")


def test_withheld_objects_that_changed_are_not_given_back(tmp_path: Path) -> None:
    told: list[Any] = []
    quarantine = Quarantine(tmp_path, told.append)
    held = quarantine.keep({"a.hea": b"head", "../b.dat": b"data"}, "unknown", ("record.none",), decision=bytes(32))
    assert told == [held]
    assert quarantine.read(held) == {"a.hea": b"head", "../b.dat": b"data"}
    assert sorted(path.name for path in (tmp_path / held.name).iterdir()) == ["0", "1", "held.json"]
    (tmp_path / held.name / "1").write_bytes(b"else")
    with pytest.raises(GuardError, match="another"):
        quarantine.read(held)


def test_chains_go_on_where_the_ledger_stands(hospital: Hospital) -> None:
    key = Ed25519PrivateKey.generate()
    for text in (b"first", b"second"):
        hospital.point_of(key).capture(text, "text")
    leaf, _ = Chain(hospital.ledger, key).add("decision", ext={"verdict": "unknown"})
    assert parse(leaf).counter == 2

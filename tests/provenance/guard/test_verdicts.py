"""Every verdict in every mode: what it is found by, and what is done about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from guard_tools import Counting, Hospital, letters

from titer.provenance.guard.policy import MODES, TABLE, VERDICTS, Policy
from titer.provenance.guard.view import LedgerView
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.record import parse

Case = tuple[bytes, dict[str, Any], dict[str, Any], dict[str, Any]]
_NUMBERS = iter(range(10_000))


def _text() -> bytes:
    return f"note {next(_NUMBERS)}: no fever".encode()


def _verified(site: Hospital) -> Case:
    raw = _text()
    site.point.capture(raw, "text", subject="p1")
    return raw, {"subject": "p1"}, {}, {}


def _derived(site: Hospital) -> Case:
    parent = site.point.capture(_text(), "text")
    raw = _text()
    site.deriver.derive(raw, [parent.leaf_hash], program="aa" * 32, parameters="bb" * 32, kind="text")
    return raw, {}, {}, {}


def _altered(site: Hospital) -> Case:
    raw = _text()
    made = site.point.capture(raw, "text")
    return raw.replace(b"no fever", b"a fever"), {"expected": made.leaf_hash}, {}, {}


def _unknown(site: Hospital) -> Case:
    return _text(), {}, {}, {}


def _mismatch_subject(site: Hospital) -> Case:
    raw, _, _, _ = _verified(site)
    return raw, {"subject": "p2"}, {}, {}


def _replayed(site: Hospital) -> Case:
    raw, asked, _, _ = _verified(site)
    first = site.guarded(Counting())(raw, "text", encounter="visit 1", **asked)
    again = site.guarded(Counting())(raw, "text", encounter="visit 1", **asked)
    assert (first.verdict, again.verdict) == ("verified", "verified")
    return raw, asked | {"encounter": "visit 2"}, {}, {}


def _suspect_key(site: Hospital) -> Case:
    raw = _text()
    thief = site.point_of(Ed25519PrivateKey.generate())
    thief.capture(raw, "text")
    thief.capture(_text(), "text")
    with_key = {"captures": {site.point.chain.public, thief.chain.public}, "suspect": {thief.chain.public: 0}}
    return raw, {}, with_key, {}


class _Changed(LedgerView):
    """A log that shows another checkpoint than it published."""

    def __init__(self, site: Hospital, **other: Any) -> None:
        super().__init__(site.ledger)
        self._other = other

    def check(self, note: bytes) -> Checkpoint:
        return dataclasses.replace(super().check(note), **self._other)


def _stale_log(site: Hospital) -> Case:
    raw, asked, _, _ = _verified(site)
    assert site.guarded(Counting())(raw, "text", **asked).verdict == "verified"
    return raw, asked, {}, {"view": _Changed(site, size=1)}


def _forked_log(site: Hospital) -> Case:
    raw, asked, _, _ = _verified(site)
    site.guarded(Counting())(raw, "text", **asked)
    return raw, asked, {}, {"view": _Changed(site, root=bytes(32))}


def _unsupported(site: Hospital) -> Case:
    return b"neither picture nor signal", {"kind": None}, {}, {}


def _error(site: Hospital) -> Case:
    return b"\xff\xfe", {}, {}, {}


_MAKERS: dict[str, Callable[[Hospital], Case]] = {name: globals()[f"_{name}"] for name in VERDICTS}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_is_reached_and_treated_as_the_table_says(hospital: Hospital, verdict: str, mode: str) -> None:
    raw, asked, policy, more = _MAKERS[verdict](hospital)
    model = Counting()
    guarded = hospital.guarded(model, hospital.policy(mode, **policy), **more)
    answer = guarded(raw, **({"kind": "text"} | asked))
    action = TABLE[verdict][MODES.index(mode)]
    assert (answer.verdict, answer.action) == (verdict, action), answer.reasons
    assert model.calls == (action != "quarantine")
    assert (answer.output is None) == (action == "quarantine")
    assert bool(answer.banner) == (action != "pass")
    assert bool(answer.held) == (action == "quarantine")
    if action != "quarantine":
        assert np.array_equal(answer.output, Counting()(letters(raw)))
    decision = parse(answer.leaf)
    assert (decision.kind, decision.ext["verdict"], decision.ext["mode"]) == ("decision", verdict, mode)
    assert ("output" in decision.ext) == (action != "quarantine")
    assert hospital.ledger.store.find(decision.capture_key, decision.counter) is not None


def test_what_is_withheld_is_kept_whole(hospital: Hospital) -> None:
    raw, asked, _, _ = _altered(hospital)
    guarded = hospital.guarded(Counting(), hospital.policy("block"))
    answer = guarded(raw, "text", **asked)
    quarantine = guarded._quarantine
    assert quarantine is not None
    held = quarantine.get(answer.held)
    assert quarantine.read(held) == raw
    assert answer.decision is not None
    assert (held.verdict, held.decision) == ("altered", answer.decision.leaf_hash.hex())


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("unknown_key", "key.unknown"),
        ("revoked", "key.revoked"),
        ("future", "time.future"),
        ("untold", "identity.subject"),
    ],
)
def test_reasons_tell_apart_what_verdicts_share(hospital: Hospital, name: str, code: str) -> None:
    raw, asked, policy = _text(), {}, {}
    point = hospital.point
    if name == "unknown_key":
        point = hospital.point_of(Ed25519PrivateKey.generate())
    elif name == "future":
        point = hospital.point_of(Ed25519PrivateKey.generate(), clock=lambda: 4e9)
        policy = {"captures": {point.chain.public}}
    elif name == "revoked":
        point = hospital.point_of(Ed25519PrivateKey.generate())
        policy = {"captures": {point.chain.public}, "suspect": {point.chain.public: 0}}
    made = point.capture(raw, "text", subject="p1")
    if name != "untold":
        asked = {"subject": "p1"}
    answer = hospital.guarded(Counting(), hospital.policy("flag", **policy))(raw, "text", **asked)
    assert answer.reasons == (code,)
    assert answer.checked.leaf_hash == made.leaf_hash


def test_captures_before_a_revocation_stay_verified(hospital: Hospital) -> None:
    point = hospital.point_of(Ed25519PrivateKey.generate())
    before, after = _text(), _text()
    point.capture(before, "text")
    second = point.capture(after, "text")
    assert second.appended.index is not None
    policy = Policy(captures=frozenset({point.chain.public}), suspect={point.chain.public: second.appended.index})
    guarded = hospital.guarded(Counting(), policy)
    assert [guarded(each, "text").verdict for each in (before, after)] == ["verified", "suspect_key"]


def test_what_is_erased_is_unknown_and_the_rest_stays(hospital: Hospital) -> None:
    gone, stays = _text(), _text()
    made = hospital.point.capture(gone, "text")
    hospital.point.capture(stays, "text")
    hospital.index.erase(made.leaf_hash)
    guarded = hospital.guarded(Counting())
    assert [guarded(each, "text").verdict for each in (gone, stays)] == ["unknown", "verified"]
    found = hospital.ledger.store.find(hospital.point.chain.public, parse(made.leaf).counter)
    assert found is not None
    assert found.leaf == made.leaf


def test_a_derivation_of_what_nobody_captured_does_not_count(hospital: Hospital) -> None:
    raw = _text()
    hospital.deriver.derive(raw, [bytes(32)], program="aa" * 32, parameters="bb" * 32, kind="text")
    answer = hospital.guarded(Counting())(raw, "text")
    assert (answer.verdict, answer.reasons) == ("unknown", ("derive.parent",))


def test_openings_that_fit_no_record_are_not_believed(hospital: Hospital) -> None:
    from titer.provenance.fingerprint import fingerprint_of
    from titer.provenance.ledger.record import Opening

    raw = _text()
    made = hospital.point.capture(_text(), "text")
    hospital.index.erase(made.leaf_hash)
    false = Opening.of([("tx.v1", fingerprint_of(raw, "text")["tx"])], {})
    import sqlalchemy as sa

    with hospital.index._engine.begin() as connection:
        told = {"raw": false.to_json(), "name": made.leaf_hash}
        connection.execute(sa.text("UPDATE openings SET opening = :raw WHERE leaf_hash = :name"), told)
    answer = hospital.guarded(Counting())(raw, "text", expected=made.leaf_hash)
    assert (answer.verdict, answer.reasons) == ("error", ("opening.invalid",))

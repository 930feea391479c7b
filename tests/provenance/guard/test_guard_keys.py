"""The guard follows what the log says of keys: no site's list has to be changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from guard_tools import Counting, Hospital

from titer.errors import GuardError
from titer.provenance.guard.policy import Policy
from titer.provenance.guard.view import LedgerView
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.keychange import bring_in, public_of, retire, revoke

ADMIN = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    yield made
    made.close()


def policy_of(site: Hospital) -> Policy:
    return site.policy("block", administrators=frozenset({public_of(ADMIN)}))


def test_a_key_that_two_have_brought_in_counts_from_there_on_and_until_its_end(site: Hospital) -> None:
    new = site.point_of(Ed25519PrivateKey.generate())
    guarded = site.guarded(Counting(), policy_of(site))

    def seen(*names: str) -> list[tuple[str, tuple[str, ...]]]:
        answers = [guarded(name.encode(), "text") for name in names]
        return [(each.verdict, each.reasons) for each in answers]

    new.capture(b"before", "text")
    assert seen("before") == [("suspect_key", ("key.unknown",))]
    bring_in(site.point.chain, new.chain.public, ADMIN)
    new.capture(b"after", "text")
    site.point.capture(b"overlap", "text")
    assert seen("before", "after", "overlap") == [
        ("suspect_key", ("key.early",)), ("verified", ()), ("verified", ()),
    ]  # fmt: skip
    retire(site.point.chain, site.point.chain.public)
    site.point.capture(b"too late", "text")
    assert seen("overlap", "too late", "after") == [
        ("verified", ()), ("suspect_key", ("key.revoked",)), ("verified", ()),
    ]  # fmt: skip


def test_a_revocation_in_the_log_puts_captures_in_doubt_from_its_index_on(site: Hospital) -> None:
    for each in (b"one", b"two"):
        site.point.capture(each, "text")
    stranger = Chain(site.ledger, Ed25519PrivateKey.generate())
    guarded = site.guarded(Counting(), policy_of(site))
    revoke(stranger, site.point.chain.public, 0)
    assert [guarded(each, "text").verdict for each in (b"one", b"two")] == ["verified", "verified"]
    revoke(Chain(site.ledger, ADMIN), site.point.chain.public, 1)
    answers = [guarded(each, "text") for each in (b"one", b"two")]
    assert [(each.verdict, each.action) for each in answers] == [("verified", "pass"), ("suspect_key", "quarantine")]
    # One that starts anew reads the same log and finds the same.
    again = site.guarded(Counting(), policy_of(site))
    assert [again(each, "text").verdict for each in (b"one", b"two")] == ["verified", "suspect_key"]


def test_what_was_derived_under_a_key_in_doubt_is_in_doubt(site: Hospital) -> None:
    parent = site.point.capture(b"one", "text")
    site.deriver.derive(b"ONE", [parent.leaf_hash], program="aa" * 32, parameters="bb" * 32, kind="text")
    guarded = site.guarded(Counting(), policy_of(site))
    assert guarded(b"ONE", "text").verdict == "derived"
    revoke(Chain(site.ledger, ADMIN), site.point.chain.public, 0)
    assert guarded(b"ONE", "text").verdict == "suspect_key"


def test_a_log_that_keeps_an_entry_back_is_not_believed(site: Hospital) -> None:
    site.point.capture(b"one", "text")
    revoke(Chain(site.ledger, ADMIN), site.point.chain.public, 0)

    class Without(LedgerView):
        def entries(self, start: int, stop: int) -> Iterator[bytes]:
            return (each for each in super().entries(start, stop) if b'"revoke"' not in each)

    answer = site.guarded(Counting(), policy_of(site), view=Without(site.ledger))(b"one", "text")
    assert (answer.verdict, answer.reasons) == ("forked_log", ("log.entries",))


def test_an_administrator_captures_nothing() -> None:
    key = public_of(ADMIN)
    for wrong in ({"administrators": frozenset({key})}, {"administrators": key}):
        with pytest.raises(GuardError) as caught:
            Policy(captures=frozenset({key}), **wrong)  # type: ignore[arg-type]
        assert caught.value.code == "policy.invalid"

"""The guard's verdict on one object: strict parse, fingerprint, look-up, receipt, identity.

Names of digests that say where to look are tried in the private index; what it gives is then proven from the object up
to the signed checkpoint, and nothing on that way is taken on trust.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from titer.errors import FingerprintError, ProvenanceError, RecordError
from titer.provenance.fingerprint import Fingerprint, Limits, explain_difference, fingerprint_of
from titer.provenance.guard.index import Index, Known
from titer.provenance.guard.policy import SOUND, Policy
from titer.provenance.guard.quiet import quiet
from titer.provenance.guard.stages import stage
from titer.provenance.guard.subject import about
from titer.provenance.guard.view import Doubt, Head, View, head_of
from titer.provenance.ledger.keyring import Keyring
from titer.provenance.ledger.merkle import leaf_hash
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Record, origin_of, parse
from titer.provenance.ledger.verify import compare

_LOG = logging.getLogger(__name__)

PLACES = ("px", "cs", "sg", "vx", "tx", "fv", "cl", "tr", "id.instance", "id.record")
"""Digests by which a record is looked for: content itself, or the number of one object."""

_CHANGED = ("differs", "removed", "added")
_DEPTH = 16
_TRIED = 16


@dataclass(frozen=True)
class Decision:
    """What is known about one object.

    Arguments
        verdict: one of `VERDICTS`. reasons: codes, the decisive one first; empty for `verified`.
        sentence: for people; names no value of the object.
        leaf_hash: of the record that the object was held against. receipt: that the record is in the log.
        fingerprint: of the object now. differences: what is not as it was, see `explain_difference`.
    """

    verdict: str
    reasons: tuple[str, ...]
    sentence: str
    leaf_hash: bytes | None = None
    receipt: Receipt | None = None
    fingerprint: Fingerprint | None = None
    differences: tuple[Any, ...] = ()


@dataclass(frozen=True)
class _Match:
    """One record beside the object: what differs."""

    known: Known
    record: Record
    content: tuple[str, ...]
    identity: tuple[str, ...]
    versions: bool

    @property
    def rank(self) -> tuple[bool, int, int]:
        return bool(self.content), len(self.identity), len(self.content)


class Decider:
    """Gives verdicts.

    Arguments
        view: the log. origin: its name, as the site knows it. index: the site's private index.
        policy: what the site asks. limits: how much of an object is read. clock: seconds since 1970.
    """

    def __init__(
        self,
        view: View,
        origin: str,
        index: Index,
        policy: Policy,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.view, self.origin, self.index, self.policy = view, origin, index, policy
        self.limits = limits or Limits()
        self._clock = clock
        self._keyring = Keyring(view.entries, origin, policy.roles, policy.administrators)

    def decide(
        self,
        source: Any,
        kind: str | None = None,
        *,
        subject: str | None = None,
        encounter: str | None = None,
        expected: bytes | None = None,
    ) -> Decision:
        """The verdict on one object; never an exception for what the object or the log holds.

        Arguments
            source, kind: as in `fingerprint_of`. subject: whom it is said to be about, as given at capture.
            encounter: what it is used for; one record serves one encounter.
            expected: leaf hash of the record that it is said to be; no other then counts.
        """
        try:
            with stage("fingerprint"):
                made = fingerprint_of(source, kind, self.limits)
        except FingerprintError as error:
            verdict = "unsupported" if error.code.startswith("unsupported") else "error"
            return Decision(verdict, (error.code,), "It cannot be fingerprinted exactly.")
        except Exception as error:
            _LOG.error("a fingerprint failed", exc_info=quiet(error))
            return Decision("error", ("fingerprint.failed",), "The guard could not read it.")
        try:
            with stage("lookup"):
                found = self._judge(made, subject, encounter, expected)
        except ProvenanceError as error:
            found = Decision("error", (error.code,), "The guard could not look it up.")
        except Exception as error:
            _LOG.error("a look-up failed", exc_info=quiet(error))
            found = Decision("error", ("guard.failed",), "The guard could not look it up.")
        return replace(found, fingerprint=made)

    def fingerprint(self, source: Any, kind: str | None = None) -> Fingerprint | None:
        """The fingerprint of an object; None where there is none."""
        try:
            return fingerprint_of(source, kind, self.limits)
        except Exception as error:
            _LOG.warning("no fingerprint of what is released", exc_info=quiet(error))
            return None

    def _judge(self, made: Fingerprint, subject: str | None, encounter: str | None, expected: bytes | None) -> Decision:
        try:
            head = head_of(self.view, self.index, self.policy, self.origin, self._keyring)
        except RecordError as error:
            return Decision("suspect_key", (error.code,), "The log's checkpoint is not signed as it should be.")
        found = self._find(made, subject, head, expected)
        if head.doubt is not None:
            if found.verdict in SOUND:
                sentence = "The log that vouches for it is itself in doubt."
                found = replace(found, verdict=head.doubt.verdict, reasons=(head.doubt.code,), sentence=sentence)
            else:
                found = replace(found, reasons=(*found.reasons, head.doubt.code))
        if found.verdict in SOUND and encounter is not None:
            assert found.leaf_hash is not None
            if not self.index.use(found.leaf_hash, encounter):
                sentence = "Its record was used for another encounter before."
                found = replace(found, verdict="replayed", reasons=("record.used",), sentence=sentence)
        return found

    def _find(self, made: Fingerprint, subject: str | None, head: Head, expected: bytes | None) -> Decision:
        now = about(made, subject)
        matches = sorted(
            (self._match(known, now) for known in self._candidates(now, expected)), key=lambda match: match.rank
        )
        if not matches:
            return Decision("unknown", ("record.none",), "No record of it is known.")
        best = [match for match in matches if match.rank == matches[0].rank][:_TRIED]
        tried = [self._weigh(match, made, head) for match in best]
        return next((each for each in tried if each.verdict in SOUND), tried[0])

    def _candidates(self, now: Fingerprint, expected: bytes | None) -> Iterable[Known]:
        if expected is not None:
            known = self.index.get(expected)
            found = [] if known is None else [known]
        else:
            places = [each for each in now.digests if each.name in PLACES]
            found = [known for each in places for known in self.index.find(each.label, each.value)]
        return {known.leaf_hash: known for known in found if known.opening is not None}.values()

    def _match(self, known: Known, now: Fingerprint) -> _Match:
        assert known.opening is not None
        record = parse(known.leaf)
        states = compare(now, known.opening, record)
        content = tuple(label for label, state in states.items() if state in _CHANGED and not label.startswith("id."))
        versions = any(state == "version" and not label.startswith("id.") for label, state in states.items())
        asked = self.policy.identity
        identity = tuple(
            label
            for label, state in states.items()
            if label.startswith("id.") and state != "same" and (asked is None or _name(label) in asked)
        )
        return _Match(known, record, content, identity, versions)

    def _weigh(self, match: _Match, made: Fingerprint, head: Head) -> Decision:
        record, opening = match.record, match.known.opening
        assert opening is not None
        told = Decision("verified", (), "It is what was captured.", match.known.leaf_hash)
        if opening.commitments() != dict(record.fp) or record.data != made.kind:
            return replace(told, verdict="error", reasons=("opening.invalid",), sentence="Its opening fits no record.")
        found = self._proven(record, match.known.leaf, head, 0)
        if isinstance(found, Doubt):
            sentence = "The record that would vouch for it cannot be relied on."
            return replace(told, verdict=found.verdict, reasons=(found.code,), sentence=sentence)
        told = replace(told, receipt=found)
        if match.versions:
            sentence = "Its record was made by another version of the rule."
            return replace(told, verdict="unsupported", reasons=("unsupported.version",), sentence=sentence)
        if match.content:
            differences = explain_difference(opening.material, made)
            what = "; ".join(each.sentence for each in differences) or f"{', '.join(match.content)} differ"
            codes = tuple(f"content.{_name(label)}" for label in match.content)
            return replace(told, verdict="altered", reasons=codes, sentence=f"{what}.", differences=differences)
        if match.identity:
            codes = tuple(f"identity.{_name(label)[3:]}" for label in match.identity)
            names = ", ".join(_name(label)[3:] for label in match.identity)
            sentence = f"The content is known, but under another {names}."
            return replace(told, verdict="mismatch_subject", reasons=codes, sentence=sentence)
        if record.kind == "derive":
            return replace(told, verdict="derived", sentence="It was made from what was captured, as its record says.")
        return told

    def _proven(self, record: Record, leaf: bytes, head: Head, depth: int) -> Receipt | Doubt:
        """The receipt of a record and of all that it was derived from, or why it does not count."""
        key = record.capture_key
        speaks = record.kind in ("capture", "derive")
        if not speaks or record.origin != origin_of(head.checkpoint.origin):
            return Doubt("error", "record.origin" if speaks else "record.kind")
        if not head.keys.counts(key, record.kind, head.checkpoint.size):
            return Doubt("suspect_key", "key.unknown")
        there = self.view.find(key, record.counter)
        if there is None:
            return Doubt("unknown", "log.missing")
        index, stored = there
        if stored != leaf:
            return Doubt("forked_log", "log.other_record")
        if index >= head.checkpoint.size:
            return Doubt("stale_log", "receipt.pending")
        try:
            receipt = head.receipt(self.view, index, leaf)
        except RecordError:
            return Doubt("forked_log", "receipt.invalid")
        if not head.keys.counts(key, record.kind, index):
            return Doubt("suspect_key", "key.early")
        if head.keys.revoked(key, index) or index >= self.policy.suspect.get(key, index + 1):
            return Doubt("suspect_key", "key.revoked")
        if record.claimed_time > self._clock() + self.policy.patience:
            return Doubt("suspect_key", "time.future")
        if record.counter:
            before = self.view.find(key, record.counter - 1)
            if before is None or leaf_hash(before[1]).hex() != record.prev:
                return Doubt("suspect_key", "chain.gap")
        return self._parents(record, head, depth) or receipt

    def _parents(self, record: Record, head: Head, depth: int) -> Doubt | None:
        if record.kind == "derive" and depth >= _DEPTH:
            return Doubt("error", "derive.depth")
        for each in record.refs if record.kind == "derive" else ():
            known = self.index.get(bytes.fromhex(each))
            if known is None or leaf_hash(known.leaf).hex() != each:
                return Doubt("unknown", "derive.parent")
            found = self._proven(parse(known.leaf), known.leaf, head, depth + 1)
            if isinstance(found, Doubt):
                return found
        return None


def _name(label: str) -> str:
    return label.rpartition(".v")[0]

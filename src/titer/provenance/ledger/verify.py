"""Whether an object is what was captured: fingerprint, opening, receipt and policy in, one sentence out.

Nothing here asks a network, a clock or a database: whoever holds these four can decide, without the hospital, the
vendor or this program's makers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Literal, Protocol

from titer.errors import RecordError
from titer.provenance.ledger.keys import KINDS, Keys, keys_at
from titer.provenance.ledger.note import ED25519
from titer.provenance.ledger.policy import Accepted, Policy
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Opening, Record, commitment, origin_of
from titer.provenance.ledger.record import verify as verify_record
from titer.provenance.ledger.wording import lines_of

Outcome = Literal["verified", "altered", "unknown", "undecided", "invalid"]
_EXITS: tuple[Outcome, ...] = ("verified", "altered", "unknown", "undecided", "invalid")

State = Literal["same", "differs", "removed", "added", "carriage", "closed", "version"]
"""How a layer stands: as captured, other, gone, new; different only in how the same content is carried; not opened; or
made by another version of its rule."""


class Digest(Protocol):
    """A named digest, as `titer.provenance.fingerprint` makes it."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def value(self) -> bytes: ...


class Fingerprint(Protocol):
    """What is asked of a fingerprint."""

    @property
    def kind(self) -> str: ...
    @property
    def digests(self) -> Sequence[Digest]: ...
    @property
    def notes(self) -> Mapping[str, int]: ...


class Difference(Protocol):
    """What changed in a layer, in words."""

    @property
    def layer(self) -> str: ...
    @property
    def sentence(self) -> str: ...


Explain = Callable[[Mapping[str, Any], Any], Iterable[Difference]]
"""Names differences from the opening's material: `titer.provenance.fingerprint.explain_difference`."""


@dataclass(frozen=True)
class Verification:
    """What was found.

    Arguments
        outcome: `verified`, `altered`, `unknown`, `undecided` or `invalid`. sentence: the same for people.
        lines: what it rests on: layers, what changed in them, signer, index, times, witnesses.
        layers: the state of each layer, by label such as `px.v1`.
    """

    outcome: Outcome
    sentence: str
    lines: tuple[str, ...] = ()
    layers: Mapping[str, State] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 verified, 1 altered, 2 unknown, 3 cannot decide, 4 receipt or policy invalid."""
        return _EXITS.index(self.outcome)


def verify(
    fingerprint: Fingerprint,
    opening: Opening | None,
    receipt: bytes,
    policy: bytes,
    *,
    about_keys: Sequence[bytes] = (),
    explain: Explain | None = None,
) -> Verification:
    """Check an object against its receipt.

    Arguments
        fingerprint: of the object at hand.
        opening: stored beside the data at capture; without it nobody can compare.
        receipt, policy: the files' bytes; see `Receipt` and `Policy`.
        about_keys: receipts of the log's records about keys; see `keys_at` for what these do.
        explain: names frames, regions and attributes that changed.

    What is said of keys holds as of the largest checkpoint of their receipts, as far as these tell. Never raises for
    what the files hold: a receipt or policy that breaks its format is `invalid`.
    """
    try:
        rules = Policy.parse(policy)
        accepted, record, told = _placed(receipt, rules)
        about = [_spoken(each, rules, accepted.checkpoint.origin) for each in about_keys]
    except RecordError as error:
        return Verification("invalid", f"The receipt or the policy is not valid: {error}.", (f"reason: {error.code}",))
    size = max((size for size, _, _ in about), default=0)
    keys = keys_at(size, [each[1:] for each in about], rules.roles, rules.administrators)
    lines = lines_of(accepted, record, told, keys)
    where = f"record {told.index} of {accepted.checkpoint.origin}"
    if not accepted.satisfied:
        return Verification("undecided", f"Cannot decide: too few witnesses of the policy have seen {where}.", lines)
    doubt = _doubted(accepted, record, told.index, keys)
    if doubt is not None:
        return Verification("undecided", f"Cannot decide: {doubt[0]}.", (*lines, doubt[1]))
    if record.kind not in ("capture", "derive") or record.data != fingerprint.kind:
        spoken = record.data if record.fp else f"a {record.kind}"
        words = f"Unknown: {where} speaks of {spoken}, and the object is of kind {fingerprint.kind}."
        return Verification("unknown", words, lines)
    if opening is None:
        return Verification(
            "undecided", f"Cannot decide: {where} commits to an object, and no opening is given.", lines
        )
    wrong = [label for label, each in opening.commitments().items() if record.fp.get(label) != each]
    if wrong:
        words = f"Cannot decide: the opening does not belong to {where} ({', '.join(wrong)})."
        return Verification("undecided", words, lines)
    layers = compare(fingerprint, opening, record)
    lines = (*(f"layer {label}: {state}" for label, state in layers.items()), *lines)
    if explain is not None and "differs" in layers.values():
        changes = tuple(f"changed in {each.layer}: {each.sentence}" for each in explain(opening.material, fingerprint))
        lines = (*changes, *lines)
    return _judged(layers, where, record, lines)


def _judged(layers: dict[str, State], where: str, record: Record, lines: tuple[str, ...]) -> Verification:
    changed = [label for label, state in layers.items() if state in ("differs", "removed", "added")]
    unsure = [
        label
        for label, state in layers.items()
        if state == "version" or (state == "closed" and not label.startswith("id."))
    ]
    if changed:
        words = f"Altered: the object is not what {where} says ({', '.join(changed)})."
        return Verification("altered", words, lines, layers)
    if unsure:
        words = f"Cannot decide: layers that cannot be compared with {where} ({', '.join(unsure)})."
        return Verification("undecided", words, lines, layers)
    act = "captured" if record.kind == "capture" else "derived"
    return Verification("verified", f"Verified: the object is as it was when {act}, by {where}.", lines, layers)


def compare(now: Fingerprint, opening: Opening, record: Record) -> dict[str, State]:
    """The state of each layer that the record commits to, or that the object has.

    The same pixels in another lossless form are the same content: where `px` is the same, another `cs` is `carriage`,
    and so is an `hb` that lost what stood outside the stored bits. The lexical form of FHIR numbers, `fl`, informs.
    """
    there = {each.label: each for each in now.digests}
    versions = {each.name for each in now.digests}
    states: dict[str, State] = {}
    for label, committed in sorted(record.fp.items()):
        if label not in opening.salts:
            states[label] = "closed"
        elif label in there:
            made = commitment(opening.salts[label], there[label].value)
            states[label] = "same" if compare_digest(made, committed) else "differs"
        else:
            states[label] = "version" if _name(label) in versions else "removed"
    recorded = {_name(label) for label in record.fp}
    states |= {
        label: "version" if each.name in recorded else "added" for label, each in there.items() if label not in states
    }
    return {label: _carried(label, state, states, now) for label, state in sorted(states.items())}


def _carried(label: str, state: State, states: Mapping[str, State], now: Fingerprint) -> State:
    if state not in ("differs", "removed", "added"):
        return state
    by_name = {_name(each): found for each, found in states.items()}
    name = _name(label)
    if name == "cs" and by_name.get("px") == "same":
        return "carriage"
    if name == "px" and by_name.get("cs") == "same":
        # Another decoder, or another header, reads other values from the same codestream.
        return "version"
    if name == "hb" and by_name.get("px") == "same" and not now.notes.get("high_bits", 0):
        return "carriage"
    return "carriage" if name == "fl" and by_name.get("fv") == "same" else state


def _name(label: str) -> str:
    return label.rpartition(".")[0]


def _placed(receipt: bytes, rules: Policy) -> tuple[Accepted, Record, Receipt]:
    """The record of a receipt, once all that its place rests on has been checked."""
    told = Receipt.parse(receipt)
    accepted = rules.judge(told.note)
    told.check(accepted.checkpoint)
    record = verify_record(told.leaf)
    if record.origin != origin_of(accepted.checkpoint.origin):
        raise RecordError(
            f"a record for {accepted.checkpoint.origin}",
            "one that was signed for another log",
            "find out who copied it",
            code="record.origin",
        )
    return accepted, record, told


def _spoken(raw: bytes, rules: Policy, origin: str) -> tuple[int, int, Record]:
    """Size, index and record of a receipt of a record about keys."""
    accepted, record, told = _placed(raw, rules)
    if record.kind not in KINDS or not accepted.satisfied or accepted.checkpoint.origin != origin:
        raise RecordError(
            f"receipts of records of {origin} about keys, seen by witnesses", f"one of kind {record.kind}",
            "name others", code="revocation.invalid",
        )  # fmt: skip
    return accepted.checkpoint.size, told.index, record


def _doubted(accepted: Accepted, record: Record, index: int, keys: Keys) -> tuple[str, str] | None:
    """Why the keys under a receipt do not bear it: for people, and a line."""
    size = accepted.checkpoint.size
    mine = {each.key.hex() for each in accepted.logs if each.kind == ED25519}
    replaced = {each for each in mine if keys.revoked(each, size - 1)}
    where = f"record {index} of {accepted.checkpoint.origin}"
    if mine and replaced == mine:
        start, by = min(keys.suspect[each] for each in replaced)
        return f"{where} is suspect, the log's key was revoked", f"revoked: the log's key, from {start}, by record {by}"
    if keys.revoked(record.capture_key, index):
        start, by = keys.suspect[record.capture_key]
        return f"{where} is suspect, its key was revoked", f"revoked: this signer, from index {start}, by record {by}"
    if record.fp and not keys.counts(record.capture_key, record.kind, index):
        return f"the policy does not let this key sign {where}", f"signer: no key for records of kind {record.kind}"
    return None

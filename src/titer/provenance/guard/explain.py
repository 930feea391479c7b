"""What was decided about an object, why, and what that rests on: in sentences, for people at the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from titer.errors import GuardError, LedgerError, ProvenanceError
from titer.provenance.fingerprint import explain_difference, fingerprint_of
from titer.provenance.guard.folder import Folder
from titer.provenance.guard.index import Index
from titer.provenance.guard.journal import Why
from titer.provenance.guard.quarantine import Held, Quarantine
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.merkle import leaf_hash
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Record, parse
from titer.provenance.ledger.store import Entry

_NAME, _HASH = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
_PIECE = 4096


def explain(name: str, folder: Folder, index: Index, ledger: Ledger) -> Iterator[str]:
    """Lines on one decision.

    Arguments
        name: of a withheld object, or the leaf hash of a decision, in hexadecimal.
        folder, index: the site's. ledger: with the decision and the record.
    """
    quarantine = folder.quarantine()
    held = quarantine.get(name) if _NAME.fullmatch(name) else None
    if held is None and not _HASH.fullmatch(name):
        raise GuardError(
            "the name of a withheld object, or a decision's leaf hash",
            repr(name)[:40],
            "list the first with `titer guard list`; answers hold the second",
            code="explain.name",
        )
    decision = held.decision if held is not None else name
    why = folder.journal().get(bytes.fromhex(decision)) if decision else None
    entry = _entry(ledger, bytes.fromhex(decision), why) if decision else None
    if entry is None and held is None:
        raise GuardError(
            "a decision of this ledger", "a hash that it does not hold", "name the right ledger", code="explain.unknown"
        )
    yield from _what(held, why, None if entry is None else parse(entry.leaf))
    yield from _differences(held, quarantine, why, index)
    yield from _record(held.record if held is not None else "" if why is None else why.record, entry, index, ledger)
    if entry is not None:
        yield from _decision(entry, ledger)
    if held is not None and held.released:
        yield f"released by: {' and '.join(held.released)}"


def _what(held: Held | None, why: Why | None, decision: Record | None) -> Iterator[str]:
    verdict = held.verdict if held is not None else str(decision.ext["verdict"]) if decision is not None else ""
    mode = "" if decision is None else f", in mode {decision.ext.get('mode', 'unknown')}"
    yield f"verdict: {verdict}{mode}"
    reasons = held.reasons if held is not None else why.reasons if why is not None else None
    if reasons is None:
        told = decision is not None and "reason" in decision.ext
        yield "reasons: not kept here; the leaf holds their digest" if told else "reasons: none"
    else:
        yield f"reasons: {', '.join(reasons) or 'none'}"
    if why is not None:
        yield f"action: {why.action}. {why.sentence}"
    if held is not None:
        yield f"withheld as: {held.name}"


def _differences(held: Held | None, quarantine: Quarantine, why: Why | None, index: Index) -> Iterator[str]:
    """What is not as it was: as kept, or found again from the withheld object."""
    found = () if why is None else why.differences
    if why is None and held is not None and held.record:
        known = index.get(bytes.fromhex(held.record))
        if known is not None and known.opening is not None:
            try:
                made = fingerprint_of(quarantine.read(held), held.kind)
                found = tuple(each.sentence for each in explain_difference(known.opening.material, made))
            except ProvenanceError as error:
                found = (f"cannot be said: {error.code}",)
    for each in found:
        yield f"difference: {each}"


def _record(name: str, decision: Entry | None, index: Index, ledger: Ledger) -> Iterator[str]:
    refs = parse(decision.leaf).refs if decision is not None else ()
    name = name or (refs[0] if refs else "")
    if not name:
        yield "record: none"
        return
    yield f"record: {name}"
    known = index.get(bytes.fromhex(name))
    if known is None:
        yield "signer: unknown; the index does not hold the record"
        return
    record = parse(known.leaf)
    when = datetime.fromtimestamp(record.claimed_time, UTC).isoformat()
    yield f"signer: {record.capture_key}, as its record {record.counter}, by its own clock at {when}"
    yield f"layers: {', '.join(record.fp)} ({record.kind} of {record.data})"
    there = ledger.store.find(record.capture_key, record.counter)
    if there is None or there.leaf != known.leaf:
        yield "receipt: none; the ledger does not hold the record"
    else:
        yield f"receipt: {_receipt(ledger, there)}"


def _decision(entry: Entry, ledger: Ledger) -> Iterator[str]:
    decision = parse(entry.leaf)
    yield f"decision: {leaf_hash(entry.leaf).hex()}, signed by {decision.capture_key}"
    yield f"its receipt: {_receipt(ledger, entry)}"
    for name, text in (
        ("program", "preparation"), ("tensor", "model's input"), ("model", "model"), ("output", "model's output"),
    ):  # fmt: skip
        if name in decision.ext:
            yield f"{text}: {decision.ext[name]}"
    if "tensor" not in decision.ext:
        yield "model: not asked"


def _receipt(ledger: Ledger, entry: Entry) -> str:
    try:
        receipt = Receipt.parse(ledger.receipt(entry.index))
        told = ledger.signing.check(receipt.note)
        receipt.check(told)
    except ProvenanceError as error:
        return f"none ({error.code})"
    return f"leaf {receipt.index} under a signed root of {told.size}, proven by {len(receipt.proof)} hashes"


def _entry(ledger: Ledger, wanted: bytes, why: Why | None) -> Entry | None:
    """The entry of a leaf hash: where the journal says, or else looked for from the end."""
    if why is not None and why.index >= 0:
        (entry,) = ledger.store.entries(why.index, why.index + 1)
        if leaf_hash(entry.leaf) != wanted:
            raise LedgerError(
                "the decision where it was put",
                "another leaf",
                "run `titer ledger fsck`",
                code="ledger.damaged",
            )
        return entry
    for stop in range(ledger.store.size(), 0, -_PIECE):
        for entry in ledger.store.entries(max(0, stop - _PIECE), stop):
            if leaf_hash(entry.leaf) == wanted:
                return entry
    return None

"""What is handed on with an object, so that others can check it without asking the site: receipt and opening."""

from __future__ import annotations

import re
from dataclasses import dataclass

from titer.errors import GuardError
from titer.provenance.guard.index import Index
from titer.provenance.guard.subject import without_subject
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.record import parse

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Handover:
    """Both files as bytes.

    Arguments
        receipt: shows that the record stands in the log; it names nobody and may be published.
        opening: links the record to its object, and belongs to whoever has the object.
    """

    receipt: bytes
    opening: bytes


def handover(record: str, index: Index, ledger: Ledger, *, subject: bool = False) -> Handover:
    """Receipt and opening of one record.

    Arguments
        record: its leaf hash in hexadecimal, as `titer capture` prints it.
        index: the site's, which holds the opening. ledger: in which the record stands.
        subject: whether the opening also holds whom the object is about, where that was told at capture.

    Refuses a record that the site does not know, one whose opening was erased, one of another ledger; LedgerError
    (`receipt.pending`) for one that no published checkpoint covers yet.
    """
    if not _HASH.fullmatch(record):
        raise GuardError(
            "the leaf hash of a record, 64 hexadecimal digits",
            repr(record)[:40],
            "give the one that `titer capture` printed",
            code="record.none",
        )
    known = index.get(bytes.fromhex(record))
    if known is None:
        raise GuardError(
            "a record of this site", "one that its index does not hold", "name the site that captured it",
            code="record.none",
        )  # fmt: skip
    if known.opening is None:
        raise GuardError(
            "an opening of the record", "none: it was erased", "capture the object again if it may be kept",
            code="opening.erased",
        )  # fmt: skip
    told = parse(known.leaf)
    there = ledger.store.find(told.capture_key, told.counter)
    if there is None or there.leaf != known.leaf:
        raise GuardError(
            "a record of this ledger", "one that it does not hold", "name the ledger that it was captured into",
            code="record.none",
        )  # fmt: skip
    opening = known.opening if subject else without_subject(known.opening)
    return Handover(ledger.receipt(there.index), opening.to_json())

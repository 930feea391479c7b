"""Between which times a record entered the log, as time tokens show: made from a log's files, checked offline.

Upper bound: an authority stamped a checkpoint that covers the record, so the record was there by then. This rests on
the authority alone. Lower bound: an authority stamped a checkpoint of the same log that does not cover it. That rests
on the log too: on its having had the newest checkpoint stamped, and not an older one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.x509 import Certificate

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import merkle, tiles
from titer.provenance.ledger._layout import parse_place
from titer.provenance.ledger.checkpoint import Checkpoint, decoded, encoded
from titer.provenance.ledger.mirror import source_at
from titer.provenance.ledger.note import Note
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.recompute import place
from titer.provenance.ledger.record import parse as parse_record
from titer.provenance.ledger.stamping import Stamped, parse_list
from titer.provenance.ledger.tokens import Token, check_token

LARGEST = 1 << 22
"""The most bytes of a file with times."""

Read = Callable[[str], bytes | None]


def files_of(source: str) -> Read:
    """A log's files: at an address, in the ledger's folder, or in an export's or mirror's."""
    if "://" in source:
        return source_at(source)
    site, beside = source_at(str(Path(source) / "public")), source_at(source)
    return lambda path: (beside if path.startswith("tokens/") else site)(path)


def make_times(read: Read, receipt: bytes) -> bytes:
    """The tokens that bound a receipt's record, with the proofs that they do, as one file.

    Arguments
        read: the log's files; see `files_of`. receipt: the receipt's file.

    Of each authority, it holds the last token before the record, and the first after it.
    """
    told = Receipt.parse(receipt)
    size = Checkpoint.parse(Note.parse(told.note).text).size
    published = read("checkpoint")
    if published is None:
        raise LedgerError("a published checkpoint", "none", "name the log's files", code="log.unpublished")
    grown = _widened(read, Checkpoint.parse(Note.parse(published).text).size)
    listed = parse_list(read("tokens/list") or b"")
    before: dict[str, Stamped] = {}
    after: dict[str, Stamped] = {}
    for each in listed:
        if each.size <= told.index:
            before[each.authority] = max(each, before.get(each.authority, each), key=lambda row: (row.last, row.size))
        else:
            after[each.authority] = min(each, after.get(each.authority, each), key=lambda row: (row.first, row.size))
    found = {
        "v": 1,
        "before": [_entry(read, each, "last", tiles.consistency(grown, each.size, size)) for each in before.values()],
        "after": [
            _entry(read, each, "first", tiles.inclusion(grown, told.index, each.size)) for each in after.values()
        ],
    }
    return json.dumps(found, indent=1).encode() + b"\n"


def _entry(read: Read, each: Stamped, which: str, proof: list[bytes]) -> dict[str, Any]:
    parts = [f"tokens/{each.size}/checkpoint", f"tokens/{each.size}/{each.authority}.{which}.tsr"]
    note, token = map(read, parts)
    if note is None or token is None:
        raise LedgerError(f"{parts[0]} and {parts[1]}", "not both", "fetch them again", code="token.missing")
    return {"note": encoded(note), "token": encoded(token), "proof": [encoded(each) for each in proof]}


def _widened(read: Read, size: int) -> Read:
    """Tiles as they were when the log was smaller: the beginning of those that it has now."""

    def widened(path: str) -> bytes | None:
        raw, told = read(path), parse_place(path)
        if raw is not None or told is None:
            return raw
        level, number, width = told
        if isinstance(level, str):
            return None
        there = min(tiles.WIDTH, (size >> 8 * level) - number * tiles.WIDTH)
        wide = read(place(level, number, there)) if there > width else None
        return None if wide is None else wide[: width * merkle.HASH]

    return widened


@dataclass(frozen=True)
class Bounds:
    """Between which times a record entered the log; None where nothing tells. `lines` says by whom, for people."""

    earliest: datetime | None
    latest: datetime | None
    lines: tuple[str, ...]


def bounds(raw: bytes, receipt: bytes, policy: bytes, roots: Sequence[Certificate]) -> Bounds:
    """Check a file that `make_times` made.

    Arguments
        raw, receipt, policy: the files' bytes. roots: certificates of the authorities that the reader trusts.

    Tokens of other authorities are told of and not counted. RecordError for a file that breaks its format, a checkpoint
    that the policy's log has not signed, or a proof that does not hold.
    """
    rules, told = Policy.parse(policy), Receipt.parse(receipt)
    now = rules.judge(told.note).checkpoint
    told.check(now)
    lines: list[str] = []
    lower: list[tuple[datetime, str]] = []
    upper: list[tuple[datetime, str]] = []
    for side, (note, token, proof) in _entries(raw):
        seen = rules.judge(note).checkpoint
        if seen.origin != now.origin or (side == "before") != (seen.size <= told.index):
            raise _invalid(f"checkpoints of {now.origin} {side} record {told.index}", f"{seen.origin}, {seen.size}")
        if side == "before":
            merkle.verify_consistency(seen.size, now.size, seen.root, now.root, proof)
        else:
            merkle.verify_inclusion(merkle.leaf_hash(told.leaf), told.index, seen.size, proof, seen.root)
        try:
            made = check_token(token, note, roots)
        except RecordError as error:
            lines.append(f"time token not counted, on size {seen.size}: {error}")
            continue
        (lower if side == "before" else upper).append(_bound(made, seen.size, side))
    earliest, latest = max(lower, default=None), min(upper, default=None)
    lines += [
        f"not before: {earliest[1]} (as far as the log had its newest one stamped)"
        if earliest
        else "not before: no trusted token tells",
        f"not after: {latest[1]}" if latest else "not after: no trusted token tells",
    ]
    claimed = parse_record(told.leaf).claimed_time
    lines += _claim(claimed, earliest and earliest[0], latest and latest[0])
    return Bounds(earliest and earliest[0], latest and latest[0], tuple(lines))


def _bound(token: Token, size: int, side: str) -> tuple[datetime, str]:
    at = token.time - token.accuracy if side == "before" else token.time + token.accuracy
    how = "does not cover it" if side == "before" else "covers it"
    return at, f"{at:%Y-%m-%dT%H:%M:%SZ}, by {token.authority}, whose checkpoint of size {size} {how}"


def _claim(claimed: int, earliest: datetime | None, latest: datetime | None) -> list[str]:
    """What the capture point's clock claimed, against what others saw."""
    try:
        at = datetime.fromtimestamp(claimed, UTC)
    except (ValueError, OverflowError, OSError):
        return [f"claimed time: {claimed} s is no date"]
    if latest is not None and at > latest:
        return [f"claimed time: wrong, for the record was there {at - latest} before it"]
    if earliest is not None and at < earliest:
        return [f"claimed time: {earliest - at} before it can have entered: kept back, or a clock that was wrong"]
    if earliest is None and latest is None:
        return ["claimed time: nothing to hold it against"]
    return [f"claimed time: within {'these bounds' if earliest and latest else 'this bound'}"]


def _entries(raw: bytes) -> list[tuple[str, tuple[bytes, bytes, list[bytes]]]]:
    try:
        if len(raw) > LARGEST:
            raise ValueError(f"{len(raw)} bytes")
        told = json.loads(raw)
        if told["v"] != 1 or set(told) != {"v", "before", "after"}:
            raise ValueError(f"version {told['v']}")
        return [
            (side, (decoded(each["note"]), decoded(each["token"]), [decoded(part) for part in each["proof"]]))
            for side in ("before", "after")
            for each in told[side]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _invalid("a file that `titer ledger times` has made", str(error)) from error


def _invalid(expected: str, got: str) -> RecordError:
    return RecordError(expected, got, "make it again from the log's files", code="times.invalid")

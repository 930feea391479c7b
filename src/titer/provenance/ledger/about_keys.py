"""Receipts of all that a log says of keys, read from its files: for those who verify without its database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from titer.errors import RecordError
from titer.provenance.ledger import merkle, tiles
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.keyring import Keyring
from titer.provenance.ledger.mirror import Source
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.receipt import Receipt


@dataclass(frozen=True)
class AboutKeys:
    """What was found.

    Arguments
        checkpoint: of the log that was read. receipts: of its records about keys; none is left out.
    """

    checkpoint: Checkpoint
    receipts: tuple[bytes, ...]


def about_keys(source: Source, policy: bytes, receipt: bytes | None = None) -> AboutKeys:
    """Read a log to its checkpoint, entry by entry, for what it says of keys.

    Arguments
        source: the log's files, as `source_at` opens them. policy: the policy's file.
        receipt: one whose checkpoint must be an earlier state of this log.

    Raises RecordError for a checkpoint that the policy does not accept (`policy.log`, `log.witnesses`), entries that do
    not give its root (`log.entries`), and a receipt of another history (`log.forked`).
    """
    rules = Policy.parse(policy)
    note = source("checkpoint") or b""
    accepted = rules.judge(note)
    here = accepted.checkpoint
    if not accepted.satisfied:
        raise RecordError(
            "a checkpoint that enough witnesses have seen", "too few", "ask another mirror", code="log.witnesses"
        )
    read = _Entries(source, here.size)
    found = Keyring(read, here.origin, rules.roles, rules.administrators).indices(here)
    if receipt is not None:
        _require_history(source, rules.judge(Receipt.parse(receipt).note).checkpoint, here)
    made = [
        Receipt(next(read(index, index + 1)), index, tuple(tiles.inclusion(source, index, here.size)), note)
        for index in found
    ]
    return AboutKeys(here, tuple(each.format() for each in made))


class _Entries:
    """Leaves out of bundles."""

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._size = source, size

    def __call__(self, start: int, stop: int) -> Iterator[bytes]:
        for number in range(start // tiles.WIDTH, -(-stop // tiles.WIDTH)):
            low = number * tiles.WIDTH
            width = min(tiles.WIDTH, self._size - low)
            raw = self._source(tiles.path(tiles.ENTRIES, number, width))
            if raw is None:
                raw = self._source(tiles.path(tiles.ENTRIES, number)) or b""
            yield from tiles.unbundle(raw, width)[max(0, start - low) : stop - low]


def _require_history(source: Source, then: Checkpoint, now: Checkpoint) -> None:
    if then.origin != now.origin:
        raise RecordError(f"the log of the receipt, {then.origin}", now.origin, "name that one", code="log.other")
    small, large = sorted((then, now), key=lambda each: each.size)
    if large is then and small.size < large.size:
        # What is read here is older; its files cannot prove what came later.
        return
    try:
        proof = tiles.consistency(source, small.size, large.size) if 0 < small.size < large.size else []
        merkle.verify_consistency(small.size, large.size, small.root, large.root, proof)
    except RecordError as error:
        raise RecordError(
            f"a log that has grown from the receipt's checkpoint of size {small.size}",
            "one with another history",
            "keep both checkpoints: they are evidence of a fork",
            code="log.forked",
        ) from error

"""What the guard sees of a log, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from titer.errors import RecordError
from titer.provenance.guard.index import Index
from titer.provenance.guard.policy import Policy
from titer.provenance.ledger import merkle, tiles
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.keyring import Keyring
from titer.provenance.ledger.keys import Keys
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.receipt import Receipt


class View(Protocol):
    """A log to look things up in; nothing that it says is believed without proof."""

    def note(self) -> bytes:
        """The newest published checkpoint, signed."""

    def check(self, note: bytes) -> Checkpoint:
        """The checkpoint of a note; RecordError unless the log has signed it."""

    def satisfied(self, note: bytes) -> bool:
        """Whether enough witnesses have signed."""

    def find(self, capture_key: str, counter: int) -> tuple[int, bytes] | None:
        """Index and leaf under a key's counter."""

    def entries(self, start: int, stop: int) -> Iterable[bytes]:
        """The leaves from one index up to, not including, another."""

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The inclusion proof of a leaf."""

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that one size grew out of another."""


class LedgerView:
    """An open ledger, as the guard sees it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def note(self) -> bytes:
        return self._ledger.checkpoint()

    def check(self, note: bytes) -> Checkpoint:
        return self._ledger.signing.check(note)

    def satisfied(self, note: bytes) -> bool:
        return self._ledger.signing.satisfied(note)

    def find(self, capture_key: str, counter: int) -> tuple[int, bytes] | None:
        found = self._ledger.store.find(capture_key, counter)
        return None if found is None else (found.index, found.leaf)

    def entries(self, start: int, stop: int) -> Iterable[bytes]:
        return (entry.leaf for entry in self._ledger.store.entries(start, stop))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return tiles.inclusion(self._ledger.site.read, index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        return tiles.consistency(self._ledger.site.read, old, new) if 0 < old < new else []


@dataclass(frozen=True)
class Doubt:
    """Why something may not be believed: a verdict and a reason code."""

    verdict: str
    code: str


@dataclass(frozen=True)
class Head:
    """The newest checkpoint, which keys count as of it, and what speaks against it."""

    note: bytes
    checkpoint: Checkpoint
    keys: Keys
    doubt: Doubt | None

    def receipt(self, view: View, index: int, leaf: bytes) -> Receipt:
        """The receipt of a leaf under this checkpoint, checked; RecordError if it does not lead to the root."""
        made = Receipt(leaf, index, tuple(view.inclusion(index, self.checkpoint.size)), self.note)
        made.check(self.checkpoint)
        return made


def head_of(view: View, index: Index, policy: Policy, origin: str, keyring: Keyring) -> Head:
    """Read the newest checkpoint and hold it against the largest that was ever accepted here.

    A log that shrank is stale, one that does not contain what it contained is forked.
    """
    # In this order: what is published can only be newer than what was seen before.
    seen = index.seen(origin)
    note = view.note()
    checkpoint = view.check(note)
    if checkpoint.origin != origin:
        raise RecordError(
            f"a checkpoint of {origin}", f"one of {checkpoint.origin}", "look at another log", code="checkpoint.origin"
        )
    doubt = _doubt(view, policy, note, checkpoint, seen)
    try:
        keys = keyring.at(checkpoint)
    except RecordError as error:
        keys, doubt = keyring.at(Checkpoint(origin, 0, merkle.EMPTY)), doubt or Doubt("forked_log", error.code)
    if doubt is None and (seen is None or checkpoint.size > seen.size):
        index.see(checkpoint)
    return Head(note, checkpoint, keys, doubt)


def _doubt(view: View, policy: Policy, note: bytes, checkpoint: Checkpoint, seen: Checkpoint | None) -> Doubt | None:
    if seen is not None:
        if checkpoint.size < seen.size:
            return Doubt("stale_log", "log.rolled_back")
        try:
            proof = view.consistency(seen.size, checkpoint.size)
            merkle.verify_consistency(seen.size, checkpoint.size, seen.root, checkpoint.root, proof)
        except RecordError:
            return Doubt("forked_log", "log.inconsistent")
    if not view.satisfied(note):
        return Doubt("stale_log", "log.witnesses")
    if policy.age is not None and policy.age(note) > policy.oldest:
        return Doubt("stale_log", "log.old")
    return None

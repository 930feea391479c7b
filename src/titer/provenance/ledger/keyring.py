"""Follows a log's records about keys, so that none can be kept from whoever decides.

Every leaf is read once and counted into a tree of its own. What was read counts only if that tree has the root that the
log has signed: then nothing was left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Set

from titer.errors import RecordError
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.keys import KINDS, Keys, keys_at
from titer.provenance.ledger.merkle import Frontier, leaf_hash
from titer.provenance.ledger.record import Record, origin_of, verify

Entries = Callable[[int, int], Iterable[bytes]]
"""Gives the leaves from one index up to, not including, another."""

# In a record's one spelling these words stand nowhere else: all other values are digits.
_MARKS = tuple(f'"kind":"{kind}"'.encode() for kind in KINDS)


class Keyring:
    """What a log says of keys.

    Arguments
        entries: where leaves are read. origin: the log's name.
        roles, administrators: the keys to begin with, as in `Policy`.
    """

    def __init__(self, entries: Entries, origin: str, roles: Mapping[str, Set[str]], administrators: Set[str]) -> None:
        self._entries, self._origin = entries, origin_of(origin)
        self._roles, self._administrators = roles, administrators
        self._lock = threading.Lock()
        self._tree = Frontier()
        self._told: tuple[tuple[int, Record], ...] = ()

    def at(self, checkpoint: Checkpoint) -> Keys:
        """What is known of keys as of a checkpoint whose signatures the caller has checked.

        Raises RecordError (`log.entries`) where the leaves do not give the checkpoint's root.
        """
        with self._lock:
            if checkpoint.size > self._tree.size:
                self._follow(checkpoint)
            told = self._told
        return keys_at(checkpoint.size, told, self._roles, self._administrators)

    def indices(self, checkpoint: Checkpoint) -> list[int]:
        """Where the records about keys stand."""
        self.at(checkpoint)
        return [index for index, _ in self._told if index < checkpoint.size]

    def _follow(self, checkpoint: Checkpoint) -> None:
        tree = Frontier(self._tree.size, self._tree.hashes)
        found = list(self._told)
        for leaf in self._entries(tree.size, checkpoint.size):
            if any(mark in leaf for mark in _MARKS):
                found += _spoken(tree.size, leaf, self._origin)
            tree.append(leaf_hash(leaf))
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            raise RecordError(
                f"{checkpoint.size} leaves with the root that the log has signed",
                f"{tree.size} with another",
                "run `titer ledger fsck`, or read from another mirror",
                code="log.entries",
            )
        self._tree, self._told = tree, tuple(found)


def _spoken(index: int, leaf: bytes, origin: str) -> list[tuple[int, Record]]:
    try:
        record = verify(leaf)
    except RecordError:
        # Whoever let it in has not looked; without a signature it says nothing.
        return []
    return [(index, record)] if record.origin == origin and record.kind in KINDS else []

"""Shards: a log ends with its period, and the next begins where it ended.

A log that grows for ever is ever slower to mirror and to check. So each period gets a log of its own name and keys; the
old one is frozen, names its successor, and the new one names the checkpoint that the old one ended with.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from titer.errors import LedgerError
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.freeze import freeze
from titer.provenance.ledger.ledger import Ledger


def shard(
    old: Ledger,
    begin: Callable[[str], Ledger],
    origin: str,
    *,
    last: bytes | None = None,
    first: Callable[[Checkpoint], bytes] | None = None,
    timeout: float = 60.0,
) -> Ledger:
    """Freeze a log and begin its successor.

    Arguments
        old: the open log that ends.
        begin: makes the new log; it is given the text to keep as `predecessor`.
        origin: the new log's name.
        last: a record to end the old log with, such as one of kind `retire`.
        first: makes a record to begin the new log with, such as one of kind `anchor`, from the old log's last
            checkpoint.
        timeout: seconds to wait for what is still on its way.

    The successor's name is written into the old log before it is frozen; so if the power fails in between, to call this
    again goes on from there.
    """
    named = old.store.said("successor")
    if named not in (None, origin):
        raise LedgerError(
            "a log without a successor", f"one followed by {named}", "append to that", code="shard.exists"
        )
    with old.store.writing() as tx:
        tx.say("successor", origin)
    end = old.signing.check(freeze(old, last, timeout=timeout))
    new = begin(predecessor_text(end))
    if first is not None:
        new.append(first(end), timeout=timeout)
    return new


def predecessor_text(end: Checkpoint) -> str:
    """How a log names the one before it: origin, size and root of its last checkpoint.

    >>> predecessor_text(Checkpoint("hospital.example/2026", 3, bytes(32)))
    'hospital.example/2026 3 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    """
    return f"{end.origin} {end.size} {base64.b64encode(end.root).decode()}"

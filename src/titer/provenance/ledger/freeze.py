"""Freezing a log: it publishes what it has, and takes no entry more, for ever."""

from __future__ import annotations

import time

from titer.errors import LedgerError
from titer.provenance.ledger.ledger import Ledger


def freeze(ledger: Ledger, last: bytes | None = None, *, timeout: float = 60.0) -> bytes:
    """Freeze a log, and return its last checkpoint.

    Arguments
        ledger: an open ledger.
        last: a record to end with, such as one of kind `retire`; None to end without.
        timeout: seconds to wait for what is still on its way.

    The database refuses further entries from then on, whoever asks; a frozen log is never opened again.
    """
    if last is not None:
        ledger.append(last, timeout=timeout)
    ledger.start()
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if ledger.store.said("state") == "frozen":
            return ledger.checkpoint()
        published = ledger.store.published()
        if published is not None:
            with ledger.store.writing() as tx:
                # Under the lock nothing is added between the look and the freezing.
                if tx.size() == published.size and not tx.queue(1):
                    tx.say("state", "frozen")
                    return published.note
        time.sleep(0.02)
    raise LedgerError(
        f"all entries published within {timeout:g} s",
        f"{ledger.store.size()} entries and {ledger.store.waiting()} in the queue",
        "see that witnesses answer, then freeze again",
        code="freeze.timeout",
    )

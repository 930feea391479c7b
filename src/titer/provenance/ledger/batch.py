"""Batches: many records of one capture key, let in under one signature.

An archive that is imported has millions of records, and to check each one's signature takes longer than all else. So
the capture key signs the root of a tree over the batch as well. Each leaf keeps its own signature, for those who will
verify it alone; the ledger checks the one over the root, which vouches for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from titer.errors import RecordError
from titer.provenance.ledger import merkle
from titer.provenance.ledger.admission import Admitted

CONTEXT = b"titer/batch/1\n"
"""What goes before a batch's root when it is signed, so that no other signature can pass for one."""

MOST = 4096
"""The most records of a batch."""


def message(leaves: Sequence[bytes]) -> bytes:
    """What the capture key signs for a batch.

    >>> message([b"a"])[:14], len(message([b"a", b"b"]))
    (b'titer/batch/1\\n', 46)
    """
    return CONTEXT + merkle.root(map(merkle.leaf_hash, leaves))


def admit(leaves: Sequence[bytes], signature: bytes, formed: Callable[[bytes], Admitted]) -> list[Admitted]:
    """Check a batch: each record's form, that all are of one capture key, and that key's signature over the root.

    Arguments
        leaves: the records, in order.
        signature: the capture key's signature of `message(leaves)`.
        formed: checks a record but for its signature.

    `Ledger.append_batch` takes `partial(admit, signature=..., formed=...)`. RecordError refuses the whole batch.
    """
    if not 0 < len(leaves) <= MOST:
        raise RecordError(f"a batch of 1 to {MOST} records", f"{len(leaves)}", "split it", code="batch.size")
    told = [formed(leaf) for leaf in leaves]
    key = told[0].capture_key
    if any(each.capture_key != key for each in told):
        raise RecordError("records of one capture key", "several", "make a batch for each", code="batch.keys")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, message(leaves))
    except InvalidSignature as error:
        raise RecordError(
            "the capture key's signature over the batch", "another", "do not trust this batch", code="batch.signature"
        ) from error
    return told

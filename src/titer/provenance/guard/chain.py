"""The records of one key, each naming the one before: for capture points and for the guard's own decisions."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from titer.errors import LedgerError
from titer.provenance.ledger.ledger import Appended, Ledger
from titer.provenance.ledger.record import FIRST, Record, origin_of


class Chain:
    """Signs records with one key and appends them in the order of their counter.

    Arguments
        ledger: an open ledger. key: an Ed25519 key, in memory or on a token that has the same methods.
        clock: seconds since 1970, for `claimed_time`.

    One process at a time may use a key: of two, the ledger refuses the second record under one counter.
    """

    def __init__(self, ledger: Ledger, key: Ed25519PrivateKey, *, clock: Callable[[], float] = time.time) -> None:
        self.ledger = ledger
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        self._key = key
        self._clock = clock
        self._origin = origin_of(ledger.origin)
        self._lock = threading.Lock()
        self._next: tuple[int, str] | None = None

    def add(
        self,
        kind: str,
        *,
        data: str = "none",
        fp: Mapping[str, str] | None = None,
        refs: tuple[str, ...] = (),
        ext: Mapping[str, str | int] | None = None,
        before: Callable[[bytes], Any] | None = None,
        wait: Literal["published", "durable"] = "published",
        timeout: float = 30.0,
    ) -> tuple[bytes, Appended]:
        """Sign the next record and append it; returns its leaf and where it stands.

        Arguments
            kind, data, fp, refs, ext: as in `Record`. before: called with the leaf just before it is appended.
            wait, timeout: as in `Ledger.append`.
        """
        with self._lock:
            counter, prev = self._next or self._last()
            self._next = None
            record = Record(
                kind=kind,
                origin=self._origin,
                capture_key=self.public,
                counter=counter,
                prev=prev,
                nonce=secrets.token_hex(16),
                claimed_time=int(self._clock()),
                data=data,
                fp=fp or {},
                refs=refs,
                ext=ext or {},
            )
            leaf = record.sign(self._key.sign)
            if before is not None:
                before(leaf)
            # After an error the ledger is asked again, for it alone knows whether the record went in.
            done = self.ledger.append(leaf, wait=wait, timeout=timeout)
            self._next = (counter + 1, done.leaf_hash.hex())
        return leaf, done

    def _last(self) -> tuple[int, str]:
        with self.ledger.store.writing(lazily=True) as tx:
            last = tx.highest(self.public)
            found = tx.find(self.public, last) if last >= 0 else None
            name = found.leaf_hash if found else None
            while (queued := tx.queued(self.public, last + 1)) is not None:
                last, name = last + 1, queued
        if name is None:
            if last >= 0:
                raise LedgerError(f"record {last} of the key", "none", "run `titer ledger fsck`", code="ledger.damaged")
            return 0, FIRST
        return last + 1, name.hex()

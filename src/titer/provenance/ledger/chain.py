"""The records of one key, each naming the one before: for capture points and for the guard's own decisions."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from titer.errors import LedgerError
from titer.provenance.ledger import batch
from titer.provenance.ledger.ledger import Appended, Ledger
from titer.provenance.ledger.merkle import leaf_hash
from titer.provenance.ledger.record import FIRST, Record, origin_of
from titer.provenance.ledger.settings import formed


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
            record = self._record(kind, counter, prev, data=data, fp=fp or {}, refs=refs, ext=ext or {})
            leaf = record.sign(self._key.sign)
            if before is not None:
                before(leaf)
            # After an error the ledger is asked again, for it alone knows whether the record went in.
            done = self.ledger.append(leaf, wait=wait, timeout=timeout)
            self._next = (counter + 1, done.leaf_hash.hex())
        return leaf, done

    def add_batch(
        self,
        captures: Sequence[tuple[str, Mapping[str, str]]],
        *,
        before: Callable[[Sequence[bytes]], Any] | None = None,
        wait: Literal["published", "durable"] = "published",
        timeout: float = 60.0,
    ) -> tuple[list[bytes], list[Appended]]:
        """Sign captures that follow each other and append them under one signature; see `ledger.batch`.

        Arguments
            captures: kind of data and commitments of each, at most `batch.MOST`.
            before: called with all leaves just before they are appended. wait, timeout: as in `Ledger.append`.
        """
        with self._lock:
            counter, prev = self._next or self._last()
            self._next = None
            leaves = []
            for data, fp in captures:
                leaf = self._record("capture", counter, prev, data=data, fp=fp).sign(self._key.sign)
                counter, prev = counter + 1, leaf_hash(leaf).hex()
                leaves.append(leaf)
            if before is not None:
                before(leaves)
            together = partial(
                batch.admit,
                signature=self._key.sign(batch.message(leaves)),
                formed=partial(formed, self.ledger.origin),
            )
            done = self.ledger.append_batch(leaves, together, wait=wait, timeout=timeout)
            self._next = (counter, prev)
        return leaves, done

    def _record(self, kind: str, counter: int, prev: str, **more: Any) -> Record:
        return Record(
            kind=kind,
            origin=self._origin,
            capture_key=self.public,
            counter=counter,
            prev=prev,
            nonce=secrets.token_hex(16),
            claimed_time=int(self._clock()),
            **more,
        )

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

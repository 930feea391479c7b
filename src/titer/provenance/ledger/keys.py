"""The life of keys: which count, for what, from where to where, as of a checkpoint.

A policy names the keys that a site begins with. After that the log itself tells: a record `key` brings in a new one,
signed by an old one and by an administrator; `revoke` puts a key in doubt from an index on; `retire` ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from operator import itemgetter

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from titer.provenance.ledger.record import Record

CONTEXT = b"titer/administrator/1\n"
"""What goes before what an administrator signs, so that no other signature can pass for one."""

KINDS = ("key", "revoke", "retire")
"""The kinds of records that speak of keys."""

_NONE: Set[str] = frozenset()


@dataclass(frozen=True)
class Keys:
    """What is known of keys as of a size of the log.

    Arguments
        size: how much of the log this follows from. named: whether the policy names keys at all; if not, every key may
            capture and derive. since: by key what for (`capture`, `derive`), and the first index that counts.
        suspect: by key the first index in doubt, and the index of the record that says so.
        void: indices of records about keys that have no effect, because nobody signed them who may.
    """

    size: int
    named: bool
    since: Mapping[str, tuple[Set[str], int]]
    suspect: Mapping[str, tuple[int, int]]
    void: tuple[int, ...]

    def revoked(self, key: str, index: int) -> bool:
        """Whether what a key signed at an index is in doubt."""
        return _revoked(self.suspect, key, index)

    def counts(self, key: str, kind: str, index: int) -> bool:
        """Whether a key may sign records of a kind at an index; that it may be in doubt is not asked here."""
        roles, start = self.since.get(key, (_NONE, 0))
        return not self.named or (kind in roles and index >= start)


def keys_at(
    size: int, records: Iterable[tuple[int, Record]], roles: Mapping[str, Set[str]], administrators: Set[str]
) -> Keys:
    """What the log says of keys, as of a size.

    Arguments
        size: of the checkpoint; what comes later is not asked. records: those about keys, each with its index, from
            one log, their signatures checked. roles, administrators: as the policy names them (`Policy`).

    - `revoke` and `retire` count if an administrator signed them, or the key that they speak of. A key alone ends
      itself from that record on, not earlier: else a thief could put all that it ever signed in doubt.
    - `key` counts if an administrator signed it, and a key that counts there and is not in doubt there. The new key
      takes over what the old one was for. So who holds a stolen key cannot bring in another, and a key that is in doubt
      from before it brought one in takes that one with it.
    - Of several revocations the one that reaches back furthest counts, and a key that was revoked never comes back.
    """
    told = sorted(((index, record) for index, record in records if index < size), key=itemgetter(0))
    suspect: dict[str, tuple[int, int]] = {}
    void = []
    for index, record in told:
        if record.kind != "key" and "key" in record.ext:
            key, start = str(record.ext["key"]), int(record.ext.get("from", index))
            if not approved(record, administrators):
                start = max(start, index)
                if key != record.capture_key:
                    void.append(index)
                    continue
            suspect[key] = min(suspect.get(key, (start, index)), (start, index))
    since: dict[str, tuple[Set[str], int]] = {key: (tasks, 0) for key, tasks in roles.items()}
    for index, record in told:
        if record.kind == "key":
            old, new = record.capture_key, str(record.ext["key"])
            tasks, start = since.get(old, (_NONE, size))
            sound = index >= start and not _revoked(suspect, old, index) and new not in administrators
            if sound and approved(record, administrators):
                since.setdefault(new, (tasks, index + 1))
            else:
                void.append(index)
    return Keys(size, bool(roles), since, suspect, tuple(sorted(void)))


def _revoked(suspect: Mapping[str, tuple[int, int]], key: str, index: int) -> bool:
    return key in suspect and index >= suspect[key][0]


def approval(record: Record) -> bytes:
    """What an administrator signs for `ext["signature"]`: log, kind, signing key, and all else that `ext` says."""
    ext = {name: value for name, value in record.ext.items() if name != "signature"}
    told = {"kind": record.kind, "origin": record.origin, "capture_key": record.capture_key, "ext": ext}
    return CONTEXT + json.dumps(told, sort_keys=True, separators=(",", ":")).encode("ascii")


def approved(record: Record, administrators: Set[str]) -> bool:
    """Whether an administrator signed a record: its `ext`, or, but for `key`, the record itself."""
    if record.kind != "key" and record.capture_key in administrators:
        return True
    name, signature = str(record.ext.get("administrator", "")), str(record.ext.get("signature", ""))
    if name not in administrators or name == record.capture_key:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(name)).verify(bytes.fromhex(signature), approval(record))
    except InvalidSignature:
        return False
    return True

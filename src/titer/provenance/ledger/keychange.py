"""Changes of keys, as records: bring one in, revoke one, end one, and the administrator's part of it.

The two who sign need not sit at one machine: `approve` gives the administrator's signature, which the holder of the
old key puts into the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from titer.errors import RecordError
from titer.provenance.ledger.keys import approval, approved
from titer.provenance.ledger.ledger import Appended
from titer.provenance.ledger.record import FIRST, Record, origin_of

if TYPE_CHECKING:
    from titer.provenance.ledger.chain import Chain


def public_of(key: Ed25519PrivateKey) -> str:
    """The public half, in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def approve(origin: str, old: str, new: str, administrator: Ed25519PrivateKey) -> dict[str, str | int]:
    """What a record `key` holds in `ext`: the new key, and that an administrator lets it follow the old one.

    Arguments
        origin: the log's name. old, new: public keys in hexadecimal. administrator: its private key.
    """
    ext: dict[str, str | int] = {"key": new, "administrator": public_of(administrator)}
    plain = Record("key", origin_of(origin), old, 0, FIRST, "0" * 32, 0, ext=ext)
    return {**ext, "signature": administrator.sign(approval(plain)).hex()}


def bring_in(
    old: Chain, new: str, administrator: Ed25519PrivateKey | tuple[str, str], *, timeout: float = 30.0
) -> Appended:
    """Append a record `key`: from the entry after it on, the new key counts for what the old one counts for.

    Arguments
        old: the records of the key that vouches. new: public key in hexadecimal.
        administrator: its private key, or its public key and the signature that `approve` made elsewhere.
    """
    if isinstance(administrator, tuple):
        ext: dict[str, str | int] = {"key": new, "administrator": administrator[0], "signature": administrator[1]}
    else:
        ext = approve(old.ledger.origin, old.public, new, administrator)
    plain = Record("key", origin_of(old.ledger.origin), old.public, 0, FIRST, "0" * 32, 0, ext=ext)
    if not approved(plain, {str(ext["administrator"])}):
        raise RecordError(
            "an administrator's signature for this log, this old and this new key",
            "another",
            "ask the administrator again; see `titer ledger key approve`",
            code="key.approval",
        )
    return old.add("key", ext=ext, timeout=timeout)[1]


def revoke(signer: Chain, key: str, start: int, *, timeout: float = 30.0) -> Appended:
    """Append a record `revoke`: what the key signed from index `start` on is suspect.

    Arguments
        signer: the records of an administrator, or of the key itself, which cannot reach back before this record.
    """
    return signer.add("revoke", ext={"key": key, "from": start}, timeout=timeout)[1]


def retire(signer: Chain, key: str, *, timeout: float = 30.0) -> Appended:
    """Append a record `retire`: the key ends here, as planned. Signers are those of `revoke`."""
    return signer.add("retire", ext={"key": key}, timeout=timeout)[1]

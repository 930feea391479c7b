"""Private keys as files: PEM, readable by their owner alone."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from titer.errors import LedgerError
from titer.provenance.ledger.publish import put

PrivateKey = Ed25519PrivateKey | MLDSA44PrivateKey


def write_private(path: Path, key: PrivateKey) -> None:
    """Put a key in place, mode 600."""
    put(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)


def read_private(path: Path) -> PrivateKey:
    """The key in a file. Refuses one that others may read, or that is of another kind."""
    try:
        mode, raw = path.stat().st_mode & 0o777, path.read_bytes()
    except OSError as error:
        raise LedgerError(
            f"the key {path}", str(error.strerror), "bring it back from its safe", code="key.missing"
        ) from error
    if mode & 0o077:
        raise LedgerError(
            f"a key that its owner alone may read, {path}",
            f"one of mode {mode:o}",
            f"chmod 600 {path}; if others may have read it, replace it (docs/ledger.md)",
            code="key.open",
        )
    try:
        key = load_pem_private_key(raw, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LedgerError(
            f"a private key in {path}", str(error), "bring it back from its safe", code="key.invalid"
        ) from error
    if not isinstance(key, Ed25519PrivateKey | MLDSA44PrivateKey):
        raise _other("an Ed25519 or ML-DSA-44 key", path, key)
    return key


def make_key(path: Path) -> Ed25519PrivateKey:
    """A new Ed25519 key in a file that must not be there yet."""
    if path.exists():
        raise LedgerError("a file that is not there yet", f"{path}", "choose another name", code="key.exists")
    key = Ed25519PrivateKey.generate()
    write_private(path, key)
    return key


def read_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in a file: what signs records."""
    key = read_private(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise _other("an Ed25519 key", path, key)
    return key


def _other(what: str, path: Path, key: object) -> LedgerError:
    return LedgerError(f"{what} in {path}", type(key).__name__, "see `titer ledger key new`", code="key.invalid")

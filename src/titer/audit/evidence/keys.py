"""Keys that sign reports: Ed25519, in PEM files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.atomic import write_whole
from titer.errors import ReportError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from securesystemslib.signer import Key, Signer


def new_key(path: Path) -> tuple[Path, Path]:
    """A new Ed25519 key: the private one in `path` (readable by its owner alone), the public one in `path.pub`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if path.exists():
        raise ReportError(
            f"no file {path.name} yet", "one that is there", "choose another name; a key is never replaced"
        )
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(private)
    return path, write_whole(path.with_name(path.name + ".pub"), public)


def signer(path: Path) -> Signer:
    """The signer of a private key."""
    envelope_type()
    from securesystemslib.signer import CryptoSigner

    return CryptoSigner(private_key(path))


def private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file (PEM, PKCS 8, without a password)."""
    envelope_type()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _loaded(path, lambda data: load_pem_private_key(data, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise ReportError(
            f"an Ed25519 private key in {path.name}", type(key).__name__, "make one: titer report key FILE"
        )
    return key


def public_key(path: Path) -> Key:
    """A public key."""
    envelope_type()
    from securesystemslib.signer import SSlibKey

    return SSlibKey.from_crypto(_public(path))


def public_hex(path: Path) -> str:
    """A public key as the records of a ledger write it: 64 hexadecimal digits."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return _public(path).public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def _public(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _loaded(path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise ReportError(f"an Ed25519 public key in {path.name}", type(key).__name__, "name the key's .pub file")
    return key


def _loaded(path: Path, load: Callable[[bytes], object]) -> object:
    try:
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        remedy = "name a key in PEM; make one with titer report key FILE"
        raise ReportError(f"a key in {path.name}", f"{type(error).__name__}: {error}", remedy) from error


def envelope_type() -> Any:
    """The class of DSSE envelopes."""
    try:
        from securesystemslib.dsse import Envelope
    except ImportError as error:
        raise ReportError("a library for signed statements", str(error), "pip install 'titer[sign]'") from error
    return Envelope

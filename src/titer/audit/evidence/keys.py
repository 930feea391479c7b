"""Keys that sign reports: Ed25519, in PEM files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.atomic import write_whole
from titer.errors import ReportError

if TYPE_CHECKING:
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
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    envelope_type()
    from securesystemslib.signer import CryptoSigner

    key = _loaded(path, lambda data: load_pem_private_key(data, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise ReportError(
            f"an Ed25519 private key in {path.name}", type(key).__name__, "make one: titer report key FILE"
        )
    return CryptoSigner(key)


def public_key(path: Path) -> Key:
    """A public key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    envelope_type()
    from securesystemslib.signer import SSlibKey

    key = _loaded(path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise ReportError(f"an Ed25519 public key in {path.name}", type(key).__name__, "name the key's .pub file")
    return SSlibKey.from_crypto(key)


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

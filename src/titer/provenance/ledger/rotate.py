"""Rotation: a log changes the keys that it signs with, while it runs, under the same name.

1. `begin`: new keys join the old ones. A record `key`, signed by the old key and an administrator, says so in the log.
2. Whoever checks receipts adds the new key to the policy; mirrors and witnesses do the same.
3. `finish`: a record `retire`, signed by the old key, ends it there. From then on the new keys sign alone, and what the
   old one alone has signed beyond that place is suspect.

Where the old key was stolen there is no time for the second step: `replace` does the first and the third at once, and
an administrator says from which index the old key is in doubt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from titer.errors import LedgerError
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.keychange import bring_in, public_of, revoke
from titer.provenance.ledger.keyfile import PrivateKey, write_private
from titer.provenance.ledger.ledger import Appended
from titer.provenance.ledger.note import Signer
from titer.provenance.ledger.sequencer import Cosign
from titer.provenance.ledger.settings import Settings, opened, read, signers, write


@dataclass(frozen=True)
class Rotated:
    """What was done.

    Arguments
        old, new: verifier keys. index: of the record in the log that says it.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    index: int


def begin(
    folder: Path, administrator: Ed25519PrivateKey, *, cosign: Cosign | None = None, timeout: float = 60.0
) -> Rotated:
    """Let new keys join those of the log in a folder; to call this again goes on where a failure stopped it.

    Arguments
        folder: the ledger's. administrator: its private key. cosign: asks witnesses, as in `settings.opened`.
        timeout: seconds to wait for the record.
    """
    return _joined(folder, administrator, cosign, timeout, None)


def replace(
    folder: Path, administrator: Ed25519PrivateKey, start: int, *, cosign: Cosign | None = None, timeout: float = 60.0
) -> Rotated:
    """Replace stolen keys at once; what the old key alone has signed beyond index `start` is suspect."""
    return _joined(folder, administrator, cosign, timeout, start)


def finish(folder: Path, *, cosign: Cosign | None = None, timeout: float = 60.0) -> Rotated:
    """End the keys that are leaving: a record says so, the new ones sign alone, the old private keys are deleted."""
    settings = read(folder)
    if not settings.leaving or settings.former[-1][1] is None:
        raise LedgerError(
            "a rotation that has begun", "none, or half of one", "run `titer ledger rotate` first", code="rotate.none"
        )
    old = _of(folder, settings, settings.leaving)
    with opened(folder, cosign) as ledger:
        _, done = Chain(ledger, _ed25519(old)).add("retire", ext={"key": _public(old)}, timeout=timeout)
        index = _published(done)
    return Rotated(settings.former[-1][0], _alone(folder, settings), index)


def _joined(
    folder: Path, administrator: Ed25519PrivateKey, cosign: Cosign | None, timeout: float, stolen: int | None
) -> Rotated:
    settings = read(folder)
    if settings.leaving and settings.former[-1][1] is not None:
        raise LedgerError(
            "a log whose last rotation is finished",
            "one that is between two sets of keys",
            "run `titer ledger rotate --finish`",
            code="rotate.unfinished",
        )
    if not settings.leaving:
        settings = _made(folder, settings)
    old, new = _of(folder, settings, settings.leaving), _of(folder, settings, _staying(settings))
    with opened(folder, cosign) as ledger:
        index = _published(bring_in(Chain(ledger, _ed25519(old)), _public(new), administrator, timeout=timeout))
        if stolen is not None:
            _published(revoke(Chain(ledger, administrator), _public(old), stolen, timeout=timeout))
        keys, _ = settings.former[-1]
        # The record was appended when new keys already signed: what does not cover it may lack their signatures.
        settings = dataclasses.replace(settings, former=(*settings.former[:-1], (keys, index)))
        write(folder, settings)
        ledger.signing.check(ledger.checkpoint())
    told = Rotated(keys, tuple(str(each.verifier) for each in new), index)
    if stolen is not None:
        _alone(folder, settings)
    return told


def _made(folder: Path, settings: Settings) -> Settings:
    """New keys beside the old ones, in the settings as well: from here on both sign."""
    old = signers(folder, settings)
    makers: dict[str, Callable[[], PrivateKey]] = {
        "ed25519": Ed25519PrivateKey.generate,
        "ml-dsa-44": MLDSA44PrivateKey.generate,
    }
    names = []
    for kind in list(makers)[: len(old)]:
        key = makers[kind]()
        name = f"keys/{kind}-{Signer(settings.origin, key).verifier.key_id.hex()}.pem"
        write_private(folder / name, key)
        names.append(name)
    former = (tuple(str(each.verifier) for each in old), None)
    made = dataclasses.replace(
        settings, keys=(*names, *settings.keys), leaving=settings.keys, former=(*settings.former, former)
    )
    write(folder, made)
    return made


def _alone(folder: Path, settings: Settings) -> tuple[str, ...]:
    """Settings without the old keys, and the old private keys deleted."""
    settings, gone = dataclasses.replace(settings, keys=_staying(settings), leaving=()), settings.leaving
    write(folder, settings)
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    return tuple(str(each.verifier) for each in signers(folder, settings))


def _staying(settings: Settings) -> tuple[str, ...]:
    return tuple(name for name in settings.keys if name not in settings.leaving)


def _of(folder: Path, settings: Settings, names: tuple[str, ...]) -> list[Signer]:
    return signers(folder, dataclasses.replace(settings, keys=names))


def _ed25519(keys: list[Signer]) -> Ed25519PrivateKey:
    key = keys[0].key
    assert isinstance(key, Ed25519PrivateKey)
    return key


def _public(keys: list[Signer]) -> str:
    return public_of(_ed25519(keys))


def _published(done: Appended) -> int:
    if done.state != "published" or done.index is None:
        raise LedgerError(
            "a published record of the change",
            "one that witnesses have not seen yet",
            "see that they answer, then run the same command again",
            code="rotate.pending",
        )
    return done.index

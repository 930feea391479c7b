"""Ledgers for tests: real stores and files, with a plain Ed25519 signature and leaves that say who counts."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from titer.errors import RecordError
from titer.provenance.ledger import merkle
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.fsck import Findings, Fsck
from titer.provenance.ledger.ledger import Admitted, Ledger
from titer.provenance.ledger.mark import FileMark, Mark
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.sequencer import Cosign, Signing
from titer.provenance.ledger.store import Store

ORIGIN = "hospital.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_PUBLIC = KEY.public_key()


def sign(checkpoint: Checkpoint) -> bytes:
    text = f"{checkpoint.origin}\n{checkpoint.size}\n{base64.b64encode(checkpoint.root).decode()}\n"
    return f"{text}\n— {ORIGIN} {base64.b64encode(KEY.sign(text.encode())).decode()}\n".encode()


def check(note: bytes) -> Checkpoint:
    try:
        text, _, rest = note.decode().partition("\n\n")
        _PUBLIC.verify(base64.b64decode(rest.splitlines()[0].split(" ")[2], validate=True), f"{text}\n".encode())
        origin, size, root = text.split("\n")
    except (ValueError, IndexError, InvalidSignature) as error:
        raise RecordError("a signed checkpoint", "none", "fetch it again", code="note.invalid") from error
    return Checkpoint(origin, int(size), base64.b64decode(root))


def leaf(key: object, counter: int, more: bytes = b"") -> bytes:
    return b"%s|%d|%s" % (str(key).encode(), counter, more or b"x" * (40 + counter * 7 % 90))


def admit(raw: bytes) -> Admitted:
    try:
        key, counter, _ = raw.split(b"|", 2)
        return Admitted(key.decode(), int(counter))
    except ValueError as error:
        raise RecordError("key|counter|more", repr(raw[:20]), "say who counts", code="record.invalid") from error


def make(folder: Path, url: str | None = None, *, predecessor: str = "", **options: object) -> Ledger:
    """A new ledger, its mark in another folder."""
    folder.mkdir(parents=True, exist_ok=True)
    Store.create(url or address(folder), origin=ORIGIN, predecessor=predecessor).close()
    mark_of(folder).create(Mark(ORIGIN, 0, merkle.EMPTY))
    return reopen(folder, url, **options)


def reopen(
    folder: Path,
    url: str | None = None,
    *,
    cosign: Cosign | None = None,
    satisfied: object = None,
    threads: int = 4,
    patience: float = 3.0,
    mark: Path | None = None,
) -> Ledger:
    """A ledger that is there."""
    signing = Signing(sign, check, cosign, satisfied or (lambda _: True))  # type: ignore[arg-type]
    store = Store.open(url or address(folder))
    place = FileMark(mark) if mark else mark_of(folder)
    return Ledger(store, Site(folder, threads=threads), place, ORIGIN, signing, admit, patience=patience)


def address(folder: Path) -> str:
    return f"sqlite:///{folder}/entries.sqlite"


def mark_of(folder: Path) -> FileMark:
    return FileMark(folder.with_name(folder.name + "-mark") / "mark")


def examined(folder: Path, url: str | None = None, *, repair: bool = False, mark: Path | None = None) -> Findings:
    """What fsck finds."""
    store = Store.open(url or address(folder))
    site = Site(folder, threads=1)
    try:
        return Fsck(store, site, FileMark(mark) if mark else mark_of(folder), check, admit).run(repair=repair)
    finally:
        store.close()

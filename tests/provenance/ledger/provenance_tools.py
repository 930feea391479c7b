"""Ledgers for tests: real stores and files, with a plain Ed25519 signature and leaves that say who counts."""

from __future__ import annotations

import base64
import functools
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from titer.errors import RecordError
from titer.provenance.ledger import batch, merkle, settings
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.fsck import Findings, Fsck
from titer.provenance.ledger.ledger import Admitted, Ledger
from titer.provenance.ledger.mark import FileMark, Mark
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.record import Record, origin_of
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


# -- real records, for what is measured and for the command line ------------------------------------------------------


def signed_leaf(name: str, counter: int, *, sign: bool = True) -> bytes:
    """A record as a DICOM gateway makes it: seven commitments, signed by the capture key of a name."""
    key = capture_key(name)
    labels = ("px.v1", "cs.v1", "rd.v1", "hb.v1", "id.patient.v1", "id.study.v1", "id.series.v1")
    made = Record(
        kind="capture",
        origin=origin_of(ORIGIN),
        capture_key=key.public_key().public_bytes_raw().hex(),
        counter=counter,
        prev=f"{counter:064x}",
        nonce=f"{counter:032x}",
        claimed_time=1_700_000_000 + counter,
        data="dicom",
        fp={label: sha256(f"{label}{counter}".encode()).hexdigest() for label in labels},
        ext={"program": sha256(b"gateway").hexdigest()},
    )
    if sign:
        return made.sign(key.sign)
    return made.canonical() + b"\n" + base64.b64encode(bytes(64)) + b"\n"


@functools.cache
def capture_key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def signed_batch(name: str, many: int) -> tuple[list[bytes], bytes]:
    """Records without signatures of their own, and one over all."""
    leaves = [signed_leaf(name, n, sign=False) for n in range(many)]
    return leaves, capture_key(name).sign(batch.message(leaves))


def make_signed(folder: Path, *, check_signatures: bool = True, checkers: int = 0) -> Ledger:
    """A ledger as `titer ledger init` makes it, both signatures on its checkpoints."""
    settings.create(folder, ORIGIN, str(mark_of(folder).path))
    made = settings.opened(folder, checkers=checkers)
    if not check_signatures:
        made._admit = functools.partial(settings.formed, ORIGIN)
    return made

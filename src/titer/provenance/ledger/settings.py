"""A ledger's folder: what it holds is named in `ledger.json`, beside the keys that sign for it.

FOLDER/ledger.json      origin, database, where the high-water mark is, keys, policy
FOLDER/keys/            private keys, readable by their owner only
FOLDER/entries.sqlite   the entries, unless a PostgreSQL database is named
FOLDER/public/          what is served
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import merkle, note, record
from titer.provenance.ledger.admission import Admitted, Checkers
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.export import restore
from titer.provenance.ledger.fsck import Findings, Fsck
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.mark import Mark, open_mark
from titer.provenance.ledger.mirror import source_at
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.publish import Site, failing, put
from titer.provenance.ledger.sequencer import Cosign, Signing
from titer.provenance.ledger.store import Store

PrivateKey = Ed25519PrivateKey | MLDSA44PrivateKey

_FORMAT = 1
_FILE = "ledger.json"


@dataclass(frozen=True)
class Settings:
    """What `ledger.json` says.

    Arguments
        origin: the log's name.
        mark: where the high-water mark is: an absolute path, or a database's address.
        database: the address of the entries; None for SQLite in the folder.
        keys: the private keys' files, the Ed25519 key first.
        policy: the policy's file (tlog-policy); None for a log without witnesses.
        format: the version of this file.
    """

    origin: str
    mark: str
    database: str | None = None
    keys: tuple[str, ...] = ()
    policy: str | None = None
    format: int = _FORMAT

    def url(self, folder: Path) -> str:
        """The address of the entries."""
        return self.database or f"sqlite:///{folder.resolve()}/entries.sqlite"

    def near(self, folder: Path) -> bool:
        """Whether the mark shares a disk with the ledger, and so would be lost, or restored, with it."""
        if "://" in self.mark:
            return False
        return Path(self.mark).parent.stat().st_dev == folder.stat().st_dev


def create(
    folder: Path,
    origin: str,
    mark: str,
    *,
    database: str | None = None,
    policy: Path | None = None,
    ml_dsa: bool = True,
    predecessor: str = "",
) -> Settings:
    """Make a ledger: folder, keys, empty tables, and the mark of an empty tree.

    Refuses a folder that holds one, a mark that is there, and a mark in the folder, which a backup would take along.
    """
    if (folder / _FILE).exists():
        raise LedgerError("a folder without a ledger", f"{folder}", "choose another", code="ledger.exists")
    place = mark if "://" in mark else str(Path(mark).resolve())
    if "://" not in mark and Path(place).is_relative_to(folder.resolve()):
        raise LedgerError(
            "a high-water mark outside the ledger's folder",
            mark,
            "choose another disk, best of another host: a backup must not take it along",
            code="mark.inside",
        )
    with failing(f"a folder {folder}"):
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        (folder / "keys").chmod(0o700)
    keys: tuple[tuple[str, PrivateKey], ...] = (("keys/ed25519.pem", Ed25519PrivateKey.generate()),)
    if ml_dsa:
        keys += (("keys/ml-dsa-44.pem", MLDSA44PrivateKey.generate()),)
    for name, key in keys:
        put(folder / name, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    kept = None
    if policy is not None:
        put(folder / "policy.txt", policy.read_bytes())
        kept = "policy.txt"
    settings = Settings(origin, place, database, tuple(name for name, _ in keys), kept)
    # A key that cannot sign, or a policy that cannot be read, is found before anything else is made.
    signing(folder, settings)
    Store.create(settings.url(folder), origin=origin, predecessor=predecessor).close()
    where = open_mark(place)
    where.create(Mark(origin, 0, merkle.EMPTY))
    where.close()
    _write(folder, settings)
    return settings


def read(folder: Path) -> Settings:
    """What a ledger's folder says of it."""
    try:
        told: dict[str, Any] = json.loads((folder / _FILE).read_bytes())
        found = Settings(**{**told, "keys": tuple(told["keys"])})
    except FileNotFoundError as error:
        raise LedgerError(
            "a ledger's folder", f"{folder} without {_FILE}", "see `titer ledger init`", code="ledger.missing"
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LedgerError(
            f"settings in {folder / _FILE}", str(error), "mend the file", code="ledger.settings"
        ) from error
    if found.format != _FORMAT:
        raise LedgerError(
            f"settings of format {_FORMAT}", f"{found.format}", "use the Titer that wrote them", code="ledger.settings"
        )
    return found


def opened(folder: Path, cosign: Cosign | None = None, *, checkers: int = 0) -> Ledger:
    """The ledger in a folder.

    Arguments
        folder: where it is.
        cosign: asks witnesses; see `titer.provenance.ledger.sequencer.Cosign`.
        checkers: processes that check records, where hundreds come in a second; 0 to check in the thread that appends.
    """
    settings = read(folder)
    store = Store.open(settings.url(folder))
    known = store.said("origin")
    if known != settings.origin:
        store.close()
        raise LedgerError(
            f"entries of {settings.origin}", f"{known}", "name the right database", code="ledger.settings"
        )
    check = partial(admit, settings.origin)
    return Ledger(
        store,
        Site(folder),
        open_mark(settings.mark),
        settings.origin,
        signing(folder, settings, cosign),
        check,
        checkers=Checkers(check, checkers) if checkers else None,
    )


def signers(folder: Path, settings: Settings) -> list[note.Signer]:
    """The log's keys, under its name. Refuses a key file that others may read."""
    found = []
    for name in settings.keys:
        path = folder / name
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
                f"chmod 600 {path}; if others may have read it, begin a shard with a new one",
                code="key.open",
            )
        try:
            key = load_pem_private_key(raw, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise LedgerError(
                f"a private key in {path}", str(error), "bring it back from its safe", code="key.invalid"
            ) from error
        if not isinstance(key, Ed25519PrivateKey | MLDSA44PrivateKey):
            raise LedgerError(
                f"an Ed25519 or ML-DSA-44 key in {path}",
                type(key).__name__,
                "see `titer ledger init`",
                code="key.invalid",
            )
        found.append(note.Signer(settings.origin, key))
    if not found or found[0].verifier.kind != note.ED25519:
        raise LedgerError(
            "an Ed25519 key, named first", f"{settings.keys}", "see `titer ledger init`", code="key.missing"
        )
    return found


def verifier_keys(folder: Path, settings: Settings) -> list[str]:
    """The public halves, as words to hand on."""
    return [str(each.verifier) for each in signers(folder, settings)]


def policy_text(folder: Path, settings: Settings) -> str:
    """The policy for whoever checks receipts: the log's Ed25519 key, then what its own policy asks of witnesses."""
    line = f"log {verifier_keys(folder, settings)[0]}\n"
    if settings.policy is None:
        return f"{line}quorum none\n"
    asked = (folder / settings.policy).read_text(encoding="latin-1")
    return asked if line.strip() in asked.splitlines() else line + asked


def checker(keys: Sequence[str]) -> Callable[[bytes], Checkpoint]:
    """What reads checkpoints that are signed under all of these verifier keys of one log."""
    return partial(_checked, tuple(note.Verifier.parse(key) for key in keys))


def _checked(keys: tuple[note.Verifier, ...], raw: bytes) -> Checkpoint:
    signed = note.Note.parse(raw)
    found = note.opened(signed, keys)
    told = Checkpoint.parse(signed.text)
    missing = [key.name for key in keys if key not in found]
    if missing or keys[0].name != told.origin:
        raise RecordError(
            f"a checkpoint of {keys[0].name} with {len(keys)} of its signatures",
            f"one of {told.origin} with {len(keys) - len(missing)}",
            "fetch it again, from its own log",
            code="signature.missing",
        )
    return told


def signing(folder: Path, settings: Settings, cosign: Cosign | None = None) -> Signing:
    """How the log in a folder signs, and when its checkpoints may be published."""
    mine = signers(folder, settings)

    def sign(checkpoint: Checkpoint) -> bytes:
        text, now = checkpoint.text(), max(0, int(time.time()))
        return note.Note(text, tuple(each.sign(text, now) for each in mine)).format()

    check = partial(_checked, tuple(each.verifier for each in mine))
    if settings.policy is None:
        return Signing(sign, check, cosign)
    rules = Policy.parse((folder / settings.policy).read_bytes())
    key = mine[0].verifier
    if key not in rules.logs:
        # Keys are younger than the policy; what it asks is which witnesses count.
        rules = replace(rules, logs=(*rules.logs, key))
    return Signing(sign, check, cosign, lambda raw: rules.judge(raw).satisfied)


def admit(origin: str, leaf: bytes) -> Admitted:
    """Check a record: its form, its signature under the key that it names, and that it is meant for this log."""
    return _meant(origin, record.verify(leaf))


def formed(origin: str, leaf: bytes) -> Admitted:
    """Check a record but for its signature."""
    return _meant(origin, record.parse(leaf))


def _meant(origin: str, told: record.Record) -> Admitted:
    if told.origin != record.origin_of(origin):
        raise RecordError(
            f"a record for {origin}", "one for another log", "send it to its own log", code="record.origin"
        )
    return Admitted(told.capture_key, told.counter)


def examine(folder: Path, *, repair: bool = False, resume: bool = False, formats: bool = True) -> Findings:
    """Run `fsck` on the ledger in a folder; `resume` lets a halted log go on if nothing is wrong."""
    settings = read(folder)
    store, site, mark = Store.open(settings.url(folder)), Site(folder, threads=1), open_mark(settings.mark)
    try:
        check = signing(folder, settings).check
        found = Fsck(store, site, mark, check, partial(formed, settings.origin) if formats else None).run(repair=repair)
        if resume and not found.faults:
            with store.writing() as tx:
                tx.unsay("halted")
        return found
    finally:
        mark.close()
        store.close()


def restored(source: str, folder: Path, database: str | None = None) -> Checkpoint:
    """Fill the ledger's empty database from an export or a mirror; see `titer.provenance.ledger.export.restore`."""
    settings = read(folder)
    if database is not None:
        settings = replace(settings, database=database)
    mark = open_mark(settings.mark)
    try:
        check = signing(folder, settings).check
        told = restore(source_at(source), settings.url(folder), folder, check, partial(formed, settings.origin), mark)
    finally:
        mark.close()
    if database is not None:
        _write(folder, settings)
    return told


def succeeded(old: Path, folder: Path, origin: str, mark: str, database: str | None, predecessor: str) -> Ledger:
    """The log that follows another, under the same policy and with keys of its own."""
    before = read(old)
    create(
        folder,
        origin,
        mark,
        database=database,
        policy=old / before.policy if before.policy else None,
        ml_dsa=len(before.keys) > 1,
        predecessor=predecessor,
    )
    return opened(folder)


def state(folder: Path) -> dict[str, str]:
    """How a ledger is, in words; nothing is changed and no lease is taken."""
    settings = read(folder)
    store, mark = Store.open(settings.url(folder)), open_mark(settings.mark)
    try:
        published, known = store.published(), mark.read()
        holder, token, _ = store.lease()
        told = {
            "origin": settings.origin,
            "state": store.said("state") or "open",
            "entries": str(store.size()),
            "published": "none" if published is None else str(published.size),
            "queued": str(store.waiting()),
            "sequencer": f"{holder or 'none'} (fencing token {token})",
            "mark": "missing" if known is None else str(known),
            "mark on the ledger's disk": "yes: move it to another host" if settings.near(folder) else "no",
        }
        told |= {name: said for name in ("halted", "predecessor", "successor") if (said := store.said(name))}
        return told
    finally:
        mark.close()
        store.close()


def _write(folder: Path, settings: Settings) -> None:
    put(folder / _FILE, json.dumps(asdict(settings), indent=2).encode() + b"\n")

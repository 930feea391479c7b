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

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import logkeys, merkle, note, record
from titer.provenance.ledger.admission import Admitted, Checkers
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.cosigning_http import addresses, witnesses
from titer.provenance.ledger.keyfile import PrivateKey, read_private, write_private
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.mark import Mark, open_mark
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.publish import Site, failing, put
from titer.provenance.ledger.sequencer import Cosign, Signing
from titer.provenance.ledger.store import Store

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
        leaving: those of `keys` that a rotation will take away.
        former: public keys that signed before, and the largest size that they may have signed alone.
        format: the version of this file.
    """

    origin: str
    mark: str
    database: str | None = None
    keys: tuple[str, ...] = ()
    policy: str | None = None
    leaving: tuple[str, ...] = ()
    former: tuple[tuple[tuple[str, ...], int | None], ...] = ()
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
    if not origin.isprintable() or origin != "".join(origin.split()) or "+" in origin or not origin:
        raise LedgerError(
            "a log's name without spaces and plus signs",
            repr(origin)[:80],
            "name it under a domain of yours, and the period: ledger.hospital.example/2026",
            code="ledger.origin",
        )
    place = mark if "://" in mark else str(Path(mark).resolve())
    if "://" not in mark and Path(place).is_relative_to(folder.resolve()):
        raise LedgerError(
            "a high-water mark outside the ledger's folder",
            mark,
            "choose another disk, best of another host: a backup must not take it along",
            code="mark.inside",
        )
    keys = make_keys(folder, ml_dsa=ml_dsa)
    kept = None
    if policy is not None:
        put(folder / "policy.txt", policy.read_bytes())
        kept = "policy.txt"
    settings = Settings(origin, place, database, keys, kept)
    # A key that cannot sign, or a policy that cannot be read, is found before anything else is made.
    signing(folder, settings)
    Store.create(settings.url(folder), origin=origin, predecessor=predecessor).close()
    where = open_mark(place)
    where.create(Mark(origin, 0, merkle.EMPTY))
    where.close()
    write(folder, settings)
    return settings


def read(folder: Path) -> Settings:
    """What a ledger's folder says of it."""
    try:
        told: dict[str, Any] = json.loads((folder / _FILE).read_bytes())
        told["keys"], told["leaving"] = tuple(told["keys"]), tuple(told.get("leaving", ()))
        told["former"] = tuple((tuple(keys), until) for keys, until in told.get("former", ()))
        found = Settings(**told)
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
        cosign: asks witnesses (see `titer.provenance.ledger.sequencer.Cosign`); None for those whose addresses the
            policy names.
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


def make_keys(folder: Path, *, ml_dsa: bool = True) -> tuple[str, ...]:
    """New private keys in files of their own, Ed25519 first; gives the files' names."""
    with failing(f"a folder {folder}"):
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        (folder / "keys").chmod(0o700)
    keys: tuple[tuple[str, PrivateKey], ...] = (("keys/ed25519.pem", Ed25519PrivateKey.generate()),)
    if ml_dsa:
        keys += (("keys/ml-dsa-44.pem", MLDSA44PrivateKey.generate()),)
    for name, key in keys:
        write_private(folder / name, key)
    return tuple(name for name, _ in keys)


def signers(folder: Path, settings: Settings) -> list[note.Signer]:
    """The log's keys, under its name. Refuses a key file that others may read."""
    found = signers_of(folder, settings.origin, settings.keys)
    if not found or found[0].verifier.kind != note.ED25519:
        raise LedgerError(
            "an Ed25519 key, named first", f"{settings.keys}", "see `titer ledger init`", code="key.missing"
        )
    return found


def signers_of(folder: Path, name: str, keys: Sequence[str], *, cosigner: bool = False) -> list[note.Signer]:
    """The keys in files, under a name; as those of a witness with `cosigner`."""
    return [note.Signer(name, read_private(folder / file), cosigner) for file in keys]


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
    return partial(logkeys.checked, tuple(note.Verifier.parse(key) for key in keys))


def signing(folder: Path, settings: Settings, cosign: Cosign | None = None) -> Signing:
    """How the log in a folder signs, and when its checkpoints may be published."""

    def load() -> logkeys.Current:
        # Keys are those of the settings as they are then: a rotation changes them under running processes.
        told = read(folder) if (folder / _FILE).exists() else settings
        former = tuple(logkeys.Former(tuple(map(note.Verifier.parse, keys)), until) for keys, until in told.former)
        return logkeys.Current(tuple(signers(folder, told)), former)

    mine = logkeys.LogKeys(load, folder / _FILE)

    def sign(checkpoint: Checkpoint) -> bytes:
        return mine.sign(checkpoint, max(0, int(time.time())))

    if settings.policy is None:
        return Signing(sign, mine.check, cosign)
    policy = (folder / settings.policy).read_bytes()
    rules = Policy.parse(policy)

    def satisfied(raw: bytes) -> bool:
        # Keys may be younger than the policy; what is asked is which witnesses count.
        now = mine.current()
        keys = [now.keys[0], *(each.keys[0] for each in now.former)]
        more = tuple(key for key in keys if key not in rules.logs)
        return replace(rules, logs=(*rules.logs, *more)).judge(raw).satisfied

    asked = witnesses(policy, mine, satisfied, folder / "evidence")
    if cosign is not None or asked is None:
        return Signing(sign, mine.check, cosign, satisfied)
    return Signing(sign, mine.check, asked, satisfied, asked.keep, asked.close)


def govern(folder: Path, policy: bytes) -> dict[str, str]:
    """Give a ledger another policy, from its next start on; gives the addresses of its witnesses."""
    settings = replace(read(folder), policy="policy.txt")
    asked = addresses(policy)
    put(folder / "policy.txt", policy)
    write(folder, settings)
    return asked


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


def write(folder: Path, settings: Settings) -> None:
    """Put settings in place."""
    put(folder / _FILE, json.dumps(asdict(settings), indent=2).encode() + b"\n")

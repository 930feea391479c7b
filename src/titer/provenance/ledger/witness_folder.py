"""A witness's folder: its name, its keys, the logs that it watches, and what it has cosigned.

FOLDER/witness.json              name, keys, verifier keys of the logs
FOLDER/keys/                     private keys, readable by their owner only
FOLDER/state/HASH/checkpoint     the latest cosigned checkpoint of a log; HASH is the SHA-256 of its origin
FOLDER/state/HASH/evidence/      checkpoints of that log that do not follow those cosigned, with those

The folder must never be restored from a backup: a witness that has forgotten would sign a second history.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from titer.errors import LedgerError
from titer.provenance.ledger import note
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.publish import failing, put
from titer.provenance.ledger.settings import make_keys, signers_of
from titer.provenance.ledger.witness import Witness

_FILE = "witness.json"
_NONE = b"none cosigned yet\n"
_MOST = 64


@dataclass(frozen=True)
class WitnessSettings:
    """What `witness.json` says.

    Arguments
        name: the witness's name, a URL without scheme such as witness.example/w1.
        keys: the private keys' files. logs: verifier keys of the logs that are watched. format: version of the file.
    """

    name: str
    keys: tuple[str, ...]
    logs: tuple[str, ...] = ()
    format: int = 1


def create(folder: Path, name: str, *, ml_dsa: bool = True) -> WitnessSettings:
    """Make a witness: folder and keys. Refuses a folder that holds one."""
    if (folder / _FILE).exists():
        raise LedgerError("a folder without a witness", f"{folder}", "choose another", code="witness.exists")
    made = WitnessSettings(name, make_keys(folder, ml_dsa=ml_dsa))
    signers_of(folder, made.name, made.keys, cosigner=True)
    _write(folder, made)
    return made


def read(folder: Path) -> WitnessSettings:
    """What a witness's folder says of it."""
    try:
        told = json.loads((folder / _FILE).read_bytes())
        found = WitnessSettings(**{**told, "keys": tuple(told["keys"]), "logs": tuple(told["logs"])})
    except FileNotFoundError as error:
        raise LedgerError(
            "a witness's folder", f"{folder} without {_FILE}", "see `titer ledger witness init`", code="witness.missing"
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LedgerError(
            f"settings in {folder / _FILE}", str(error), "mend the file", code="witness.settings"
        ) from error
    if found.format != 1:
        raise LedgerError(
            "settings of format 1", f"{found.format}", "use the Titer that wrote them", code="witness.settings"
        )
    return found


def trust(folder: Path, keys: Sequence[str]) -> WitnessSettings:
    """Watch logs, by their verifier keys; a log with two keys is named by both."""
    settings = read(folder)
    new = [note.Verifier.parse(key) for key in keys]
    for each in new:
        place = _place(folder, each.name)
        with failing("a folder for what is cosigned"):
            (place / "evidence").mkdir(parents=True, exist_ok=True)
        # Written once: that it is missing later means that a memory was lost, not that there was none. One that is
        # there stays, whatever the settings say: a log that was left out and comes back has the past that it had.
        known = {note.Verifier.parse(key).name for key in settings.logs}
        if each.name not in known and not (place / "checkpoint").exists():
            put(place / "checkpoint", _NONE)
        settings = replace(settings, logs=(*(key for key in settings.logs if key != str(each)), str(each)))
    _write(folder, settings)
    return settings


def opened(folder: Path) -> Witness:
    """The witness in a folder."""
    settings = read(folder)

    @contextmanager
    def hold(origin: str) -> Iterator[FolderMemory]:
        with FolderMemory(_place(folder, origin)).held() as memory:
            yield memory

    signers = signers_of(folder, settings.name, settings.keys, cosigner=True)
    return Witness(signers, [note.Verifier.parse(key) for key in settings.logs], hold)


def verifier_keys(folder: Path) -> list[str]:
    """The public halves of a witness's keys, as words for policies."""
    settings = read(folder)
    return [str(each.verifier) for each in signers_of(folder, settings.name, settings.keys, cosigner=True)]


@dataclass(frozen=True)
class Watched:
    """A log as a witness sees it: size and root of the latest cosigned checkpoint, and files of evidence against it."""

    origin: str
    latest: Checkpoint | None
    evidence: tuple[Path, ...]


def watched(folder: Path) -> list[Watched]:
    """All logs that a witness watches."""
    found = []
    for origin in dict.fromkeys(note.Verifier.parse(key).name for key in read(folder).logs):
        memory = FolderMemory(_place(folder, origin))
        raw = memory.latest()
        latest = None if raw is None else Checkpoint.parse(note.Note.parse(raw).text)
        found.append(Watched(origin, latest, tuple(sorted(memory.evidence.iterdir()))))
    return found


class FolderMemory:
    """What is remembered of one log, in a folder."""

    def __init__(self, place: Path) -> None:
        self.place, self.evidence = place, place / "evidence"

    @contextmanager
    def held(self) -> Iterator[FolderMemory]:
        """Hold it against other threads and processes."""
        with failing("a state that can be locked"):
            handle = os.open(self.place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with failing("a state that can be locked"):
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield self
        finally:
            os.close(handle)

    def latest(self) -> bytes | None:
        """The latest cosigned checkpoint; None if there was none."""
        try:
            raw = (self.place / "checkpoint").read_bytes()
        except OSError as error:
            raise LedgerError(
                "what was cosigned last", str(error.strerror),
                "find it again, or begin a witness with a new name: this one must not sign from memory loss",
                code="witness.state",
            ) from error  # fmt: skip
        return None if raw == _NONE else raw

    def keep(self, cosigned: bytes) -> None:
        """Replace it, flushed to disk."""
        put(self.place / "checkpoint", cosigned)

    def suspect(self, tried: bytes, latest: bytes) -> None:
        """Keep both as evidence: each pair once, and not more than dozens, for a thief of the key could send many."""
        told = Checkpoint.parse(note.Note.parse(tried).text)
        path = self.evidence / f"{told.size}-{told.root.hex()[:16]}.txt"
        if not path.exists() and sum(1 for _ in self.evidence.iterdir()) < _MOST:
            put(path, b"cosigned before:\n\n" + latest + b"\nthen asked for:\n\n" + tried)


def _place(folder: Path, origin: str) -> Path:
    return folder / "state" / sha256(origin.encode()).hexdigest()


def _write(folder: Path, settings: WitnessSettings) -> None:
    put(folder / _FILE, json.dumps(asdict(settings), indent=2).encode() + b"\n")

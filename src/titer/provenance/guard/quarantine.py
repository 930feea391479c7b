"""Where withheld objects are kept: nothing is dropped, a person is told, and two people together may override."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from titer.errors import GuardError, LedgerError
from titer.provenance.guard.trail.codes import known
from titer.provenance.ledger.publish import put

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Held:
    """One withheld object.

    Arguments
        name: its name here. verdict, reasons: why. kind: of data, None where it told itself.
        decision: hash of the decision's leaf (hexadecimal). record: of the record it was held against, "" without.
        sha256: of each file, by name. released: who released it, empty while it is held.
    """

    name: str
    verdict: str
    reasons: tuple[str, ...]
    kind: str | None
    decision: str
    record: str
    sha256: Mapping[str, str]
    released: tuple[str, ...] = ()


def tell(held: Held) -> None:
    """Tells the log of the program; give the quarantine a callable that reaches a person."""
    _LOG.warning("withheld %s: %s (%s)", held.name, held.verdict, ", ".join(known(held.reasons)))


class Quarantine:
    """A folder that only its owner may read.

    Arguments
        folder: made if it is not there. tell: called with each `Held`, to reach a person.
    """

    def __init__(self, folder: Path, tell: Callable[[Held], None] = tell) -> None:
        self.folder = folder
        self._tell = tell
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(
        self,
        source: bytes | Mapping[str, bytes],
        verdict: str,
        reasons: tuple[str, ...],
        *,
        decision: bytes,
        kind: str | None = None,
        record: bytes | None = None,
    ) -> Held:
        """Keep an object, and tell."""
        files = {"object": source} if isinstance(source, bytes) else dict(source)
        name = secrets.token_hex(16)
        place = self.folder / name
        try:
            place.mkdir(mode=0o700)
        except OSError as error:
            raise self._failed(error) from error
        # Files are numbered: a name that came with the object must not choose a path.
        for number, raw in enumerate(files.values()):
            put(place / f"{number}", raw, 0o600)
        digests = {each: hashlib.sha256(raw).hexdigest() for each, raw in files.items()}
        record_name = "" if record is None else record.hex()
        held = Held(name, verdict, tuple(reasons), kind, decision.hex(), record_name, digests)
        self._write(held)
        self._tell(held)
        return held

    def get(self, name: str) -> Held:
        """What is known of a withheld object."""
        try:
            if not _NAME.fullmatch(name):
                raise ValueError("not a name of the quarantine")
            told = json.loads((self.folder / name / "held.json").read_bytes())
            told["reasons"], told["released"] = tuple(told["reasons"]), tuple(told["released"])
            return Held(**told)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GuardError(
                "a withheld object", repr(name)[:40], "list them with `held()`", code="quarantine.missing"
            ) from error

    def read(self, held: Held) -> bytes | dict[str, bytes]:
        """The object itself; GuardError where it is not what was kept."""
        files = {}
        for number, (each, wanted) in enumerate(held.sha256.items()):
            try:
                raw = (self.folder / held.name / f"{number}").read_bytes()
            except OSError as error:
                raise self._failed(error) from error
            if hashlib.sha256(raw).hexdigest() != wanted:
                raise GuardError(
                    "the object that was kept", "another", "restore it from a backup", code="quarantine.damaged"
                )
            files[each] = raw
        return files["object"] if list(files) == ["object"] else files

    def held(self) -> list[Held]:
        """All that is withheld and not released, by name."""
        names = sorted(path.parent.name for path in self.folder.glob("*/held.json"))
        return [each for each in map(self.get, names) if not each.released]

    def release(self, held: Held, first: str, second: str) -> None:
        """Note who released an object."""
        self._write(Held(**{**asdict(held), "released": (first, second)}))

    def _write(self, held: Held) -> None:
        put(self.folder / held.name / "held.json", json.dumps(asdict(held)).encode(), 0o600)

    def _failed(self, error: OSError) -> LedgerError:
        return LedgerError(
            "a quarantine that can be read and written",
            f"{error.strerror} ({os.fspath(self.folder)})",
            "make room, or look at the disk: what cannot be kept is not passed on",
            code="quarantine.unavailable",
        )


def require_two(first: str, second: str) -> tuple[str, str]:
    """Two different people, or GuardError.

    >>> require_two("A. Jones", "a. jones ")
    Traceback (most recent call last):
    titer.errors.GuardError: expected the names of two people, got one twice; ...
    """
    one, other = first.strip(), second.strip()
    if not _bare(one) or not _bare(other) or _bare(one) == _bare(other):
        raise GuardError(
            "the names of two people",
            "one twice" if _bare(one) and _bare(other) else "an empty one",
            "ask a second person",
            code="override.people",
        )
    return one, other


def _bare(name: str) -> str:
    """Letters and digits of a name: blanks, dots, hidden characters and other forms of a letter make nobody another."""
    return "".join(each for each in unicodedata.normalize("NFKC", name).casefold() if each.isalnum())

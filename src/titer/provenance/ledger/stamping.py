"""Having checkpoints stamped: a token from each authority per interval, beside the site's files.

FOLDER/authorities.json                        who is asked, and how often
FOLDER/tokens/list                             a line for each: size, authority, times of its first and last token
FOLDER/tokens/SIZE/checkpoint                  the checkpoint that was stamped, as it was published
FOLDER/tokens/SIZE/AUTHORITY.first.tsr         its first token: the least upper bound for what it covers
FOLDER/tokens/SIZE/AUTHORITY.last.tsr          its last: the greatest lower bound for what comes after

No failure stops the ledger: what could not be stamped is tried again, and `titer ledger status` tells how old the last
token of each authority is.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from titer.errors import LedgerError, ProvenanceError, RecordError
from titer.provenance.ledger import tokens
from titer.provenance.ledger.checkpoint import Checkpoint, number
from titer.provenance.ledger.note import Note
from titer.provenance.ledger.publish import failing, put

_LOG = logging.getLogger(__name__)
_FILE = "authorities.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_AGAIN = 60.0
_MOST = 64
"""The most authorities of a list."""


@dataclass(frozen=True)
class Authority:
    """One that is asked for tokens.

    Arguments
        name: a word of lower-case letters, digits and dashes; files are named by it. url: where it is asked.
        roots: the file with its root certificates.
    """

    name: str
    url: str
    roots: str


@dataclass(frozen=True)
class Stamped:
    """A checkpoint and its tokens by one authority: size, and when the first and the last were made (seconds)."""

    size: int
    authority: str
    first: int
    last: int


def authorities(folder: Path) -> tuple[float, tuple[Authority, ...]]:
    """The interval in seconds, and who is asked; nobody where none was named."""
    try:
        told = json.loads((folder / _FILE).read_bytes())
        return float(told["interval"]), tuple(Authority(**each) for each in told["authorities"])
    except FileNotFoundError:
        return 3600.0, ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LedgerError(
            f"settings in {folder / _FILE}", str(error), "mend the file", code="token.settings"
        ) from error


def name_authority(
    folder: Path, name: str, url: str, roots: bytes, *, interval: float | None = None
) -> tuple[Authority, ...]:
    """Have checkpoints stamped by an authority as well, or by the same one at another address."""
    if not _NAME.fullmatch(name):
        raise LedgerError("a name of lower-case letters, digits and dashes", name, "choose another", code="token.name")
    if not url.startswith(("http://", "https://")):
        raise LedgerError("an address with http or https", url, "ask the authority for its own", code="token.address")
    if interval is not None and interval <= 0:
        raise LedgerError("an interval above 0", f"{interval}", "give it in seconds", code="token.interval")
    tokens.certificates(roots)
    before, others = authorities(folder)
    with failing("a folder for certificates"):
        (folder / "authorities").mkdir(exist_ok=True)
    put(folder / "authorities" / f"{name}.pem", roots)
    found = (*(each for each in others if each.name != name), Authority(name, url, f"authorities/{name}.pem"))
    told = {"interval": interval or before, "authorities": [asdict(each) for each in found]}
    put(folder / _FILE, json.dumps(told, indent=2).encode() + b"\n")
    return found


def parse_list(raw: bytes) -> list[Stamped]:
    """The list of tokens; LedgerError for one that is damaged."""
    try:
        rows = [line.split(" ") for line in raw.decode("ascii").splitlines()]
        found = [Stamped(number(size), name, number(first), number(last)) for size, name, first, last in rows]
        # Names choose files, and each authority asks for some: a list comes from whoever has the log.
        if (
            not all(_NAME.fullmatch(each.authority) for each in found)
            or len({each.authority for each in found}) > _MOST
        ):
            raise ValueError("names of a few authorities")
        return found
    except (ValueError, RecordError) as error:
        raise LedgerError("a list of time tokens", str(error), "fetch it again", code="token.list") from error


def stamped(folder: Path) -> list[Stamped]:
    """What was stamped, in order of size."""
    path = folder / "tokens" / "list"
    return parse_list(path.read_bytes()) if path.exists() else []


def last_tokens(folder: Path) -> dict[str, str]:
    """When each authority that is asked made its last token, in words."""
    found = {each.name: "none yet" for each in authorities(folder)[1]}
    for row in sorted(stamped(folder), key=lambda row: row.last):
        at = datetime.fromtimestamp(row.last, UTC)
        found[row.authority] = f"{at:%Y-%m-%dT%H:%M:%SZ}, on size {row.size}"
    return {f"last time token of {name}": said for name, said in found.items()}


def stamp(folder: Path, authority: Authority, note: bytes) -> Stamped:
    """Have a published checkpoint stamped, and keep the token.

    Raises LedgerError or RecordError where the authority does not answer, or answers with something else.
    """
    size = Checkpoint.parse(Note.parse(note).text).size
    raw, token = tokens.ask(authority.url, note, tokens.certificates((folder / authority.roots).read_bytes()))
    now = int(token.time.timestamp())
    place = folder / "tokens" / str(size)
    with failing("a folder for time tokens"):
        place.mkdir(parents=True, exist_ok=True)
    with _held(folder):
        known = stamped(folder)
        before = next((each for each in known if (each.size, each.authority) == (size, authority.name)), None)
        put(place / "checkpoint", note)
        if before is None:
            put(place / f"{authority.name}.first.tsr", raw)
        put(place / f"{authority.name}.last.tsr", raw)
        made = Stamped(size, authority.name, now, now) if before is None else replace(before, last=now)
        rows = sorted([*(each for each in known if each != before), made], key=lambda row: (row.size, row.authority))
        lines = "".join(f"{row.size} {row.authority} {row.first} {row.last}\n" for row in rows)
        put(folder / "tokens" / "list", lines.encode("ascii"))
    return made


class Stamper:
    """Has the published checkpoint stamped once per interval by each authority.

    Arguments
        folder: the ledger's folder. published: gives the published checkpoint; None where there is none yet.
        clock: seconds on a clock that never goes back.
    """

    def __init__(
        self, folder: Path, published: Callable[[], bytes | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._published, self._clock = folder, published, clock
        self._due: dict[str, float] = {}
        self.failures: dict[str, str] = {}

    def turn(self) -> float:
        """Ask those that are due; gives the seconds until the next is. Never raises for what they answer."""
        interval, asked = authorities(self._folder)
        for each in asked:
            if self._clock() >= self._due.get(each.name, 0.0):
                done = self._stamp(each)
                self._due[each.name] = self._clock() + (interval if done else min(interval, _AGAIN))
        return max(0.0, min((self._due[each.name] for each in asked), default=self._clock() + interval) - self._clock())

    def run(self, stop: threading.Event) -> None:
        """Ask again and again until told to stop."""
        while not stop.is_set():
            wait = _AGAIN
            try:
                wait = self.turn()
            except (ProvenanceError, OSError):
                _LOG.exception("time tokens")
            stop.wait(wait)

    def _stamp(self, authority: Authority) -> bool:
        try:
            note = self._published()
            if note is None:
                return False
            stamp(self._folder, authority, note)
        except (ProvenanceError, OSError) as error:
            code = error.code if isinstance(error, ProvenanceError) else "storage.io"
            if self.failures.get(authority.name) != code:
                _LOG.warning("time token of %s: %s", authority.name, code)
            self.failures[authority.name] = code
            return False
        self.failures.pop(authority.name, None)
        return True


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    with failing("a list of time tokens that can be locked"):
        handle = os.open(folder / "tokens" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with failing("a list of time tokens that can be locked"):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

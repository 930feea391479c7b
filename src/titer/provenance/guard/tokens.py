"""Who may ask: access tokens, of which a file holds the hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from pathlib import Path

from titer.errors import GuardError
from titer.provenance.ledger.publish import put

_LINE = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]{0,63}) (?P<hash>[0-9a-f]{64})", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_MOST = 10_000


class Tokens:
    """The tokens of a file, one caller a line: its name, a blank, and SHA-256 of its token in hexadecimal.

    Arguments
        path: of the file, which its owner alone may write. It is read again when it changes, so that a line that is
            taken out ends a caller's access at once.

    Tokens are 256 random bits (`issue` makes them), so that a plain hash cannot be guessed back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._hashes: dict[str, bytes] = {}
        self._current()

    def caller(self, token: str) -> str | None:
        """The caller that a token belongs to; None for no one's. Takes as long for a near miss as for any other."""
        given = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        found = None
        for name, known in self._current().items():
            if hmac.compare_digest(given, known):
                found = name
        return found

    def _current(self) -> dict[str, bytes]:
        with self._lock:
            try:
                told = self._path.stat()
                stamp = (told.st_ino, told.st_size, told.st_mtime_ns, told.st_mode)
                if stamp != self._stamp:
                    if told.st_mode & 0o022:
                        raise _refused("a file of tokens that its owner alone may write", "others may", "chmod go-w it")
                    self._hashes, self._stamp = _read(self._path.read_text(encoding="ascii")), stamp
            except (OSError, UnicodeDecodeError) as error:
                self._hashes, self._stamp = {}, None
                raise _refused("a file of tokens", type(error).__name__, "see `titer guard token`") from error
            return self._hashes


def issue(path: Path, name: str) -> str:
    """A new token for a caller; its hash goes into the file, made if it is not there, and the token is told once."""
    if not _NAME.fullmatch(name):
        raise _refused(
            "a caller's name of small letters, digits and hyphens", repr(name)[:40], "name the system, not a person"
        )
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    if name in _read("\n".join(lines)):
        raise _refused("a caller without a token", "one that has one", "take its line out of the file first")
    token = secrets.token_urlsafe(32)
    lines.append(f"{name} {hashlib.sha256(token.encode()).hexdigest()}")
    put(path, "".join(f"{line}\n" for line in lines).encode(), 0o600)
    return token


def _read(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None or parts["name"] in found or len(found) >= _MOST:
            raise _refused("a name and a hash, each name once", f"something else in line {number}", "mend the line")
        found[parts["name"]] = bytes.fromhex(parts["hash"])
    return found


def _refused(expected: str, got: str, remedy: str) -> GuardError:
    return GuardError(expected, got, remedy, code="tokens.invalid")

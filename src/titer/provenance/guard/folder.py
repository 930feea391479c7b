"""A site's private folder: the secret, the index, the keys, what is withheld, and why each decision was made.

FOLDER/site.json         where the index is
FOLDER/secret            the site's secret, under which tags are made
FOLDER/index.sqlite      the private index, unless a PostgreSQL database is named
FOLDER/keys/             capture.pem, guard.pem, override.pem, and more capture points: Ed25519 keys that sign records
FOLDER/quarantine/       what is withheld
FOLDER/decisions.sqlite  the reasons behind the digests in decisions
FOLDER/watched.sqlite    which files of watched folders were captured

Whoever has this folder can link leaves to contents: it is as confidential as the data, and never goes with the ledger.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from titer.errors import GuardError
from titer.provenance.guard.index import Index
from titer.provenance.guard.journal import Journal
from titer.provenance.guard.quarantine import Held, Quarantine, tell
from titer.provenance.ledger.keychange import public_of
from titer.provenance.ledger.keyfile import make_key, read_key, write_private
from titer.provenance.ledger.publish import failing, put

KEYS = ("capture", "guard", "override")
"""Whose keys a folder holds: those of capture point, guard, and releases, which have a chain of their own."""

_POINT = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FILE, _FORMAT = "site.json", 1
_SHARED = ("postgresql://", "postgresql+psycopg://")
_SAFE = "bring it back from its safe"


def create(folder: Path, *, index: str | None = None) -> Folder:
    """Make a site's folder, with a secret and keys of its own.

    Arguments
        index: the address of a PostgreSQL database that several hosts share; None for SQLite in the folder.
    """
    if (folder / _FILE).exists():
        raise _refused("a folder without a site", f"{folder}, which holds one", "choose another", "site.exists")
    if index is not None and not index.startswith(_SHARED):
        raise _refused("the address of a PostgreSQL database", "another", "leave it out for SQLite", "site.settings")
    with failing("a folder for the site"):
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        for each in (folder, folder / "keys"):
            each.chmod(0o700)
    put(folder / "secret", secrets.token_hex(32).encode(), 0o600)
    for name in KEYS:
        write_private(folder / f"keys/{name}.pem", Ed25519PrivateKey.generate())
    put(folder / _FILE, json.dumps({"format": _FORMAT, "index": index}).encode(), 0o600)
    return Folder(folder)


class Folder:
    """A site's private folder that is there; see the head of this module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            told = json.loads((path / _FILE).read_bytes())
            self._index = told["index"]
            if told["format"] != _FORMAT or not isinstance(self._index, str | None):
                raise ValueError
            # A folder may come from anybody: its address must not lead into another program's database file.
            if self._index is not None and not self._index.startswith(_SHARED):
                raise ValueError
        except FileNotFoundError as error:
            raise _refused(
                "a site's folder", f"{path} without {_FILE}", "make one with `titer guard init`", "site.missing"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _refused("settings of a site", type(error).__name__, f"mend {_FILE}", "site.settings") from error

    def index(self) -> Index:
        """The private index, open."""
        try:
            secret = bytes.fromhex(self._private("secret").decode("ascii"))
        except ValueError as error:
            raise _refused("a secret of hexadecimal digits", "another", _SAFE, "index.secret") from error
        return Index(self._index or f"sqlite:///{self.path.resolve()}/index.sqlite", secret)

    def quarantine(self, tell: Callable[[Held], None] = tell) -> Quarantine:
        """Where withheld objects are kept."""
        return Quarantine(self.path / "quarantine", tell)

    def journal(self) -> Journal:
        """The reasons behind decisions."""
        return Journal(self.path / "decisions.sqlite")

    def names(self) -> tuple[str, ...]:
        """The names of all keys: the three that every site has first, then those of further capture points."""
        there = sorted(path.stem for path in (self.path / "keys").glob("*.pem"))
        return (*KEYS, *(name for name in there if name not in KEYS))

    def add_point(self, name: str) -> str:
        """Make the key of a further capture point, which captures beside the others; returns its public half.

        Arguments
            name: small letters, digits and hyphens.
        """
        if not _POINT.fullmatch(name):
            raise _refused(
                "a name of at most 32 small letters, digits and hyphens", repr(name)[:40], "choose another", "key.name"
            )
        if name in self.names():
            raise _refused("a name that no key here has", name, "choose another", "key.exists")
        return public_of(make_key(self.path / f"keys/{name}.pem"))

    def public(self, name: str) -> str:
        """The public half of a key, in hexadecimal."""
        return public_of(self._load(name))

    @contextmanager
    def key(self, name: str, *, patience: float = 0.0) -> Iterator[Ed25519PrivateKey]:
        """A key, for this process alone: two that count records under one key would get in each other's way.

        Arguments
            patience: seconds to wait for another process to be done.
        """
        if name not in self.names():
            known = ", ".join(each for each in self.names() if each not in ("guard", "override"))
            raise _refused(f"a capture point of this site ({known})", name, "see `titer guard point`", "key.missing")
        until = time.monotonic() + patience
        with failing(f"the lock of the key {name}"):
            handle = os.open(self.path / f"keys/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= until:
                        raise _refused(
                            f"the key {name} for this process alone",
                            "another process that uses it",
                            "end that one first, or capture under a key of its own (titer guard point, --point)",
                            "key.in_use",
                        ) from error
                    time.sleep(0.05)
            yield self._load(name)
        finally:
            os.close(handle)

    def _load(self, name: str) -> Ed25519PrivateKey:
        return read_key(self.path / f"keys/{name}.pem")

    def _private(self, name: str) -> bytes:
        """A file that nobody else may read."""
        path = self.path / name
        try:
            mode, raw = path.stat().st_mode & 0o777, path.read_bytes()
        except OSError as error:
            raise _refused(f"the file {name}", str(error.strerror), _SAFE, "key.missing") from error
        if mode & 0o077:
            raise _refused(
                f"{name}, which its owner alone may read",
                f"mode {mode:o}",
                "chmod 600 it; if others may have read it, make another",
                "key.open",
            )
        return raw


def _refused(expected: str, got: str, remedy: str, code: str) -> GuardError:
    return GuardError(expected, got, remedy, code=code)

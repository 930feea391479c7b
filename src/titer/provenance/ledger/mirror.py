"""A mirror: another party's copy of a log, grown and checked entry by entry.

Only bundles are fetched; the mirror makes its own tiles from them and keeps a checkpoint only if they have its root. As
it goes on from the tree that it has, whatever it accepts is an extension of what it accepted before.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from titer.errors import LedgerError
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.recompute import WIDTH, Rebuild, place, read_edge, split_bundle

_LARGEST = WIDTH * (2 + 65535)
_PIECE = 1 << 20
_PATIENCE = 4
"""Times the seconds of one step, for a whole file."""


class Source(Protocol):
    """Where a log's files are read from."""

    def __call__(self, path: str) -> bytes | None:
        """The bytes at a path of the layout; None where there is none."""


def source_at(place: str, *, timeout: float = 30.0) -> Source:
    """The files of a log at an address (http, https) or in a folder."""
    if urllib.parse.urlsplit(place).scheme in ("http", "https"):
        return _Web(place.rstrip("/"), timeout)
    return _Folder(Path(place))


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, path: str) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreachable(f"{self._folder / path}: {error.strerror}") from error


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: a log must not choose which other servers of ours are asked."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


class _Web:
    def __init__(self, prefix: str, timeout: float) -> None:
        self._prefix, self._timeout = prefix, timeout

    def __call__(self, path: str) -> bytes | None:
        until, raw = time.monotonic() + _PATIENCE * self._timeout, b""
        try:
            with _OPENER.open(f"{self._prefix}/{path}", timeout=self._timeout) as answer:
                while len(raw) <= _LARGEST and (piece := answer.read1(_PIECE)):
                    raw += piece
                    if time.monotonic() > until:
                        raise TimeoutError("it dawdles")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise _unreachable(f"{path}: status {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(f"{path}: {error}") from error
        if len(raw) > _LARGEST:
            raise _unreachable(f"{path}: more than {_LARGEST} bytes")
        return raw


def mirror(source: Source, folder: Path, check: Callable[[bytes], Checkpoint]) -> Checkpoint:
    """Bring a mirror up to the log's checkpoint.

    Arguments
        source: where the log is.
        folder: the mirror's folder; its `public` can be served in turn.
        check: a note to its checkpoint; raises RecordError unless the log's signature is on it.

    Raises LedgerRolledBack with both checkpoints as evidence where the log shows a smaller tree than before
    (`mirror.rolled_back`) or another one (`mirror.forked`); LedgerError for files that do not give the checkpoint's
    root.
    """
    note = source("checkpoint")
    if note is None:
        raise _unreachable("checkpoint: none there")
    told = check(note)
    site = Site(folder)
    site.prepare()
    try:
        return _grow(source, site, note, told, check)
    finally:
        site.discard()
        site.close()


def _grow(
    source: Source, site: Site, note: bytes, told: Checkpoint, check: Callable[[bytes], Checkpoint]
) -> Checkpoint:
    mine = site.checkpoint()
    tree = Rebuild()
    if mine is not None:
        before = check(mine)
        if before.origin != told.origin:
            raise LedgerError(
                f"the log {before.origin}", told.origin, "use one folder for each log", code="mirror.other"
            )
        if told.size < before.size:
            raise evidence("mirror.rolled_back", "smaller than before", mine, note)
        found = read_edge(site.read, before.size)
        if isinstance(found, str) or found.root() != before.root:
            raise LedgerError(
                "a mirror that is whole",
                f"a damaged edge{f': public/{found}' if isinstance(found, str) else ''}",
                "empty the mirror's folder and fetch the log again; keep its checkpoint as evidence",
                code="mirror.damaged",
            )
        if told.size == before.size:
            if told.root != before.root:
                raise evidence("mirror.forked", "of the same size with another root", mine, note)
            return told
        tree = found
    for number in range(tree.size // WIDTH, (told.size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, told.size - number * WIDTH)
        leaves = _bundle(source, number, width)
        for leaf in leaves[tree.size - number * WIDTH :]:
            if full := tree.feed(leaf):
                site.stage(full)
    if tree.root() != told.root:
        if mine is not None:
            raise evidence("mirror.forked", "whose entries do not extend those before", mine, note)
        raise LedgerError(
            f"entries with the root of the checkpoint of size {told.size}",
            "entries with another root",
            "tell the log's operator, and keep both as evidence",
            code="mirror.damaged",
        )
    site.stage((), tree.partial())
    site.publish(note, lambda current: check(current).size <= told.size)
    return told


def _bundle(source: Source, number: int, width: int) -> list[bytes]:
    path = place("entries", number, width)
    raw = source(path)
    if raw is None:
        raw = source(place("entries", number))
    leaves = None if raw is None else split_bundle(raw)
    if leaves is None or len(leaves) < width:
        raise _unreachable(f"{path}: {'none' if raw is None else 'fewer entries than the checkpoint covers'}")
    return leaves[:width]


def evidence(code: str, how: str, before: bytes, now: bytes) -> LedgerError:
    """The refusal of a log that changed its past; it carries both signed checkpoints."""
    from titer.errors import LedgerRolledBack

    return LedgerRolledBack(
        f"a checkpoint that extends\n{before.decode(errors='replace')}",
        f"one {how}:\n{now.decode(errors='replace')}",
        "keep both: they prove, to anybody, that the log changed its past",
        code=code,
    )


def _unreachable(what: str) -> LedgerError:
    return LedgerError(
        "a log whose files can be fetched", what, "try again, or ask its operator", code="mirror.unreachable"
    )

"""The keys that a log signs with, and their change: running processes follow as soon as the settings name others.

While two sets overlap, every checkpoint carries the signatures of both. What only an earlier set has signed is taken up
to the size at which the next one joined, and no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.note import Note, Signer, Verifier, opened


@dataclass(frozen=True)
class Former:
    """Keys that signed before: their public halves, and the largest size that they may have signed alone (None while
    that is not known yet)."""

    keys: tuple[Verifier, ...]
    until: int | None


@dataclass(frozen=True)
class Current:
    """The keys that sign now, and those that did."""

    signers: tuple[Signer, ...]
    former: tuple[Former, ...] = ()

    @property
    def keys(self) -> tuple[Verifier, ...]:
        """The public halves of those that sign now."""
        return tuple(each.verifier for each in self.signers)

    def check(self, raw: bytes) -> Checkpoint:
        """The checkpoint of a note that this log has signed; RecordError for any other."""
        try:
            return checked(self.keys, raw)
        except RecordError:
            for each in self.former:
                told = _signed(each.keys, raw)
                if told is not None and (each.until is None or told.size <= each.until):
                    return told
            raise


class LogKeys:
    """What signs and checks as the settings say at that moment.

    Arguments
        load: reads settings and keys. settings: the file; when it changes, they are read again.
    """

    def __init__(self, load: Callable[[], Current], settings: Path) -> None:
        self._load, self._settings = load, settings
        self._known = (self._stamp(), load())

    def current(self) -> Current:
        """The keys now."""
        stamp = self._stamp()
        while stamp != self._known[0]:
            try:
                self._known = (stamp, self._load())
            except LedgerError:
                # A rotation that ended in between has taken away a key that the older settings name.
                if self._stamp() == stamp:
                    raise
            stamp = self._stamp()
        return self._known[1]

    def __iter__(self) -> Iterator[Verifier]:
        """All public keys of this log, now and before."""
        now = self.current()
        yield from now.keys
        for each in now.former:
            yield from each.keys

    def check(self, raw: bytes) -> Checkpoint:
        """As `Current.check`, now."""
        return self.current().check(raw)

    def sign(self, checkpoint: Checkpoint, time: int) -> bytes:
        """A signed note, under all keys that sign now."""
        text = checkpoint.text()
        return Note(text, tuple(each.sign(text, time) for each in self.current().signers)).format()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            told = self._settings.stat()
        except OSError:
            return None
        return told.st_ino, told.st_mtime_ns


def checked(keys: Sequence[Verifier], raw: bytes) -> Checkpoint:
    """The checkpoint of a note that all of these keys of one log have signed; RecordError for any other."""
    signed = Note.parse(raw)
    found = opened(signed, keys)
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


def _signed(keys: Sequence[Verifier], raw: bytes) -> Checkpoint | None:
    try:
        return checked(keys, raw)
    except RecordError:
        return None

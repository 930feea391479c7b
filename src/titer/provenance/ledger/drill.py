"""A drill: does a backup come back, is it whole, is it the log that was published, and what would be lost with it?

The backup is restored into a fresh place, examined entry by entry, and held against the published log, which must be an
extension of it. What the published log has beyond it is the loss window.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import record
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.export import restore
from titer.provenance.ledger.fsck import Findings, Fsck
from titer.provenance.ledger.mark import Mark
from titer.provenance.ledger.mirror import Source, mirror, source_at
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.recompute import WIDTH, place, split_bundle
from titer.provenance.ledger.store import Store


@dataclass(frozen=True)
class Drill:
    """What a drill showed.

    Arguments
        backup, published: both checkpoints. found: by `fsck` in the restored copy.
        since, until: the earliest and latest time that capture points claim for entries that would be lost, in seconds
            since 1970; None where none would be, or none tells a time.
        seconds: that restoring and examining took.
    """

    backup: Checkpoint
    published: Checkpoint
    found: Findings
    since: int | None
    until: int | None
    seconds: float

    @property
    def lost(self) -> int:
        """How many entries are not in the backup."""
        return self.published.size - self.backup.size

    def sentences(self) -> list[str]:
        """The same in words."""
        taken = f"restored and examined in {self.seconds:.1f} s, with {len(self.found.faults)} faults"
        said = [
            f"The backup of {self.backup.origin} holds {self.backup.size} entries, {taken}.",
            f"The published log of {self.published.size} entries is an extension of it.",
        ]
        if not self.lost:
            return [*said, "Loss window: none, the backup has every published entry."]
        window = f"Loss window: {self.lost} entries, {self.backup.size} to {self.published.size - 1}"
        if self.since is not None and self.until is not None:
            window += f", claimed to be from {_told(self.since)} to {_told(self.until)}"
        return [*said, f"{window}."]


def drill(
    backup: str,
    published: Source,
    check: Callable[[bytes], Checkpoint],
    admit: Callable[[bytes], tuple[str, int]],
) -> Drill:
    """Try a backup out; nothing of the log itself is touched.

    Arguments
        backup: an export's or a mirror's `public`, or its address.
        published: the log as it is published, or a mirror of it, where the log itself is lost.
        check, admit: as for the ledger.

    Raises LedgerError for a backup that cannot be restored, or is of another log (`restore.other`); LedgerRolledBack,
    with both checkpoints, where what is published does not extend it (`mirror.forked`).
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="titer-drill-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'entries.sqlite'}"
        told = restore(source_at(backup), url, folder, check, admit, None)
        site, store = Site(folder, threads=1), Store.open(url)
        try:
            found = Fsck(store, site, _Fixed(Mark(told.origin, told.size, told.root)), check, admit).run()
        finally:
            store.close()
        seconds = time.monotonic() - begun
        now = check(published("checkpoint") or b"")
        if now.origin != told.origin or now.size < told.size:
            raise LedgerError(
                f"a backup of {now.origin} with at most {now.size} entries",
                f"one of {told.origin} with {told.size}",
                "find out which of both is the log",
                code="restore.other",
            )
        # Read as a mirror would, which accepts extensions of what it has alone; it may have grown since.
        now = mirror(published, folder, check)
        times = list(_claimed(site, told.size, now.size))
    return Drill(told, now, found, min(times, default=None), max(times, default=None), seconds)


def _claimed(site: Site, start: int, stop: int) -> list[int]:
    """The times that the records from one index to another claim."""
    found = []
    for number in range(start // WIDTH, (stop + WIDTH - 1) // WIDTH):
        width = min(WIDTH, stop - number * WIDTH)
        leaves = split_bundle(site.read(place("entries", number, width)) or b"") or []
        for leaf in leaves[max(0, start - number * WIDTH) :]:
            try:
                found.append(record.parse(leaf).claimed_time)
            except RecordError:
                continue
    return found


def _told(seconds: int) -> str:
    """Clocks of capture points may say anything; what is no year of four digits is told as it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


class _Fixed:
    """A mark that a drill compares with and never moves."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def read(self) -> Mark | None:
        return self._mark

    def create(self, mark: Mark) -> None:
        raise LedgerError("a mark that stays", str(mark), "make one for a ledger of its own", code="mark.exists")

    def advance(self, expected: Mark, new: Mark) -> None:
        raise LedgerError("a mark that stays", str(new), "sign with the live log only", code="mark.exists")

    def close(self) -> None:
        """Nothing is open."""

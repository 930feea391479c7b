"""The ledger as a program uses it: append a record, get its index and its receipt.

Many threads of many processes append at once. Each process has one worker: that of the process which holds the lease
sequences for all, the others queue in the database. There is no timer in the way: a group is whatever waits when the
last one is done.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from titer.errors import LedgerError, LedgerRolledBack, ProvenanceError, RecordError
from titer.provenance.ledger import merkle, tiles
from titer.provenance.ledger.admission import Admit, Admitted, Answer, Checkers, Together
from titer.provenance.ledger.mark import HighWaterMark
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import LARGEST
from titer.provenance.ledger.sequencer import GROUP, Placed, Sequencer, Signing, conflict
from titer.provenance.ledger.store import Item, Store

State = Literal["published", "pending", "durable"]

__all__ = ["Admit", "Admitted", "Appended", "Ledger"]

_EAGER, _LAZY = 0.002, 0.05


@dataclass(frozen=True)
class Appended:
    """Where an appended leaf stands.

    Arguments
        leaf_hash: the leaf's hash in the tree.
        index: its place in the log; None while it waits in the queue.
        state: `published` (a checkpoint covers it), `pending` (durable, but witnesses have not sufficed in time), or
            `durable` (all that was asked for).
    """

    leaf_hash: bytes
    index: int | None
    state: State


class _Signal:
    """An event for one who waits: a lock that is let go once, a fraction of what `threading.Event` costs."""

    __slots__ = ("_given", "_lock")

    def __init__(self) -> None:
        self._given = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        if not self._given:
            self._given = True
            self._lock.release()

    def is_set(self) -> bool:
        return self._given

    def wait(self, timeout: float) -> None:
        if not self._given and self._lock.acquire(timeout=timeout):
            self._lock.release()


class _Waiter:
    __slots__ = ("done", "error", "index", "item", "published", "wants")

    item: Item
    """Set when the leaf was checked."""

    def __init__(self, wants: Literal["published", "durable"]) -> None:
        self.wants = wants
        self.index: int | None = None
        self.error: ProvenanceError | None = None
        self.published = False
        self.done = _Signal()

    def fail(self, error: ProvenanceError) -> None:
        self.error = error
        self.done.set()

    def durable(self, index: int | None) -> None:
        self.index = index
        if self.wants == "durable":
            self.done.set()

    def covered(self) -> None:
        self.published = True
        self.done.set()


class Ledger:
    """An open ledger.

    Arguments
        store, site, mark: where entries, files and the high-water mark are; see `titer.provenance.ledger.settings` for
            how a folder names them.
        origin: the log's name.
        signing: how checkpoints are signed, and when they may be published.
        admit: checks each leaf before it enters.
        patience: seconds after which a silent sequencer is taken over from.
        quota: how many leaves of one capture key may wait at once in this process.
        checkers: processes that check leaves; None to check them in the threads that append.
    """

    def __init__(
        self,
        store: Store,
        site: Site,
        mark: HighWaterMark,
        origin: str,
        signing: Signing,
        admit: Admit,
        *,
        patience: float = 3.0,
        quota: int = 10_000,
        checkers: Checkers | None = None,
    ) -> None:
        self.store, self.site, self.mark, self.origin, self.signing = store, site, mark, origin, signing
        self.sequencer = Sequencer(store, site, mark, origin, signing, patience=patience)
        self._admit = admit
        self._quota, self._checkers = quota, checkers
        self._waiting: Counter[str] = Counter()
        self._ready = threading.Condition()
        self._fresh: list[_Waiter] = []
        self._placed: list[_Waiter] = []
        self._worker: threading.Thread | None = None
        self._closing = False
        self._broken: LedgerError | None = None
        self._retry = 0.0
        self._again = 0.0
        self._idle = _EAGER

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- appending ------------------------------------------------------------------------------------------------

    def append(
        self, leaf: bytes, *, wait: Literal["published", "durable"] = "published", timeout: float = 30.0
    ) -> Appended:
        """Add a record, and return when a checkpoint covers it, or when it is durable.

        The same record again gets the index that it has. Where witnesses do not suffice within `timeout` seconds the
        record stays durable, is published as soon as they do, and the state is `pending`.

        Raises RecordError for a leaf that is no valid record; LedgerError for storage that refuses, another record
        under the same counter, or a log that is frozen or halted; LedgerRolledBack where the ledger is older than, or
        differs from, what was signed.
        """
        return self.append_many([leaf], wait=wait, timeout=timeout)[0]

    def append_many(
        self, leaves: Sequence[bytes], *, wait: Literal["published", "durable"] = "published", timeout: float = 30.0
    ) -> list[Appended]:
        """Add records, which take neighboring indices where no others come between."""
        if self._checkers is None:
            return self.append_admitted(leaves, [self._admit(leaf) for leaf in leaves], wait=wait, timeout=timeout)
        return self._checked(self._checkers, leaves, None, wait, timeout)

    def append_batch(
        self,
        leaves: Sequence[bytes],
        together: Together,
        *,
        wait: Literal["published", "durable"] = "published",
        timeout: float = 30.0,
    ) -> list[Appended]:
        """Add records that are checked together; see `titer.provenance.ledger.batch`.

        Arguments
            together: checks all, or raises RecordError; one that can be pickled where processes check.
        """
        if self._checkers is None:
            return self.append_admitted(leaves, together(leaves), wait=wait, timeout=timeout)
        return self._checked(self._checkers, leaves, together, wait, timeout)

    def append_admitted(
        self,
        leaves: Sequence[bytes],
        admitted: Sequence[Admitted],
        *,
        wait: Literal["published", "durable"] = "published",
        timeout: float = 30.0,
    ) -> list[Appended]:
        """Add records that the caller has checked as `admit` would."""
        waiters = [_Waiter(wait) for _ in leaves]
        self._enter(waiters, leaves, admitted)
        return self._awaited(waiters, timeout)

    def _checked(
        self,
        checkers: Checkers,
        leaves: Sequence[bytes],
        together: Together | None,
        wait: Literal["published", "durable"],
        timeout: float,
    ) -> list[Appended]:
        waiters = [_Waiter(wait) for _ in leaves]

        def then(answer: Answer) -> None:
            try:
                if isinstance(answer, RecordError):
                    raise answer
                self._enter(waiters, leaves, answer)
            except ProvenanceError as error:
                for waiter in waiters:
                    waiter.fail(error)

        checkers.submit(leaves, then, together)
        return self._awaited(waiters, timeout)

    def _enter(self, waiters: list[_Waiter], leaves: Sequence[bytes], admitted: Sequence[Admitted]) -> None:
        for waiter, leaf, told in zip(waiters, leaves, admitted, strict=True):
            if len(leaf) > LARGEST:
                raise RecordError(
                    f"a leaf of at most {LARGEST} bytes",
                    f"{len(leaf)}",
                    "keep openings out of it",
                    code="leaf.too_large",
                )
            waiter.item = Item(leaf, merkle.leaf_hash(leaf), told.capture_key, told.counter)
        self.start()
        with self._ready:
            if self._broken is not None:
                raise self._broken
            if self._closing:
                raise LedgerError("an open ledger", "one that was closed", "open it again", code="ledger.closed")
            self._count(waiters)
            self._fresh += waiters
            self._ready.notify()

    def _awaited(self, waiters: list[_Waiter], timeout: float) -> list[Appended]:
        until = time.monotonic() + timeout
        for waiter in waiters:
            waiter.done.wait(max(0.0, until - time.monotonic()))
        return [self._outcome(waiter, timeout) for waiter in waiters]

    def _outcome(self, waiter: _Waiter, timeout: float) -> Appended:
        if waiter.error is not None:
            raise waiter.error
        if waiter.published:
            return Appended(waiter.item.leaf_hash, waiter.index, "published")
        if waiter.done.is_set():
            # Let go at the ledger's end, or all that was asked for.
            return Appended(waiter.item.leaf_hash, waiter.index, "durable" if waiter.wants == "durable" else "pending")
        if waiter.index is not None or self._is_queued(waiter):
            return Appended(waiter.item.leaf_hash, waiter.index, "pending")
        raise LedgerError(
            f"a durable record within {timeout:g} s",
            "none",
            "append it again: the same record is never entered twice",
            code="append.timeout",
        )

    def _count(self, waiters: list[_Waiter]) -> None:
        """Refuse what would let one capture key crowd out the others."""
        more = Counter(waiter.item.capture_key for waiter in waiters)
        for key, many in more.items():
            if self._waiting[key] + many > self._quota:
                raise LedgerError(
                    f"at most {self._quota} leaves of a capture key waiting at once",
                    f"{self._waiting[key] + many} of {key}",
                    "append more slowly, or find out why this device sends so much",
                    code="append.quota",
                )
        self._waiting += more

    def _is_queued(self, waiter: _Waiter) -> bool:
        with self._ready:
            return waiter in self._placed

    # -- answering ------------------------------------------------------------------------------------------------

    def checkpoint(self) -> bytes:
        """The published checkpoint, as a signed note."""
        note = self.site.checkpoint()
        if note is None:
            raise LedgerError("a published checkpoint", "none yet", "wait for the first one", code="log.unpublished")
        return note

    def receipt(self, index: int) -> bytes:
        """The receipt of an entry under the published checkpoint.

        Raises LedgerError (`receipt.pending`) for an entry that no published checkpoint covers yet.
        """
        note = self.checkpoint()
        size = self.signing.check(note).size
        if not 0 <= index < size:
            raise LedgerError(
                f"an entry below {size}, the size that is published",
                str(index),
                "ask again when the next checkpoint is published",
                code="receipt.pending",
            )
        (entry,) = self.store.entries(index, index + 1)
        proof = tiles.inclusion(self.site.read, index, size)
        return Receipt(entry.leaf, index, tuple(proof), note).format()

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `new` begins with that of size `old`."""
        return tiles.consistency(self.site.read_staged, old, new) if 0 < old < new else []

    # -- the worker -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to sequence, if nobody does: also what other processes have queued."""
        if self._worker is not None:
            return
        with self._ready:
            if self._worker is None and not self._closing:
                self._worker = threading.Thread(target=self._work, name="sequencer", daemon=True)
                self._worker.start()

    def close(self) -> None:
        """Finish what was taken on, give the lease back, and close all stores."""
        if self._checkers is not None:
            self._checkers.close()
        with self._ready:
            self._closing = True
            self._ready.notify()
        if self._worker is not None:
            self._worker.join()
        self.signing.close()
        self.site.close()
        self.store.close()
        self.mark.close()

    def _work(self) -> None:
        while True:
            batch = self._gather()
            if batch is None:
                break
            try:
                self._turn(batch)
            except LedgerError as error:
                self._refuse(batch, error)
            except Exception as error:
                words = f"{type(error).__name__}: {error}"
                told = LedgerError("a sequencer that works", words, "report this as a bug", code="ledger.bug")
                told.__cause__ = error
                self._refuse(batch, told)
        for waiter in self._placed:
            waiter.done.set()
        # If this fails, the next holder waits until our beat has stood still.
        with contextlib.suppress(LedgerError):
            self.sequencer.resign()

    def _gather(self) -> list[_Waiter] | None:
        """What waits; an empty list when it is time to look around; None at the end."""
        with self._ready:
            if not self._fresh and not self._closing:
                self._ready.wait(self._pause())
            if self._closing and not self._fresh:
                return None
            batch, self._fresh = self._fresh[:GROUP], self._fresh[GROUP:]
            # Adding an empty count drops the keys that have none left.
            self._waiting.subtract(waiter.item.capture_key for waiter in batch)
            self._waiting += Counter()
            return batch

    def _pause(self) -> float:
        left = self._again - time.monotonic()
        if left > 0:
            return left
        if self.sequencer.leading or self._placed:
            self._idle = min(_LAZY, self._idle * 1.5)
            return self._idle
        return self.sequencer.patience / 3

    def _turn(self, batch: list[_Waiter]) -> None:
        if self._broken is not None:
            raise self._broken
        if batch:
            self._idle = _EAGER
        if self.sequencer.lead():
            try:
                self._sequence(batch)
                return
            except LedgerError as error:
                if error.code != "lease.lost":
                    raise
                batch = [waiter for waiter in batch if waiter.index is None and waiter.error is None]
        self._follow(batch)

    def _sequence(self, batch: list[_Waiter]) -> None:
        sequencer = self.sequencer
        if batch or self.store.waiting():
            self._idle = _EAGER
            placed = sequencer.commit([waiter.item for waiter in batch])
            for waiter, where in zip(batch, placed, strict=True):
                self._settle(waiter, where)
        if sequencer.behind and (batch or time.monotonic() >= self._again):
            if sequencer.publish():
                self._again = self._retry = 0.0
            else:
                # Witnesses are asked again, ever less often, without anybody's doing.
                self._retry = min(5.0, self._retry * 2 or 0.1)
                self._again = time.monotonic() + self._retry
        else:
            sequencer.beat()
        self._cover(sequencer.published.size if sequencer.published else 0)

    def _settle(self, waiter: _Waiter, where: Placed) -> None:
        if where.error is not None and where.error.code == "append.late":
            with self._ready:
                self._fresh.append(waiter)
                self._waiting[waiter.item.capture_key] += 1
        elif where.error is not None:
            waiter.fail(where.error)
        else:
            waiter.durable(where.index)
            if waiter.wants == "published":
                self._placed.append(waiter)

    def _follow(self, batch: list[_Waiter]) -> None:
        """Queue for whoever holds the lease, and see what it has published."""
        if batch:
            with self.store.writing() as tx:
                tx.standing().require_open()
                queue: list[Item] = []
                told = []
                mine: dict[tuple[str, int], bytes] = {}
                for waiter in batch:
                    item = waiter.item
                    name = (item.capture_key, item.counter)
                    found = tx.find(*name)
                    there = found.leaf_hash if found else tx.queued(*name) or mine.get(name)
                    if there is None:
                        queue.append(item)
                        mine[name] = item.leaf_hash
                    index = found.index if found else None
                    error = conflict(item, index) if there is not None and there != item.leaf_hash else None
                    told.append(Placed(index, error))
                if queue:
                    tx.enqueue(queue)
            for waiter, where in zip(batch, told, strict=True):
                self._settle(waiter, where)
        if self._placed:
            published = self.store.published()
            self._cover(published.size if published else 0)

    def _cover(self, size: int) -> None:
        """Let go those whom the published checkpoint covers; what was queued learns its index here."""
        left = []
        for waiter in self._placed:
            if waiter.index is None and (entry := self.store.find(waiter.item.capture_key, waiter.item.counter)):
                waiter.index = entry.index
            if waiter.index is not None and waiter.index < size:
                waiter.covered()
            else:
                left.append(waiter)
        self._placed = left

    def _refuse(self, batch: list[_Waiter], error: LedgerError) -> None:
        """Tell all who wait, and stop for good where to go on would sign something false."""
        if isinstance(error, LedgerRolledBack):
            self._broken = error
        elif error.code == "ledger.damaged":
            self._halt(error)
        for waiter in (*batch, *self._placed):
            if not waiter.done.is_set():
                waiter.fail(error)
        self._placed = []
        self._retry = min(5.0, self._retry * 2 or 0.1)
        self._again = time.monotonic() + self._retry

    def _halt(self, error: LedgerError) -> None:
        try:
            with self.store.writing() as tx:
                tx.say("halted", f"damage was found: expected {error.expected}, got {error.got}")
        except LedgerError as other:
            # A database that cannot even take this refuses entries anyway.
            error.__context__ = other

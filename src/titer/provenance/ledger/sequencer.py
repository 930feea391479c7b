"""The sequencer: gives leaves their index, and signs what storage really holds.

One at a time: it holds the lease in the database under a fencing token that grows with every change of hands, and the
database refuses writes under an older token. Leases need no clock: whoever wants to take over watches the holder's beat
stand still for a while on a clock of its own.

A group goes through four steps. `commit` writes it, in one transaction. Then `publish` reads it back from storage,
builds the tree again by a second routine, compares both roots, checks that the tree contains the last one, and moves
the high-water mark by compare-and-swap; only then is a checkpoint signed. Witnesses are asked for their signatures; if
they suffice, tiles are put in place and the checkpoint last. If not, all stays durable and nothing is published.
"""

from __future__ import annotations

import base64
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from titer.errors import LedgerError, LedgerRolledBack, RecordError
from titer.provenance.ledger import merkle, tiles
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.mark import HighWaterMark, Mark
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.recompute import Rebuild, read_edge
from titer.provenance.ledger.store import Item, Published, Standing, Store, Writing

GROUP = 4096
"""The most leaves that are taken from the queue at once."""

_KEYS = 100_000


class Cosign(Protocol):
    """Asks witnesses: takes a signed checkpoint, gives it back with what cosignatures could be had.

    `prove(old)` gives the consistency proof from a size that a witness knows.
    """

    def __call__(self, note: bytes, prove: Callable[[int], list[bytes]], /) -> bytes: ...


@dataclass(frozen=True)
class Signing:
    """How checkpoints are signed and when they may be published.

    Arguments
        sign: a checkpoint's text to a signed note.
        check: a note to its checkpoint; raises RecordError unless the log's own signature is on it.
        cosign: asks witnesses; None for a log without.
        satisfied: whether a note's signatures meet the policy.
        keep: told of proof, from witnesses, that this copy is older than, or differs from, what they cosigned.
        close: gives back what asking witnesses holds open.
    """

    sign: Callable[[Checkpoint], bytes]
    check: Callable[[bytes], Checkpoint]
    cosign: Cosign | None = None
    satisfied: Callable[[bytes], bool] = lambda _: True
    keep: Callable[[LedgerRolledBack], None] = lambda _: None
    close: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Placed:
    """Where a leaf stands; `error` says why it does not."""

    index: int | None = None
    error: LedgerError | None = None


class Sequencer:
    """The one that writes entries and signs checkpoints, while it holds the lease.

    Arguments
        store, site, mark: where entries, files and the high-water mark are.
        origin: the log's name.
        signing: how checkpoints are signed.
        patience: seconds for which the holder's beat must stand still before another takes over.
    """

    def __init__(
        self, store: Store, site: Site, mark: HighWaterMark, origin: str, signing: Signing, *, patience: float = 3.0
    ) -> None:
        self.store, self.site, self.origin, self.signing, self.patience = store, site, origin, signing, patience
        self.published: Published | None = None
        self._place = mark
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{id(self):x}"
        self._token: int | None = None
        self._loaded = False
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0
        self._beaten = 0.0
        self._highest: dict[str, int] = {}
        self._tree = Rebuild()
        self._frontier = merkle.Frontier()
        self._edge: list[tuple[str, bytes]] = []
        self._mark = Mark(origin, 0, merkle.EMPTY)
        self._known_note: Published | None = None
        self._looked = False

    # -- the lease ------------------------------------------------------------------------------------------------

    @property
    def leading(self) -> bool:
        """Whether the lease was held when last looked."""
        return self._token is not None

    def lead(self) -> bool:
        """Hold the lease, take it if it is free or its holder stands still, or learn that another has it."""
        if self._token is not None:
            return True
        holder, token, beat = self.store.lease()
        now = time.monotonic()
        if holder and (token, beat) != self._seen:
            self._seen, self._seen_at = (token, beat), now
            return False
        if holder and now - self._seen_at < self.patience:
            return False
        with self.store.writing() as tx:
            if tx.lease() != (holder, token, beat):
                return False
            self._token = tx.take(self._holder)
        self._seen = None
        self._loaded = False
        return True

    def beat(self) -> None:
        """Show, while there is nothing to do, that the holder lives."""
        if self._token is None or time.monotonic() - self._beaten < self.patience / 3:
            return
        with self.store.writing(lazily=True) as tx:
            self._require(tx)
            tx.beat()
        self._beaten = time.monotonic()

    def resign(self) -> None:
        """Give the lease back, so that the next need not wait."""
        token, self._token = self._token, None
        if token is not None:
            with self.store.writing() as tx:
                if tx.lease()[1] == token:
                    tx.release()

    def _require(self, tx: Writing) -> tuple[int, Standing]:
        """The fencing token and how the log stands, if the lease is still ours."""
        if self._token is None:
            raise LedgerError("the lease", "none", "wait until its holder gives it up", code="lease.lost")
        standing = tx.standing()
        try:
            standing.require(self._token)
        except LedgerError:
            self._token = None
            raise
        return self._token, standing

    # -- committing -----------------------------------------------------------------------------------------------

    def commit(self, items: Sequence[Item]) -> list[Placed]:
        """Give an index to what waits in the queue, then to `items`; all in one transaction, durable at the return.

        A leaf whose capture key and counter are known gets the index that it has. Another leaf under the same counter
        is refused: a capture point that says two things under one number has lost its key or its memory.
        """
        if not self._loaded:
            self.load()
        try:
            with self.store.writing() as tx:
                token, standing = self._require(tx)
                standing.require_open()
                # The look counts for the publication that follows at once.
                self._looked = True
                start = standing.size
                if start != self._frontier.size:
                    raise LedgerError(
                        f"{self._frontier.size} entries", f"{start}", "run `titer ledger fsck`", code="ledger.damaged"
                    )
                queued = tx.queue(GROUP)
                # A queue longer than a group goes first, so that a leaf never overtakes another under its counter.
                rest = list(items) if len(queued) < GROUP else []
                taken, placed = self._indices(tx, start, [*queued, *rest])
                if taken:
                    tx.append(start, taken, token)
                if queued and queued[-1].number is not None:
                    tx.unqueue(queued[-1].number)
                if taken or queued:
                    tx.beat()
        except BaseException:
            self._highest.clear()
            self._looked = False
            raise
        self._beaten = time.monotonic()
        for item in taken:
            self._frontier.append(item.leaf_hash)
            known = self._highest[item.capture_key]
            self._highest[item.capture_key] = known if known > item.counter else item.counter
        if len(self._highest) > _KEYS:
            self._highest.clear()
        late = LedgerError("room in this group", "a long queue", "append again", code="append.late")
        return placed[len(queued) :] if rest or not items else [Placed(error=late)] * len(items)

    def _indices(self, tx: Writing, start: int, items: Sequence[Item]) -> tuple[list[Item], list[Placed]]:
        taken: list[Item] = []
        placed: list[Placed] = []
        now: dict[tuple[str, int], tuple[int, bytes]] = {}
        for item in items:
            name = (item.capture_key, item.counter)
            there = now.get(name) or self._known(tx, item)
            if there is None:
                now[name] = (start + len(taken), item.leaf_hash)
                placed.append(Placed(start + len(taken)))
                taken.append(item)
            elif there[1] == item.leaf_hash:
                placed.append(Placed(there[0]))
            else:
                placed.append(Placed(there[0], conflict(item, there[0])))
        return taken, placed

    def _known(self, tx: Writing, item: Item) -> tuple[int, bytes] | None:
        # Only the holder of the lease adds entries, so what it remembers of each key's highest counter is true.
        highest = self._highest.get(item.capture_key)
        if highest is None:
            highest = self._highest[item.capture_key] = tx.highest(item.capture_key)
        if item.counter > highest:
            return None
        found = tx.find(item.capture_key, item.counter)
        return None if found is None else (found.index, found.leaf_hash)

    # -- loading --------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take up where the last holder stopped: published tree from its files, then what was written after it.

        Raises LedgerRolledBack where the entries, or the checkpoint, are older than the high-water mark or differ from
        it; LedgerError where a file at the right edge is not what the checkpoint says.
        """
        self.store.standing().require_whole()
        self.site.prepare()
        self._highest.clear()
        size = self.store.size()
        mark = self._place.read()
        if mark is None:
            raise LedgerError(
                f"the high-water mark of {self.origin}",
                "none",
                "bring back its store; without it nobody can tell whether this ledger is older than what was signed",
                code="mark.missing",
            )
        check_mark(self.origin, size, mark)
        raw, kept = self.site.checkpoint(), self.store.published()
        base = None if raw is None else self._checked(raw, "public/checkpoint", size)
        known = None if kept is None else self._checked(kept.note, "the table of checkpoints", size)
        tree = Rebuild() if base is None else self._read(base.size)
        if base is not None and tree.root() != base.root:
            raise damaged(f"tiles with the root of the checkpoint of size {base.size}", "tiles with another root")
        self._edge = tree.partial()
        for goal, is_mark in ((mark, True), (known, False)):
            if goal is not None and goal.size <= tree.size:
                earlier = self._read(goal.size) if goal.size < tree.size else tree
                self._compare(goal, earlier.root(), is_mark=is_mark)
        frontier = self._restored(tree.size)
        goals = [(goal, mine) for goal, mine in ((mark, True), (known, False)) if goal and goal.size > tree.size]
        for entry in self.store.entries(tree.size, size):
            if entry.index != tree.size:
                raise damaged(f"entry {tree.size}", f"entry {entry.index}")
            full = tree.feed(entry.leaf)
            if full:
                self.site.stage(full)
            frontier.append(merkle.leaf_hash(entry.leaf))
            for goal, is_mark in goals:
                if tree.size == goal.size:
                    self._compare(goal, tree.root(), is_mark=is_mark)
        self.site.stage((), tree.partial())
        self._tree, self._frontier, self._mark = tree, frontier, mark
        self.published, self._known_note, self._loaded = base, known, True

    def _restored(self, size: int) -> merkle.Frontier:
        """The first routine's state, read from the tiles in its own way."""
        try:
            return tiles.frontier(self.site.read, size)
        except RecordError as error:
            raise damaged(f"tiles of a tree of size {size}", str(error)) from error

    def _read(self, size: int) -> Rebuild:
        tree = read_edge(self.site.read, size)
        if isinstance(tree, str):
            raise damaged(f"the file public/{tree}", "none, or one that is too short")
        return tree

    def _checked(self, note: bytes, where: str, size: int) -> Published:
        """A checkpoint with the log's own signature, that the entries reach."""
        try:
            told = self.signing.check(note)
        except RecordError as error:
            raise damaged(f"a checkpoint that this log has signed in {where}", str(error)) from error
        if told.size > size:
            raise LedgerRolledBack(
                f"at least the {told.size} entries that {where} covers",
                f"{size}",
                "the database is an older copy: restore a newer one; nothing is signed until then",
                code="ledger.rolled_back",
            )
        return Published(told.size, told.root, note)

    @staticmethod
    def _compare(goal: Mark | Published, root: bytes, *, is_mark: bool) -> None:
        if root == goal.root:
            return
        if not is_mark:
            raise damaged(f"the root of the checkpoint of size {goal.size} in the database", "another root")
        raise LedgerRolledBack(
            f"the tree that was signed: {goal}",
            f"another of that size, root {base64.b64encode(root).decode()}",
            "stop every copy of this ledger and keep the one that the mark and the witnesses know",
            code="ledger.forked",
        )

    # -- publishing -----------------------------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Whether entries wait for a checkpoint."""
        return not self._loaded or self._frontier.size > (self.published.size if self.published else -1)

    def publish(self) -> bool:
        """Verify what was committed, sign it, and publish it. False where the witnesses' signatures do not suffice."""
        if not self._loaded:
            self.load()
        try:
            return self._publish()
        except BaseException:
            # Files may be half in place: the next attempt starts from what storage says.
            self._loaded = False
            raise

    def _publish(self) -> bool:
        size, root = self._frontier.size, self._frontier.root()
        self._check_site()
        tree = self._tree
        if tree.size < size:
            tree = self._grown(size)
        if tree.root() != root:
            raise damaged("two routines that give one root", f"{tree.root().hex()} and {root.hex()} at size {size}")
        if size > self._mark.size:
            self._check_growth(size, root)
            new = Mark(self.origin, size, root)
            self._place.advance(self._mark, new)
            self._mark = new
        self._tree = tree
        note = self._signed(size, root)
        if note is None:
            return False
        self.site.publish(note, self._newer_than(size))
        if self._known_note is None or self._known_note.size < size:
            with self.store.writing(lazily=True) as tx:
                token, _ = self._require(tx)
                tx.publish(size, root, note, token)
        self.published = self._known_note = Published(size, root, note)
        self._edge = tree.partial()
        return True

    def _check_growth(self, size: int, root: bytes) -> None:
        """Prove, from the tiles as they will be published, that the tree begins with the one that was signed last."""
        try:
            proof = self._prove(self._mark.size, size)
            merkle.verify_consistency(self._mark.size, size, self._mark.root, root, proof)
        except RecordError as error:
            raise damaged(f"tiles that prove the growth from {self._mark.size} to {size}", str(error)) from error

    def _signed(self, size: int, root: bytes) -> bytes | None:
        """A checkpoint with the signatures that the policy asks for; None while they cannot be had."""
        known = self._known_note
        if known is not None and known.size == size:
            # Published before, by another host or before a crash: one size has one note.
            return known.note
        note = self.signing.sign(Checkpoint(self.origin, size, root))
        if self.signing.cosign is not None:
            try:
                note = self.signing.cosign(note, lambda old: self._prove(old, size))
            except LedgerRolledBack as error:
                # Whoever was paused while another took over meets a larger tree: its own log's, and no second history.
                with self.store.writing(lazily=True) as tx:
                    self._require(tx)
                self.signing.keep(error)
                raise
        return note if self.signing.satisfied(note) else None

    def _grown(self, size: int) -> Rebuild:
        """The tree with what storage holds after it, read back on another connection; its new files are staged."""
        tree = self._tree.copy()
        full: list[tuple[str, bytes]] = []
        for entry in self.store.entries(tree.size, size):
            if entry.index != tree.size:
                raise damaged(f"entry {tree.size}", f"entry {entry.index}")
            full += tree.feed(entry.leaf)
            if len(full) > 64:
                self.site.stage(full)
                full = []
        if tree.size != size:
            raise damaged(f"{size} entries", f"{tree.size}")
        self.site.stage(full, tree.partial())
        return tree

    def _check_site(self) -> None:
        """Refuse to go on from files that have changed since they were published, or where a check found damage."""
        if not self._looked:
            self.store.standing().require_whole()
        self._looked = False
        if self.published is None:
            return
        for path, raw in (*self._edge, ("checkpoint", self.published.note)):
            there = self.site.read(path)
            if there != raw:
                raise damaged(f"public/{path} as it was published", difference(there, raw))

    def _prove(self, old: int, new: int) -> list[bytes]:
        if old in (0, new):
            return []
        return tiles.consistency(self.site.read_staged, old, new)

    def _newer_than(self, size: int) -> Callable[[bytes], bool]:
        mine = self.published.note if self.published and self.published.size <= size else None
        return lambda note: note == mine or self.signing.check(note).size <= size


def conflict(item: Item, index: int | None) -> LedgerError:
    """The refusal of a second record under one counter."""
    where = "the queue" if index is None else f"index {index}"
    return LedgerError(
        "one record for each counter of a capture key",
        f"another than that at {where} under counter {item.counter} of {item.capture_key}",
        "find out which of two devices, or which copy of a key, counts wrongly",
        code="append.conflict",
    )


def check_mark(origin: str, size: int, mark: Mark) -> None:
    """Refuse entries that are older than the high-water mark, or that belong to another log."""
    if mark.origin != origin:
        raise LedgerError(f"the mark of {origin}", f"that of {mark.origin}", "name the right mark", code="mark.other")
    if size < mark.size:
        raise LedgerRolledBack(
            f"at least the {mark.size} entries that were signed ({mark})",
            f"{size}",
            "this is an older copy: restore a newer one; nothing is signed until then",
            code="ledger.rolled_back",
        )


def damaged(expected: str, got: str) -> LedgerError:
    """The refusal to go on from storage that is not what was written."""
    return LedgerError(expected, got, "run `titer ledger fsck`, which names every damaged place", code="ledger.damaged")


def difference(there: bytes | None, right: bytes) -> str:
    """Where a file departs from what it should be."""
    if there is None:
        return "no such file"
    at = next((k for k, (a, b) in enumerate(zip(there, right, strict=False)) if a != b), min(len(there), len(right)))
    return f"another from offset {at}"

"""Taking a log out, and bringing it back.

What goes out is the static layout itself: any tlog-tiles client reads it, and it proves itself against its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from titer.errors import LedgerError
from titer.provenance.ledger import merkle
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.mark import HighWaterMark
from titer.provenance.ledger.mirror import Source, mirror
from titer.provenance.ledger.publish import Site, failing
from titer.provenance.ledger.recompute import WIDTH, Rebuild, place, split_bundle
from titer.provenance.ledger.sequencer import check_mark
from titer.provenance.ledger.store import Item, Store


def export(store: Store, site: Site, folder: Path, check: Callable[[bytes], Checkpoint]) -> Checkpoint:
    """Write a published log to a new folder, made from the entries and compared with the signed checkpoint.

    Arguments
        store, site: the log.
        folder: where to; `folder/public` is the static layout.
        check: a note to its checkpoint, or RecordError.
    """
    note = site.checkpoint()
    if note is None:
        raise LedgerError("a published checkpoint", "none yet", "wait for the first one", code="log.unpublished")
    told = check(note)
    if folder.exists() and any(folder.iterdir()):
        raise LedgerError(
            "a new or empty folder", f"{folder}, which holds files", "choose another", code="export.exists"
        )
    with failing("a folder for the export"):
        folder.mkdir(parents=True, exist_ok=True)
    target = Site(folder)
    target.prepare()
    try:
        tree = Rebuild()
        for entry in store.entries(0, told.size):
            if full := tree.feed(entry.leaf):
                target.stage(full)
        if tree.root() != told.root:
            raise LedgerError(
                "entries with the root of the checkpoint",
                "entries with another root",
                "run `titer ledger fsck`",
                code="ledger.damaged",
            )
        target.stage((), tree.partial())
        target.publish(note, lambda _: True)
    finally:
        target.close()
    target.staging.rmdir()
    return told


def restore(
    source: Source,
    url: str,
    folder: Path,
    check: Callable[[bytes], Checkpoint],
    admit: Callable[[bytes], tuple[str, int]],
    mark: HighWaterMark | None,
) -> Checkpoint:
    """Fill an empty database, and the site in `folder`, from an export or a mirror.

    Arguments
        source: the files; see `source_at`.
        url, folder: the new database and the ledger's new folder.
        check, admit: as for the ledger.
        mark: the high-water mark that was kept apart. What is older than it is refused, for to sign on top of it would
            fork the log. None only to try out whether a backup is whole.
    """
    note = source("checkpoint")
    if note is None:
        raise LedgerError("an export with a checkpoint", "none", "choose another backup", code="restore.incomplete")
    told = check(note)
    if mark is not None:
        known = mark.read()
        if known is None:
            raise LedgerError("the high-water mark", "none", "bring back its store first", code="mark.missing")
        check_mark(told.origin, told.size, known)
    mirror(source, folder, check)
    store = Store.create(url, origin=told.origin)
    try:
        _fill(store, Site(folder, threads=1), told, admit)
        with store.writing() as tx:
            token = tx.take("restore")
            tx.publish(told.size, told.root, note, token)
            tx.release()
    finally:
        store.close()
    return told


def _fill(store: Store, site: Site, told: Checkpoint, admit: Callable[[bytes], tuple[str, int]]) -> None:
    frontier = merkle.Frontier()
    with store.writing() as tx:
        token = tx.take("restore")
    for number in range((told.size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, told.size - number * WIDTH)
        items = []
        for leaf in split_bundle(site.read(place("entries", number, width)) or b"") or []:
            key, counter = admit(leaf)
            items.append(Item(leaf, merkle.leaf_hash(leaf), key, counter))
            frontier.append(items[-1].leaf_hash)
        with store.writing() as tx:
            tx.append(number * WIDTH, items, token)
    if (frontier.size, frontier.root()) != (told.size, told.root):
        raise LedgerError(
            f"{told.size} entries with the checkpoint's root",
            f"{frontier.size} entries with another",
            "choose another backup",
            code="restore.incomplete",
        )

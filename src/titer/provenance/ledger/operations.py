"""What is done with a ledger's folder as a whole: examined, filled again, followed by another, described."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.export import restore
from titer.provenance.ledger.fsck import Findings, Fsck
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.mark import open_mark
from titer.provenance.ledger.mirror import source_at
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.settings import create, formed, opened, read, signing, write
from titer.provenance.ledger.store import Store


def examine(folder: Path, *, repair: bool = False, resume: bool = False, formats: bool = True) -> Findings:
    """Run `fsck` on the ledger in a folder; `resume` lets a halted log go on if nothing is wrong."""
    settings = read(folder)
    store, site, mark = Store.open(settings.url(folder)), Site(folder, threads=1), open_mark(settings.mark)
    try:
        check = signing(folder, settings).check
        found = Fsck(store, site, mark, check, partial(formed, settings.origin) if formats else None).run(repair=repair)
        if resume and not found.faults:
            with store.writing() as tx:
                tx.unsay("halted")
        return found
    finally:
        mark.close()
        store.close()


def restored(source: str, folder: Path, database: str | None = None) -> Checkpoint:
    """Fill the ledger's empty database from an export or a mirror; see `titer.provenance.ledger.export.restore`."""
    settings = read(folder)
    if database is not None:
        settings = replace(settings, database=database)
    mark = open_mark(settings.mark)
    try:
        check = signing(folder, settings).check
        told = restore(source_at(source), settings.url(folder), folder, check, partial(formed, settings.origin), mark)
    finally:
        mark.close()
    if database is not None:
        write(folder, settings)
    return told


def succeeded(old: Path, folder: Path, origin: str, mark: str, database: str | None, predecessor: str) -> Ledger:
    """The log that follows another, under the same policy and with keys of its own."""
    before = read(old)
    create(
        folder,
        origin,
        mark,
        database=database,
        policy=old / before.policy if before.policy else None,
        ml_dsa=len(before.keys) > 1,
        predecessor=predecessor,
    )
    return opened(folder)


def state(folder: Path) -> dict[str, str]:
    """How a ledger is, in words; nothing is changed and no lease is taken."""
    settings = read(folder)
    store, mark = Store.open(settings.url(folder)), open_mark(settings.mark)
    try:
        published, known = store.published(), mark.read()
        holder, token, _ = store.lease()
        told = {
            "origin": settings.origin,
            "state": store.said("state") or "open",
            "entries": str(store.size()),
            "published": "none" if published is None else str(published.size),
            "queued": str(store.waiting()),
            "sequencer": f"{holder or 'none'} (fencing token {token})",
            "mark": "missing" if known is None else str(known),
            "mark on the ledger's disk": "yes: move it to another host" if settings.near(folder) else "no",
        }
        proofs = sorted((folder / "evidence").glob("*"))
        told |= {"evidence of two histories": ", ".join(str(path) for path in proofs)} if proofs else {}
        told |= {name: said for name in ("halted", "predecessor", "successor") if (said := store.said(name))}
        return told
    finally:
        mark.close()
        store.close()

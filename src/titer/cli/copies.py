"""`titer ledger export`, `restore`, `drill` and `mirror`: copies of a log, and the way back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.argument("target", type=_FOLDER)
def export(folder: Path, target: Path) -> int:
    """Write the published log to the new folder TARGET, checked entry by entry, and its time tokens."""
    import shutil

    from titer.provenance.ledger.export import export as write
    from titer.provenance.ledger.settings import opened

    with opened(folder) as log:
        told = write(log.store, log.site, target, log.signing.check)
    if (folder / "tokens").is_dir():
        shutil.copytree(folder / "tokens", target / "tokens")
    click.echo(f"Exported {told.size} entries of {told.origin} to {target / 'public'}")
    return 0


@click.command()
@click.argument("source")
@click.argument("folder", type=_FOLDER)
@click.option("--database", help="An empty PostgreSQL database (default: the one that FOLDER's settings name).")
def restore(source: str, folder: Path, database: str | None) -> int:
    """Fill the database of the ledger in FOLDER again from SOURCE: an export's or a mirror's `public`, or its address.

    FOLDER needs settings and keys, and no database. What is older than the high-water mark is refused.
    """
    from titer.provenance.ledger.operations import restored

    told = restored(source, folder, database)
    click.echo(f"Restored {told.size} entries of {told.origin}")
    return 0


@click.command()
@click.argument("folder", type=_FOLDER)
@click.argument("backup")
@click.option("--against", help="Where the log is published, or a mirror of it (default: FOLDER's own `public`).")
def drill(folder: Path, backup: str, against: str | None) -> int:
    """Try a BACKUP out: an export's or a mirror's `public`, or its address.

    It is restored in a fresh place, examined, and held against the published log; what the backup lacks is the loss
    window. FOLDER, which needs settings and keys, is not touched.
    """
    from titer.provenance.ledger.drill import drill as tried
    from titer.provenance.ledger.mirror import source_at
    from titer.provenance.ledger.settings import formed, read, signing

    settings = read(folder)
    published = source_at(against or str(folder / "public"))
    done = tried(backup, published, signing(folder, settings).check, partial(formed, settings.origin))
    for fault in done.found.faults:
        click.echo(f"damaged {fault}")
    for sentence in done.sentences():
        click.echo(sentence)
    return 1 if done.found.faults else 0


@click.command()
@click.argument("source")
@click.argument("folder", type=_FOLDER)
@click.option(
    "--key", "keys", multiple=True, required=True, help="The log's verifier key, as `titer ledger vkeys` prints it."
)
def mirror(source: str, folder: Path, keys: tuple[str, ...]) -> int:
    """Copy the log at SOURCE (an address, or a folder) to FOLDER, or bring the copy up to date."""
    from titer.provenance.ledger.mirror import mirror as follow
    from titer.provenance.ledger.mirror import source_at
    from titer.provenance.ledger.settings import checker

    told = follow(source_at(source), folder, checker(keys))
    click.echo(f"Mirrored {told.size} entries of {told.origin} in {folder / 'public'}")
    return 0

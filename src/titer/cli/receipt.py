"""`titer capture receipt`: what others need to check an object that was captured."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.argument("ledger", type=_FOLDER)
@click.argument("site", type=_FOLDER)
@click.argument("record")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--with-subject", is_flag=True, help="Let readers of the opening check whom the object is about.")
def receipt(ledger: Path, site: Path, record: str, target: Path, *, with_subject: bool) -> int:
    """Write TARGET.receipt and TARGET.opening, with which others check an object (`titer verify`).

    RECORD is the leaf hash that was printed, or answered, when the object was captured.
    """
    from titer.provenance.guard.folder import Folder
    from titer.provenance.guard.handover import handover
    from titer.provenance.ledger.publish import put
    from titer.provenance.ledger.settings import opened

    with opened(ledger) as log, closing(Folder(site).index()) as index:
        made = handover(record, index, log, subject=with_subject)
    for ending, raw in (("receipt", made.receipt), ("opening", made.opening)):
        path = target.with_name(f"{target.name}.{ending}")
        put(path, raw, 0o600)
        click.echo(f"{ending.capitalize()}: {path}")
    return 0

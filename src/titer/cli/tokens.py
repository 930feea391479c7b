"""`titer ledger authority`, `stamp` and `times`: time tokens."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.argument("name")
@click.argument("url")
@click.option("--roots", type=_FILE, required=True, help="The authority's root certificates (PEM).")
@click.option("--interval", type=float, help="Seconds between two tokens of each authority.  [default: 3600]")
def authority(folder: Path, name: str, url: str, roots: Path, interval: float | None) -> int:
    """Have checkpoints stamped by the time-stamp authority at URL (RFC 3161), while `titer ledger serve` runs."""
    from titer.provenance.ledger.settings import read
    from titer.provenance.ledger.stamping import name_authority

    read(folder)
    asked = name_authority(folder, name, url, roots.read_bytes(), interval=interval)
    click.echo(f"Asked for time tokens: {', '.join(each.name for each in asked)}")
    return 0


@click.command()
@click.argument("folder", type=_FOLDER)
def stamp(folder: Path) -> int:
    """Have the published checkpoint stamped now; exit code 1 if an authority fails."""
    from titer.errors import ProvenanceError
    from titer.provenance.ledger.publish import Site
    from titer.provenance.ledger.stamping import authorities
    from titer.provenance.ledger.stamping import stamp as have_stamped

    note = Site(folder, threads=1).checkpoint()
    asked = authorities(folder)[1]
    if note is None or not asked:
        why = "nothing is published yet" if note is None else "no authority is named; see `titer ledger authority`"
        click.echo(why, err=True)
        return 1
    failed = False
    for each in asked:
        try:
            made = have_stamped(folder, each, note)
            click.echo(f"{each.name}: size {made.size}")
        except ProvenanceError as error:
            click.echo(f"{each.name}: {error}", err=True)
            failed = True
    return 1 if failed else 0


@click.command()
@click.argument("source")
@click.argument("receipt", type=_FILE)
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def times(source: str, receipt: Path, target: Path) -> int:
    """Write the time tokens around RECEIPT's record, with proofs, to TARGET, for `titer verify --times`.

    SOURCE is the log's address, or the folder of a ledger, an export or a mirror.
    """
    from titer.provenance.ledger.publish import put
    from titer.provenance.ledger.times import files_of, make_times

    put(target, make_times(files_of(source), receipt.read_bytes()))
    return 0

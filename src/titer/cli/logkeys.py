"""`titer ledger vkeys` and `rotate`: the log's own keys, under which checkpoints are signed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)
_SHORT = 200


def heading(folder: Path, *, command: str = "titer ledger vkeys") -> str:
    """What stands above keys."""
    return f"Verifier keys (`{command} {folder}` prints them whole):"


def shown(keys: Iterable[str]) -> list[str]:
    """Verifier keys, one a line; of one that would fill the screen (ML-DSA-44) name, identifier and length."""
    lines = []
    for each in keys:
        name, identifier, _ = each.split("+", 2)
        short = f"{name}+{identifier}+... (ML-DSA-44, {len(each)} characters)"
        lines.append(f"  {each if len(each) <= _SHORT else short}")
    return lines


@click.command()
@click.argument("folder", type=_FOLDER)
def vkeys(folder: Path) -> int:
    """Print the log's verifier keys whole, one a line: for witnesses, mirrors and policies.

    Ed25519, the short one, comes first; then ML-DSA-44, if the log signs with it. While keys change, old ones follow.
    """
    from titer.provenance.ledger.settings import read, verifier_keys

    for each in verifier_keys(folder, read(folder)):
        click.echo(each)
    return 0


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--administrator", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Private key.")
@click.option("--stolen-from", type=click.IntRange(min=0), help="First index in doubt: replace the keys at once.")
@click.option("--finish", "done", is_flag=True, help="End the old keys; the new ones sign alone.")
def rotate(folder: Path, administrator: Path | None, stolen_from: int | None, *, done: bool) -> int:
    """Change the keys that the log in FOLDER signs with, while it runs.

    New keys join the old ones; once whoever checks receipts knows them, --finish ends the old ones.
    """
    from titer.provenance.ledger import rotate as rotation
    from titer.provenance.ledger.keyfile import read_key
    from titer.provenance.ledger.settings import read

    if done == (administrator is not None) or (done and stolen_from is not None):
        raise click.UsageError("give either --administrator or --finish")
    if administrator is None:
        told = rotation.finish(folder)
    elif stolen_from is None:
        told = rotation.begin(folder, read_key(administrator))
    else:
        told = rotation.replace(folder, read_key(administrator), stolen_from)
    click.echo(f"Record {told.index} says so.\n{heading(folder)}")
    for line in shown(told.new):
        click.echo(line)
    if not done and stolen_from is None:
        click.echo("Until `titer ledger rotate --finish` these sign as well:")
        for line in shown(told.old):
            click.echo(line)
    if read(folder).policy is not None:
        click.echo("Nothing is published under the new keys alone until witnesses watch these.", err=True)
    return 0

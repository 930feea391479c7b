"""`titer ledger witness` and its commands."""

from __future__ import annotations

from pathlib import Path

import click

from titer.cli.logkeys import heading, shown

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def witness() -> None:
    """Cosign checkpoints of logs that are seen to grow (C2SP tlog-witness)."""


@witness.command()
@click.argument("folder", type=_FOLDER)
@click.option("--name", required=True, help="The witness's name for ever, such as witness.example/w1.")
@click.option("--ml-dsa/--no-ml-dsa", default=True, show_default=True, help="Cosign with ML-DSA-44 as well.")
def init(folder: Path, name: str, *, ml_dsa: bool) -> int:
    """Make a witness in FOLDER, with keys of its own."""
    from titer.provenance.ledger.witness_folder import create, verifier_keys

    create(folder, name, ml_dsa=ml_dsa)
    click.echo(f"Witness: {folder}\n{heading(folder, command='titer ledger witness vkeys')}")
    for line in shown(verifier_keys(folder)):
        click.echo(line)
    return 0


@witness.command()
@click.argument("folder", type=_FOLDER)
def vkeys(folder: Path) -> int:
    """Print the witness's verifier keys whole, one a line: for policies, which name one of them."""
    from titer.provenance.ledger.witness_folder import verifier_keys

    for each in verifier_keys(folder):
        click.echo(each)
    return 0


@witness.command()
@click.argument("folder", type=_FOLDER)
@click.argument("keys", nargs=-1, required=True)
def watch(folder: Path, keys: tuple[str, ...]) -> int:
    """Watch the logs with these verifier KEYS, as `titer ledger vkeys` prints them; a log with two by both."""
    from titer.provenance.ledger.witness_folder import trust

    made = trust(folder, keys)
    click.echo(f"{made.name} watches {', '.join(dict.fromkeys(key.partition('+')[0] for key in made.logs))}")
    return 0


@witness.command()
@click.argument("folder", type=_FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8081, show_default=True)
def serve(folder: Path, host: str, port: int) -> int:
    """Answer requests for cosignatures."""
    from titer.provenance.ledger.witness_folder import opened
    from titer.provenance.ledger.witness_server import WitnessServer

    with WitnessServer(opened(folder), host, port) as server:
        click.echo(f"Witnessing {', '.join(server.named.values()) or 'no log yet'} at {server.address}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("Stopped.")
    return 0


@witness.command()
@click.argument("folder", type=_FOLDER)
def status(folder: Path) -> int:
    """Print what was cosigned last of each log, and evidence of second histories; exit code 1 if there is some."""
    from titer.provenance.ledger.checkpoint import encoded
    from titer.provenance.ledger.witness_folder import watched

    found = watched(folder)
    for each in found:
        said = f"{each.latest.size} {encoded(each.latest.root)}" if each.latest else "none yet"
        click.echo(f"{each.origin}: {said}")
        for path in each.evidence:
            click.echo(f"  evidence: {path}")
    return 1 if any(each.evidence for each in found) else 0

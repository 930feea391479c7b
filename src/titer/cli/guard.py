"""`titer guard` and its commands: thin, and each loads what it needs when it is called."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)
_SITE = click.Path(path_type=Path, file_okay=False, exists=True)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def guard() -> None:
    """Let a model see only what a signed record vouches for (see docs/guard.md)."""


@guard.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Keep ledger, index and quarantine here (must be new).")
def demo(folder: Path | None) -> int:
    """Capture images over DICOM, perturb some in the archive, send all to a guarded model.

    The exit code is 1 if an image was stopped or let pass wrongly.
    """
    import tempfile

    from titer.provenance.guard.demo import run_demo

    if folder is not None:
        return 0 if run_demo(folder, click.echo).holds else 1
    with tempfile.TemporaryDirectory(prefix="titer-guard-") as made:
        return 0 if run_demo(Path(made), click.echo).holds else 1


@guard.command()
@click.argument("site", type=_FOLDER)
@click.option("--index", help="postgresql+psycopg://... for an index that hosts share (default: SQLite in SITE).")
def init(site: Path, index: str | None) -> int:
    """Make a site's private folder: its secret, and the keys of capture point, guard and releases."""
    from titer.provenance.guard.folder import create

    made = create(site, index=index)
    click.echo(f"Site: {site}\nPublic keys:")
    for name in made.names():
        click.echo(f"  {name}: {made.public(name)}")
    return 0


@guard.command()
@click.argument("site", type=_SITE)
@click.argument("name")
def point(site: Path, name: str) -> int:
    """Make a key for a further capture point, and print its public half; see --point of `titer capture`.

    One process at a time signs with a key, so each path that captures at the same time needs one.
    """
    from titer.provenance.guard.folder import Folder

    click.echo(Folder(site).add_point(name))
    return 0


@guard.command()
@click.argument("site", type=_SITE)
def keys(site: Path) -> int:
    """Print the public keys of a site, for policies."""
    from titer.provenance.guard.folder import Folder

    folder = Folder(site)
    for name in folder.names():
        click.echo(f"{name}: {folder.public(name)}")
    return 0


@guard.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("caller")
def token(file: Path, caller: str) -> int:
    """Let a CALLER in over HTTP: print a new token, once, and add its hash to FILE."""
    from titer.provenance.guard.tokens import issue

    click.echo(issue(file, caller))
    return 0


@guard.command()
@click.argument("config", type=_FILE)
def run(config: Path) -> int:
    """Stand in front of a model, as the settings in CONFIG say, until stopped."""
    from titer.cli.guard_plan import read_plan
    from titer.cli.guard_run import running
    from titer.cli.serving import logged, wait

    with logged(), running(read_plan(config)) as addresses:
        wait(addresses)
    return 0


@guard.command(name="list")
@click.argument("site", type=_SITE)
def held(site: Path) -> int:
    """List what is withheld and not released: name, since when, verdict, reasons."""
    from datetime import UTC, datetime

    from titer.provenance.guard.folder import Folder

    quarantine = Folder(site).quarantine()
    found = quarantine.held()
    for each in found:
        since = datetime.fromtimestamp((quarantine.folder / each.name / "0").stat().st_mtime, UTC)
        click.echo(f"{each.name}  {since:%Y-%m-%d %H:%M:%S}Z  {each.verdict}  {', '.join(each.reasons)}")
    click.echo(f"{len(found)} withheld", err=True)
    return 0


@guard.command()
@click.argument("name")
@click.option("--site", type=_SITE, required=True, help="The site's private folder.")
@click.option("--ledger", "log", type=_SITE, required=True, help="The folder of the ledger.")
def explain(name: str, site: Path, log: Path) -> int:
    """Say what was decided, why, and what it rests on.

    NAME is that of a withheld object, or the leaf hash of a decision.
    """
    from titer.provenance.guard.explain import explain as told
    from titer.provenance.guard.folder import Folder
    from titer.provenance.ledger.settings import opened

    folder = Folder(site)
    index = folder.index()
    try:
        with opened(log) as ledger:
            for line in told(name, folder, index, ledger):
                click.echo(line)
    finally:
        index.close()
    return 0


@guard.command()
@click.argument("name")
@click.option("--config", type=_FILE, required=True, help="The settings of the guard.")
@click.option("--first", required=True, help="Who says so.")
@click.option("--second", required=True, help="Who else says so.")
@click.option("--reason", required=True, help="Why.")
def override(name: str, config: Path, first: str, second: str, reason: str) -> int:
    """Give a withheld object to the model after all, because two people say so; that is a leaf of its own."""
    import json

    from titer.cli.guard_plan import read_plan
    from titer.cli.guard_run import released

    click.echo(json.dumps(released(read_plan(config), name, first, second, reason), indent=2))
    return 0

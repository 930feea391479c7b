"""`titer ledger` and its commands: thin, and each loads what it needs when it is called."""

from __future__ import annotations

from pathlib import Path

import click

from titer.cli.copies import drill, export, mirror, restore
from titer.cli.keys import key
from titer.cli.logkeys import heading, rotate, shown, vkeys
from titer.cli.page import page
from titer.cli.tokens import authority, stamp, times
from titer.cli.witness import witness

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def ledger() -> None:
    """Keep signed records where nobody can rewrite them unnoticed (see docs/ledger.md)."""


for command in (witness, key, vkeys, rotate, page, export, restore, drill, mirror, authority, stamp, times):
    ledger.add_command(command)


@ledger.command()
@click.argument("folder", type=_FOLDER)
@click.option("--origin", required=True, help="The log's name for ever, such as ledger.hospital.example/2026.")
@click.option("--mark", required=True, help="Where the high-water mark is kept: a path on another disk, or a database.")
@click.option("--database", help="postgresql+psycopg://... (default: SQLite in FOLDER).")
@click.option("--policy", type=click.Path(path_type=Path, exists=True), help="Which witnesses must have signed.")
@click.option("--ml-dsa/--no-ml-dsa", default=True, show_default=True, help="Sign with ML-DSA-44 as well.")
def init(folder: Path, origin: str, mark: str, database: str | None, policy: Path | None, *, ml_dsa: bool) -> int:
    """Make a new ledger in FOLDER, with keys of its own."""
    from titer.provenance.ledger.settings import create, verifier_keys

    made = create(folder, origin, mark, database=database, policy=policy, ml_dsa=ml_dsa)
    click.echo(f"Ledger: {folder}\n{heading(folder)}")
    for line in shown(verifier_keys(folder, made)):
        click.echo(line)
    if made.near(folder):
        click.echo("Warning: the high-water mark is on the same disk as the ledger; move it to another host.", err=True)
    return 0


@ledger.command()
@click.argument("folder", type=_FOLDER)
@click.argument("leaves", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1, required=True)
@click.option("--wait", type=click.Choice(["published", "durable"]), default="published", show_default=True)
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds to wait.")
@click.option("--receipts", type=_FOLDER, help="Folder to write a receipt for each record to.")
def append(folder: Path, leaves: tuple[Path, ...], wait: str, timeout: float, receipts: Path | None) -> int:
    """Add the records in LEAVES, one a file, and print index and state of each."""
    from titer.provenance.ledger.publish import put
    from titer.provenance.ledger.settings import opened

    with opened(folder) as log:
        raws = [path.read_bytes() for path in leaves]
        told = log.append_many(raws, wait="durable" if wait == "durable" else "published", timeout=timeout)
        for path, each in zip(leaves, told, strict=True):
            click.echo(f"{'-' if each.index is None else each.index} {each.state} {each.leaf_hash.hex()} {path.name}")
            if receipts is not None and each.index is not None and each.state == "published":
                receipts.mkdir(parents=True, exist_ok=True)
                put(receipts / f"{path.name}.receipt", log.receipt(each.index))
        failures = getattr(log.signing.cosign, "failures", {})
    if any(each.state == "pending" for each in told):
        for name, code in failures.items():
            click.echo(f"waiting for witness {name}: {code}", err=True)
    return 0 if all(each.state == wait for each in told) else 1


@ledger.command()
@click.argument("folder", type=_FOLDER)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
def policy(folder: Path, file: Path | None) -> int:
    """Print what whoever checks receipts needs: the log's key, and which witnesses count (tlog-policy).

    With FILE, let the policy in it say which witnesses must have signed, and where they are asked.
    """
    from titer.provenance.ledger.settings import govern, policy_text, read

    if file is None:
        click.echo(policy_text(folder, read(folder)), nl=False)
    else:
        asked = govern(folder, file.read_bytes())
        click.echo(f"{len(asked)} witnesses are asked from the next start on")
    return 0


@ledger.command()
@click.argument("folder", type=_FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8080, show_default=True)
@click.option("--scrub/--no-scrub", default=False, help="Compare everything, slowly, all the time.")
def serve(folder: Path, host: str, port: int, *, scrub: bool) -> int:
    """Serve the log's static files, and publish what is queued or pending."""
    import threading

    from titer.provenance.ledger.scrub import Scrub
    from titer.provenance.ledger.serve import Server
    from titer.provenance.ledger.settings import opened
    from titer.provenance.ledger.stamping import Stamper

    stop = threading.Event()
    with opened(folder) as log, Server(folder, host, port) as server:
        log.start()
        threading.Thread(target=Stamper(folder, log.site.checkpoint).run, args=(stop,), daemon=True).start()
        if scrub:
            work = Scrub(log.store, log.site, log.signing.check).run
            threading.Thread(target=work, args=(stop,), daemon=True).start()
        click.echo(f"Serving {log.origin} at {server.address}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("Stopped.")
        finally:
            stop.set()
    return 0


@ledger.command()
@click.argument("folder", type=_FOLDER)
@click.option("--repair", is_flag=True, help="Make wrong and missing files of the site again, from the entries.")
@click.option("--resume", is_flag=True, help="Let a halted log go on, if nothing is wrong.")
@click.option("--format/--no-format", "formats", default=True, show_default=True, help="Parse each record.")
def fsck(folder: Path, *, repair: bool, resume: bool, formats: bool) -> int:
    """Rebuild everything from the entries, compare it with all that is stored, and name each damaged place."""
    from titer.provenance.ledger.operations import examine

    found = examine(folder, repair=repair, resume=resume, formats=formats)
    for fault in found.mended:
        click.echo(f"mended  {fault}")
    for fault in found.faults:
        click.echo(f"damaged {fault}")
    click.echo(
        f"{found.origin}: {found.size} entries, {found.published} published, {found.files} files, "
        f"{found.checkpoints} checkpoints, {len(found.faults)} faults"
    )
    return 1 if found.faults else 0


@ledger.command()
@click.argument("folder", type=_FOLDER)
@click.option("--last", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A record to end with.")
def freeze(folder: Path, last: Path | None) -> int:
    """Publish what there is, and take no entry more, for ever."""
    from titer.provenance.ledger.freeze import freeze as end
    from titer.provenance.ledger.settings import opened

    with opened(folder) as log:
        note = end(log, None if last is None else last.read_bytes())
    click.echo(note.decode(), nl=False)
    return 0


@ledger.command()
@click.argument("folder", type=_FOLDER)
@click.argument("target", type=_FOLDER)
@click.option("--origin", required=True, help="The new log's name.")
@click.option("--mark", required=True, help="Where the new log's high-water mark is kept.")
@click.option("--database", help="postgresql+psycopg://... (default: SQLite in TARGET).")
def shard(folder: Path, target: Path, origin: str, mark: str, database: str | None) -> int:
    """Freeze the log in FOLDER and begin its successor in TARGET."""
    from titer.provenance.ledger.operations import succeeded
    from titer.provenance.ledger.settings import opened
    from titer.provenance.ledger.shard import shard as begin

    with (
        opened(folder) as old,
        begin(old, lambda said: succeeded(folder, target, origin, mark, database, said), origin) as new,
    ):
        click.echo(f"{old.origin} is frozen; {new.origin} begins in {target}")
    return 0


@ledger.command()
@click.argument("folder", type=_FOLDER)
def status(folder: Path) -> int:
    """Print how the ledger is: sizes, queue, holder of the lease, mark, halt."""
    from titer.provenance.ledger.operations import state
    from titer.provenance.ledger.stamping import last_tokens

    told = state(folder) | last_tokens(folder)
    for name, value in told.items():
        click.echo(f"{name}: {value}")
    return 1 if told.get("halted") or told.get("evidence of two histories") else 0

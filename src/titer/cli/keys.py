"""`titer ledger key` and its commands: keys that sign records, brought in and ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_FOLDER = click.Path(path_type=Path, file_okay=False)
_PEM = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def key() -> None:
    """Bring in, revoke and list the keys that sign records."""


@key.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def new(file: Path) -> int:
    """Make an Ed25519 key in FILE, readable by its owner only, and print its public half."""
    from titer.provenance.ledger.keychange import public_of
    from titer.provenance.ledger.keyfile import make_key

    click.echo(public_of(make_key(file)))
    return 0


@key.command()
@click.argument("origin")
@click.argument("old")
@click.argument("fresh", metavar="NEW")
@click.option("--administrator", type=_PEM, required=True, help="The administrator's private key.")
def approve(origin: str, old: str, fresh: str, administrator: Path) -> int:
    """Print an administrator's approval that the key NEW follows the key OLD in the log ORIGIN."""
    from titer.provenance.ledger.keychange import approve as sign

    ext = sign(origin, old, fresh, _key(administrator))
    click.echo(f"{ext['administrator']}:{ext['signature']}")
    return 0


@key.command()
@click.argument("folder", type=_FOLDER)
@click.argument("fresh", metavar="NEW")
@click.option("--old", type=_PEM, required=True, help="Private key that the new one follows.")
@click.option("--administrator", type=_PEM, help="The administrator's private key.")
@click.option("--approval", help="What `titer ledger key approve` printed, instead of the administrator's key.")
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds to wait.")
def add(
    folder: Path, fresh: str, *, old: Path, administrator: Path | None, approval: str | None, timeout: float
) -> int:
    """Bring the public key NEW into the log in FOLDER: signed by an old key and by an administrator."""
    from titer.provenance.ledger.chain import Chain
    from titer.provenance.ledger.keychange import bring_in
    from titer.provenance.ledger.settings import opened

    if (administrator is None) == (approval is None):
        raise click.UsageError("give either --administrator or --approval")
    name, _, signature = (approval or "").partition(":")
    second = (name, signature) if administrator is None else _key(administrator)
    with opened(folder) as log:
        done = bring_in(Chain(log, _key(old)), fresh, second, timeout=timeout)
    click.echo(f"{fresh} counts after record {done.index} ({done.state})")
    return 0 if done.state == "published" else 1


@key.command()
@click.argument("folder", type=_FOLDER)
@click.argument("which", metavar="KEY")
@click.option("--from", "start", type=click.IntRange(min=0), required=True, help="First index in doubt.")
@click.option("--administrator", type=_PEM, help="The administrator's private key.")
@click.option("--own", type=_PEM, help="KEY's own private key; then nothing before this record can be put in doubt.")
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds to wait.")
def revoke(
    folder: Path, which: str, *, start: int, administrator: Path | None, own: Path | None, timeout: float
) -> int:
    """Put what KEY signed from an index on in doubt, for ever."""
    from titer.provenance.ledger.chain import Chain
    from titer.provenance.ledger.keychange import revoke as end
    from titer.provenance.ledger.settings import opened

    signer = _one_of(administrator, own)
    with opened(folder) as log:
        done = end(Chain(log, signer), which, start, timeout=timeout)
        from_ = start if administrator is not None else max(start, done.index or 0)
    click.echo(f"{which} is in doubt from index {from_}, by record {done.index} ({done.state})")
    return 0 if done.state == "published" else 1


@key.command()
@click.argument("folder", type=_FOLDER)
@click.argument("which", metavar="KEY")
@click.option("--administrator", type=_PEM, help="The administrator's private key.")
@click.option("--own", type=_PEM, help="KEY's own private key.")
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds to wait.")
def retire(folder: Path, which: str, *, administrator: Path | None, own: Path | None, timeout: float) -> int:
    """End KEY, as planned: what it signs later does not count."""
    from titer.provenance.ledger.chain import Chain
    from titer.provenance.ledger.keychange import retire as end
    from titer.provenance.ledger.settings import opened

    signer = _one_of(administrator, own)
    with opened(folder) as log:
        done = end(Chain(log, signer), which, timeout=timeout)
    click.echo(f"{which} ends with record {done.index} ({done.state})")
    return 0 if done.state == "published" else 1


@key.command("list")
@click.argument("source")
@click.option("--policy", type=_PEM, required=True, help="Which keys a site begins with, and who administers them.")
@click.option("--receipts", type=_FOLDER, help="Folder to write the receipts of all records about keys to.")
def list_(source: str, policy: Path, receipts: Path | None) -> int:
    """Say which keys count as of the checkpoint of the log at SOURCE: its address, or its folder `public`.

    Every entry is read, so that no record can be left out.
    """
    from titer.provenance.ledger.about_keys import about_keys
    from titer.provenance.ledger.keys import keys_at
    from titer.provenance.ledger.mirror import source_at
    from titer.provenance.ledger.policy import Policy
    from titer.provenance.ledger.publish import put
    from titer.provenance.ledger.receipt import Receipt
    from titer.provenance.ledger.record import parse

    rules = Policy.parse(policy.read_bytes())
    found = about_keys(source_at(source), policy.read_bytes())
    told = [Receipt.parse(each) for each in found.receipts]
    known = keys_at(
        found.checkpoint.size, [(each.index, parse(each.leaf)) for each in told], rules.roles, rules.administrators
    )
    click.echo(f"{found.checkpoint.origin} as of size {known.size}, {len(told)} records about keys")
    for name, (tasks, start) in sorted(known.since.items(), key=lambda each: (each[1][1], each[0])):
        click.echo(f"{name} {'+'.join(sorted(tasks))} from {start}")
    for name, (start, by) in sorted(known.suspect.items(), key=lambda each: (each[1], each[0])):
        click.echo(f"{name} in doubt from {start}, by record {by}")
    for index in known.void:
        click.echo(f"record {index} has no effect: nobody signed it who may")
    if receipts is not None:
        receipts.mkdir(parents=True, exist_ok=True)
        for each, raw in zip(told, found.receipts, strict=True):
            put(receipts / f"{each.index}.receipt", raw)
    return 0


def _key(path: Path) -> Ed25519PrivateKey:
    from titer.provenance.ledger.keyfile import read_key

    return read_key(path)


def _one_of(administrator: Path | None, own: Path | None) -> Ed25519PrivateKey:
    if (administrator is None) == (own is None):
        raise click.UsageError("give either --administrator or --own")
    return _key(administrator or own)  # type: ignore[arg-type] # one of the two is given

"""`titer ledger page`: the verifier as one page for a browser."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The policy that the page offers."
)
def page(file: Path, policy: Path | None) -> int:
    """Write a page to FILE that checks receipts in a browser, without a network and without Titer.

    It reads texts and DICOM images in Explicit VR Little Endian; of other kinds it says that it cannot decide.
    """
    from titer.provenance.ledger.verifier import write_verifier

    try:
        write_verifier(file, None if policy is None else policy.read_bytes())
    except OSError as error:
        raise click.FileError(str(file), hint=error.strerror) from error
    click.echo(f"Page: {file}")
    return 0

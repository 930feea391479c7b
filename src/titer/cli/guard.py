"""`titer guard`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def guard() -> None:
    """Let a model see only what a signed record vouches for."""


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

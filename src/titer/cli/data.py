"""`titer data` and `titer list`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("name", required=False)
@click.option("--data", "root", type=click.Path(path_type=Path), help="Folder of data sets (default: TITER_DATA).")
def data(name: str | None, root: Path | None) -> int:
    """List data sets, or print the card of the one with this NAME or path."""
    from titer.cases.find import data_root, find_dataset
    from titer.registry import DATASETS

    if name is None:
        for each in DATASETS.names():
            embedded = "embedded" if DATASETS.find(each).embedded else "from --data, TITER_DATA or the network"
            click.echo(f"{each:24} {embedded}")
        return 0
    from titer.cases.card import describe

    click.echo(describe(find_dataset(name, root=data_root(root))))
    return 0


@click.command()
def methods() -> int:
    """List attacks, changes, reference models, readers and built-in plans, those of installed packages included."""
    from titer.audit.plans import plan_names
    from titer.registry import ATTACKS, CHANGES, DATASETS, MODELS, READERS, STATISTICS

    for family in (ATTACKS, CHANGES, DATASETS, MODELS, READERS, STATISTICS):
        click.echo(f"{family.group}: {', '.join(family.names())}")
    click.echo(f"plans: {', '.join(plan_names())}")
    return 0

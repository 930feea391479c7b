"""`titer data` and `titer list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
            click.echo(f"{each:24} {_origin(DATASETS.find(each))}")
        return 0
    from titer.cases.card import describe

    click.echo(describe(find_dataset(name, root=data_root(root))))
    return 0


def _origin(source: Any) -> str:
    """Where a data set comes from, in words."""
    if source.embedded:
        return "embedded"
    network = f", or the network with {source.fetched_by}" if source.fetched_by else ""
    return f"from --data or TITER_DATA{network}"


@click.command()
def methods() -> int:
    """List attacks, changes, data sets, readers, reference models, statistics, traps and plans.

    What an installed package adds stands there with the package's name.
    """
    from titer.audit.plans import plan_names
    from titer.registry import FAMILIES

    for family in FAMILIES:
        told = [f"{name} (from {where})" if where else name for name, where in family.origins().items()]
        click.echo(f"{family.group}: {', '.join(told)}")
    click.echo(f"plans: {', '.join(plan_names())}")
    return 0

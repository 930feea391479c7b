"""`titer check`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from titer.cli.init import pair


@click.command()
@click.argument("model")
@click.argument("data")
@click.option("--limit", help="How much an attacker may change, as in a plan, e.g. 2/255 (default: as titer init).")
@click.option("--data", "root", type=click.Path(path_type=Path), help="Folder of data sets (default: TITER_DATA).")
@click.option(
    "--model-set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of 'model:', e.g. mean=0.5."
)
@click.option("--data-set", "options", multiple=True, metavar="KEY=VALUE", help="An option of the data, e.g. size=64.")
def check(
    model: str,
    data: str,
    *,
    limit: str | None,
    root: Path | None,
    settings: tuple[str, ...],
    options: tuple[str, ...],
) -> int:
    """Ask whether attacks on MODEL can be believed, on a few cases of DATA, before an audit.

    MODEL and DATA are named as for titer init. The exit code is 1 if a doubt was raised.
    """
    from rich.console import Console
    from rich.table import Table

    from titer.audit.checkup import check_model
    from titer.audit.checkup.exam import open_exam
    from titer.cases.find import data_root

    chosen, wanted = dict(pair(each) for each in settings), dict(pair(each) for each in options)
    exam = open_exam(model, data, root=data_root(root), settings=chosen, options=wanted, limit=limit)
    findings = check_model(exam)
    table = Table(title=f"{exam.raw.name}: {len(exam.cases)} cases", title_justify="left", header_style="bold")
    for name in ("asked", "result", "seen"):
        table.add_column(name)
    for each in findings:
        table.add_row(each.title, each.status, each.evidence)
    console = Console(width=None if os.environ.get("COLUMNS") or os.isatty(1) else 110)
    console.print(table)
    raised = [each for each in findings if each.status == "raised"]
    for each in raised:
        console.print(f"\n{each.title}: no. {each.meaning}\nDone: {each.done}", markup=False)
    console.print(f"\n{len(raised)} of {len(findings)} doubts raised.")
    return 1 if raised else 0

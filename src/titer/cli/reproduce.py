"""`titer reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from titer.audit.report.schema import Report


@click.command()
@click.argument("paper")
@click.option("--scale", type=click.Choice(["quick", "full"]), default="quick", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results (default: out/PAPER-SCALE).")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of data sets (default: TITER_DATA).")
@click.option("--scheduler", help="inline, processes (default), or the address of a Dask scheduler.")
@click.option("--workers", type=int, help="Local processes (default: one per core).")
def reproduce(
    paper: str, scale: str, out: Path | None, data: Path | None, scheduler: str | None, workers: int | None
) -> int:
    """Repeat the experiments of PAPER (soberano-2025) and print its figures beside ours."""
    from titer.audit.driver import opened, run, write
    from titer.audit.run.choose import choose
    from titer.audit.run.display import Display
    from titer.cases.find import data_root
    from titer.reproduce.paper import Paper

    found = Paper.read(paper)
    folder = out or Path("out") / f"{paper}-{scale}"
    executor = choose(scheduler, workers)
    prepared = opened(found.plan(scale), data_root(data))
    with Display() as display:
        report = run(
            prepared, folder, executor, source=found.plan_text(scale), plan_file=f"{paper}-{scale}", on_event=display
        )
    report = found.beside(report)
    _print(report)
    _, page = write(report, folder, found.plan_text(scale))
    click.echo(f"\nReport: {page}")
    return 0


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Mean accuracy drop in points", title_justify="left", header_style="bold")
    for name in ("model", "attack", "limit"):
        table.add_column(name)
    for name in ("published", "ours", "95 % interval", "n"):
        table.add_column(name, justify="right")
    for row in report.table1:
        told = (
            "-"
            if row.published is None
            else f"{row.published.value:g}" + (f" ± {row.published.sd:g}" if row.published.sd else "")
        )
        if row.ours is None:
            table.add_row(row.model, row.attack, "", told, row.missing, "", "")
            continue
        ours = f"{row.ours.mean:.1f}" + (f" ± {row.ours.sd:.1f}" if row.ours.sd is not None else "")
        span = "" if row.ours.low is None else f"{row.ours.low:.1f} to {row.ours.high:.1f}"
        limit = "" if row.limit is None else f"{row.limit.label} {row.limit.unit}"
        table.add_row(row.model, row.attack, limit, told, ours, span, str(row.ours.n))
    console.print(table)
    reasons = dict.fromkeys(row.difference for row in report.table1 if row.difference)
    for reason in reasons:
        console.print(f"Why they differ: {reason}")
    seen: dict[str, list[str]] = {}
    for row in report.table1:
        for said in row.inconsistencies:
            seen.setdefault(said, []).append(f"{row.model}/{row.attack}")
    for said, where in seen.items():
        touched = "every row" if len(where) == len(report.table1) else ", ".join(where)
        console.print(f"In the paper ({touched}): {said}")

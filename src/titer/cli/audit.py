"""`titer audit` and `titer demo`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from titer.audit.evidence.record import Keeper
    from titer.audit.jobs import Prepared
    from titer.audit.report.schema import Cell, EvidenceRecord, Report


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for results and report.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of data sets (default: TITER_DATA).")
@click.option("--set", "changes", multiple=True, metavar="A.B=C", help="Override a setting of the plan.")
@click.option("--dry-run", is_flag=True, help="Check everything, list the trials, run nothing.")
@click.option("--only", metavar="CELL", help="Run one cell and print its numbers; the report is not written.")
@click.option("--scheduler", help="inline, processes (default), tcp://127.0.0.1:PORT or tls://HOST:PORT.")
@click.option("--workers", type=int, help="Local processes (default: one per core).")
@click.option("--tls-ca", type=click.Path(path_type=Path), help="CA certificate of the cluster.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate of this client.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Key of this client.")
@click.option("--ledger", type=click.Path(path_type=Path), help="Record plan and report in the ledger of this folder.")
@click.option("--key", type=click.Path(path_type=Path), help="Private key that signs them, from `titer report key`.")
def audit(
    plan: Path,
    out: Path,
    data: Path | None,
    changes: tuple[str, ...],
    dry_run: bool,
    only: str | None,
    scheduler: str | None,
    workers: int | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    ledger: Path | None,
    key: Path | None,
) -> int:
    """Attack a model as PLAN says, and write report.json and report.html into a folder.

    PLAN is a file, or the name of a plan that comes with Titer. A run that was stopped goes on where it stood. The
    exit code is 0 if the limits of the plan held or it sets none, 1 if one was broken or could not be relied on (not
    measured, or resting on results that a failed trap marks suspect), 2 if the audit could not run.

    With --ledger and --key the plan is recorded before the run and the signed report after it: `titer verify` then
    tells that the report is unchanged, and since when.
    """
    from titer.audit.plan import load_plan
    from titer.audit.plan_file import parse_plan
    from titer.audit.plans import plan_names, plan_text
    from titer.audit.run.choose import choose
    from titer.cases.find import data_root

    if not plan.exists() and str(plan) in plan_names():
        source = plan_text(str(plan))
        made = parse_plan(source, changes, str(plan))
    else:
        made, source = load_plan(plan, changes)
    keeper = _keeper(ledger, key, only)
    executor = choose(scheduler, workers, ca=tls_ca, cert=tls_cert, key=tls_key)
    from titer.audit.driver import check_folder, opened

    check_folder(out)
    # A dry run leaves nothing behind; it counts its few questions where an audit has begun.
    prepared = opened(made, data_root(data), only, None if dry_run and not out.is_dir() else out)
    if dry_run:
        _list(prepared)
        return 0
    if keeper is not None:
        keeper.plan(prepared.plan, out)
    records = () if keeper is None else (keeper.evidence(out),)
    code = _finish(prepared, out, executor, source, plan.name, write=only is None, records=records)
    if keeper is not None:
        click.echo(f"Receipt: {keeper.report(out)}")
    return code


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of data sets (default: TITER_DATA).")
def demo(out: Path, data: Path | None) -> int:
    """Audit what comes with Titer: real biopsies, chest phantom, simulated ECG; real X-rays where DATA has them."""
    from titer.audit.demo import demo_plan
    from titer.audit.driver import opened
    from titer.audit.run.choose import choose
    from titer.cases.find import data_root

    root = data_root(data)
    plan, source = demo_plan(root)
    _finish(opened(plan, root), out, choose(), source, "demo", write=True)
    return 0


def _finish(
    prepared: Prepared,
    out: Path,
    executor: object,
    source: str,
    plan_file: str,
    *,
    write: bool,
    records: tuple[EvidenceRecord, ...] = (),
) -> int:
    from titer.audit.driver import run
    from titer.audit.driver import write as written
    from titer.audit.run.display import Display

    with Display() as display:
        report = run(
            prepared, out, executor, source=source, plan_file=plan_file, on_event=display,  # type: ignore[arg-type]
            records=records,
        )  # fmt: skip
    _print(report, whole=write)
    if write:
        data, page = written(report, out, source)
        click.echo(f"\nReport: {page}\nNumbers: {data}")
    if not write:
        # One cell alone cannot prove a limit that speaks of others too; it can break one.
        return 1 if any(rule.status == "broken" for rule in report.limits.rules) else 0
    return 1 if report.passed is False else 0


def _keeper(ledger: Path | None, key: Path | None, only: str | None) -> Keeper | None:
    if ledger is None and key is None:
        return None
    if ledger is None or key is None:
        raise click.UsageError("--ledger and --key belong together: what is recorded is signed")
    if only is not None:
        raise click.UsageError("--only writes no report that could be recorded; leave out --ledger")
    from titer.audit.evidence.record import Keeper

    return Keeper(ledger, key)


def _list(prepared: Prepared) -> None:
    click.echo(f"{len(prepared.trials)} trials in {len(prepared.jobs)} jobs; nothing was run.")
    for job in prepared.jobs:
        click.echo(f"  {job.key[:12]}  {job.label}")


def _limit(label: str, unit: str) -> str:
    """A limit in a narrow column: long units are in the report."""
    return f"{label} {unit}" if len(unit) <= 10 else label


def _row(cell: Cell) -> tuple[str, ...]:
    """One result in its leading measure, whatever the task: accuracy, macro AUROC or RMSE in the target's unit."""
    from titer.audit.report.view.table import unit_note
    from titer.audit.report.vocabulary import LEADING, leading

    clean, attacked = leading(cell)
    form = ".3f" if clean.unit in ("proportion", "score") else ".3g"
    known = attacked.low is not None and attacked.high is not None
    span = f"{attacked.low:{form}}-{attacked.high:{form}}" if known else ""
    change = 100 * (attacked.value - clean.value) if clean.unit == "proportion" else attacked.value - clean.value
    shown = f"{change:+.1f} points" if clean.unit == "proportion" else f"{change:+{form}}"
    return (
        cell.model, cell.attack, _limit(cell.limit.label, cell.limit.unit),
        LEADING[cell.metrics.kind].name + unit_note(clean), str(cell.n_cases), f"{clean.value:{form}}",
        f"{attacked.value:{form}}", span, shown,
    )  # fmt: skip


def _print(report: Report, *, whole: bool = True) -> None:
    from rich.console import Console
    from rich.table import Table

    from titer.audit.report.formats import bare

    table = Table(title=report.identity.title, title_justify="left", header_style="bold")
    for name in ("model", "attack", "limit", "measure"):
        table.add_column(name)
    for name in ("n", "clean", "under attack", "95 % interval", "change"):
        table.add_column(name, justify="right")
    for cell in report.cells:
        table.add_row(*_row(cell))
    console = Console(width=None if os.environ.get("COLUMNS") or os.isatty(1) else 110)
    console.print(table)
    totals = report.summary.totals
    failed = ", ".join(trap.name for trap in report.traps if trap.status == "failed")
    console.print(
        f"Traps: {totals.traps_passed} passed, {totals.traps_failed} failed{f' ({failed})' if failed else ''}, "
        f"{totals.traps_not_applicable} not applicable"
    )
    for rule in report.limits.rules:
        measured = "" if rule.measured is None else f" (measured {bare(rule.measured, rule.unit)})"
        console.print(" ".join(filter(None, [f"{rule.status}: {rule.rule}{measured}.", rule.scope, rule.reason])))
    if not report.limits.rules:
        console.print("no limits set: nothing was passed or failed" if whole else "no limit speaks of this cell")
    console.print(report.summary.headline.text)

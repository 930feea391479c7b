"""The driver: a plan becomes jobs, jobs become results in a folder, results become a report."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from titer.atomic import made_folder, write_whole
from titer.audit.plan import Plan
from titer.errors import StoreError

if TYPE_CHECKING:
    from titer.audit.jobs import Prepared
    from titer.audit.report.schema import EvidenceRecord, Report
    from titer.audit.run.events import Event
    from titer.audit.run.executor import Executor


def opened(plan: Plan, root: Path | None, only: str | None = None, out: Path | None = None) -> Prepared:
    """Everything a plan names, opened and found to fit; what cannot run is refused here.

    Arguments
        root: folder of data sets. only: name of a cell. out: the folder that `run` will be given; a budget of queries
            (`max_queries`) is then kept there, over all processes and all runs.
    """
    from titer.audit.assemble.rules import check_rules, touched
    from titer.audit.jobs import only as restricted
    from titer.audit.jobs import prepare
    from titer.audit.subject import renamed
    from titer.audit.traps import check_explanations

    check_explanations(plan.explain)
    prepared = prepare(renamed(plan), root, out)
    check_rules(prepared)
    return prepared if only is None else touched(restricted(prepared, only))


def run(
    prepared: Prepared,
    out: Path,
    executor: Executor,
    *,
    source: str = "",
    plan_file: str = "PLAN.yaml",
    on_event: Callable[[Event], None] | None = None,
    records: tuple[EvidenceRecord, ...] = (),
) -> Report:
    """Do all work that is not done yet and make the report.

    Results are kept in `out/results`, one file per job; a run that was stopped goes on where it stood. All answers
    together stand in `out/results.parquet`, unless the plan was prepared for one cell only. The report is returned and
    not written.

    Arguments
        records: evidence that was made elsewhere, to be attached.
    """
    from titer.audit.assemble.draft import assemble
    from titer.audit.export import export
    from titer.audit.results import collect
    from titer.audit.run.events import ignore
    from titer.audit.run.store import Store

    store = Store(folder(out))
    executor.run(prepared.jobs, store, on_event or ignore)
    results = collect(prepared, store.get)
    if not prepared.part:
        write_whole(out / "results.parquet", export(results))
    return assemble(results, source=source, plan_file=plan_file, records=records)


def check_folder(out: Path) -> None:
    """Refuse what can be no folder for results, without making one."""
    there = next((place for place in (out, *out.absolute().parents) if place.exists()), out)
    if not there.is_dir():
        raise StoreError("a folder to write to", f"{there}, a file", "choose another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StoreError("a folder to write to", f"{there}, which may not be written to", "choose another --out")


def folder(out: Path) -> Path:
    """The folder for results, made if it is not there."""
    return made_folder(out)


def write(report: Report, out: Path, source: str = "") -> tuple[Path, Path]:
    """Write `report.json`, `report.html` and `bom.json` (and the plan's text as `plan.yaml`) into a folder."""
    from titer.audit.evidence.bundle import write_bom
    from titer.audit.report.render import render_html

    made = folder(out)
    if source:
        write_whole(made / "plan.yaml", source)
    data = report.save(made / "report.json")
    page = made / "report.html"
    write_whole(page, render_html(report))
    write_bom(report, made)
    return data, page

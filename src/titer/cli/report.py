"""`titer report`, `titer compare` and `titer schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path) -> int:
    """Draw report.html again from the report.json in FOLDER."""
    from titer.atomic import write_whole
    from titer.audit.report.render import render_html
    from titer.audit.report.schema import Report

    loaded = Report.load(folder / "report.json" if folder.is_dir() or folder.suffix != ".json" else folder)
    page = (folder if folder.is_dir() else folder.parent) / "report.html"
    write_whole(page, render_html(loaded))
    click.echo(f"Report: {page}")
    return 0


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("comparison.html"), show_default=True)
def compare(first: Path, second: Path, out: Path) -> int:
    """Set the audits in two folders side by side."""
    from titer.atomic import write_whole
    from titer.audit.report.compare import compare as compared
    from titer.audit.report.compare import render_comparison_html
    from titer.audit.report.schema import Report

    one, two = (Report.load(path / "report.json" if path.is_dir() else path) for path in (first, second))
    write_whole(out, render_comparison_html(compared(one, two)))
    click.echo(f"Comparison: {out}")
    return 0


@click.command()
@click.argument("what", type=click.Choice(["report", "plan"]))
def schema(what: str) -> int:
    """Print the JSON schema of a report or of a plan."""
    if what == "plan":
        from titer.audit.plan_file import plan_schema

        found = plan_schema()
    else:
        from titer.audit.report.schema import Report

        found = Report.model_json_schema()
    click.echo(json.dumps(found, indent=2, sort_keys=True))
    return 0

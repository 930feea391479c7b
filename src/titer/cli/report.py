"""`titer report`, `titer compare` and `titer schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click


class _Drawing(click.Group):
    """A group whose first word may be a folder: `titer report FOLDER` draws the page of that folder again."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["draw", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Drawing)
def report() -> None:
    """Draw a finished report again, as a page or a document; sign it, and check what was signed.

    `titer report FOLDER` draws report.html from the report.json in FOLDER.
    """


@report.command()
@click.argument("folder", type=click.Path(path_type=Path))
def draw(folder: Path) -> int:
    """Draw report.html again from the report.json in FOLDER."""
    from titer.atomic import write_whole
    from titer.audit.report.render import render_html
    from titer.audit.report.schema import Report

    loaded = Report.load(folder / "report.json" if folder.is_dir() or folder.suffix != ".json" else folder)
    page = (folder if folder.is_dir() else folder.parent) / "report.html"
    write_whole(page, render_html(loaded))
    click.echo(f"Report: {page}")
    return 0


@report.command()
@click.argument("folder", type=click.Path(path_type=Path))
def pdf(folder: Path) -> int:
    """Typeset report.pdf from the report.json in FOLDER: PDF/A-3a and PDF/UA-1.

    What lies beside report.json and belongs to it (bom.json, the signed statement, receipts) is put inside.
    """
    from titer.audit.evidence.bundle import write_pdf

    click.echo(f"Document: {write_pdf(folder)}")
    return 0


@report.command()
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> int:
    """Make a key to sign reports with: FILE for the signer alone, FILE.pub for everybody."""
    from titer.audit.evidence.keys import new_key

    private, public = new_key(file)
    click.echo(f"Private key: {private}\nPublic key: {public}")
    return 0


@report.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Private key, from `titer report key`.")
def sign(folder: Path, key: Path) -> int:
    """Sign the report in FOLDER: report.dsse.json, an in-toto statement over report.json and bom.json."""
    from titer.audit.evidence.statement import sign_report

    click.echo(f"Statement: {sign_report(folder, key)}")
    return 0


@report.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--ledger", type=click.Path(path_type=Path), required=True, help="Folder of the ledger.")
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Private key, from `titer report key`.")
def record(folder: Path, ledger: Path, key: Path) -> int:
    """Sign the report in FOLDER and put the statement into a ledger; its plan must stand there from before the run.

    `titer audit --ledger --key` does it at its end. Here a report is recorded again whose ledger had failed.
    """
    from titer.audit.evidence.record import Keeper

    click.echo(f"Receipt: {Keeper(ledger, key).report(folder)}")
    return 0


@report.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Public key of the signer.")
@click.option("--policy", type=click.Path(path_type=Path), help="Which logs and witnesses count: receipts are checked.")
def verify(path: Path, key: Path, policy: Path | None) -> int:
    """Check that the report in PATH, a folder or a report.pdf, is unchanged since it was signed.

    The exit code is 0 if everything that was signed is unchanged, 1 if an item is not, 2 if nothing could be checked,
    or not the pages of a document.
    """
    from titer.audit.evidence.verify import verify_report

    found = verify_report(path, key, policy)
    for item in found.items:
        word = {True: "unchanged", False: "CHANGED", None: "not checked"}[item.holds]
        click.echo(f"{word}: {item.name}. {item.sentence}")
    return (2 if found.unseen else 0) if found.holds else 1


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

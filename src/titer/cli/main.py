"""`titer`: the command and its subcommands, each loaded only when it is called."""

from __future__ import annotations

import importlib
import sys

import click

import titer

# Name, module, one line of help: what `titer --help` shows must not import what the commands need.
_COMMANDS = {
    "audit": ("titer.cli.audit:audit", "Attack a model as a plan says, and write the report."),
    "capture": ("titer.cli.capture:capture", "Record data where it is born, in a ledger."),
    "check": ("titer.cli.check:check", "Ask whether attacks on a model can be believed, before an audit."),
    "compare": ("titer.cli.report:compare", "Set two audits side by side."),
    "data": ("titer.cli.data:data", "List data sets, or print the card of one."),
    "demo": ("titer.cli.audit:demo", "Audit the embedded models and data: biopsies, chest phantom, ECG."),
    "guard": ("titer.cli.guard:guard", "Let a model see only what a signed record vouches for."),
    "init": ("titer.cli.init:init", "Look at a model and data, and write a short plan for them."),
    "ledger": ("titer.cli.ledger:ledger", "Keep signed records where nobody can rewrite them unnoticed."),
    "list": ("titer.cli.data:methods", "List attacks, changes, reference models, traps, plans and the like."),
    "report": ("titer.cli.report:report", "Draw a finished report again, as page or PDF; sign and verify it."),
    "reproduce": ("titer.cli.reproduce:reproduce", "Repeat a paper's experiments and set our figures beside its own."),
    "schema": ("titer.cli.report:schema", "Print the JSON schema of a report."),
    "verify": ("titer.cli.verify:verify", "Check, offline, that a file is as it was captured."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(titer.__version__, prog_name="titer")
def cli() -> None:
    """Titer measures how much immunity a clinical AI model has."""


def main() -> None:
    """Run the command line.

    Exit codes: 0 limits held or none set, 1 a limit was broken or could not be judged, or a doubt raised, 2 could not
    run.
    """
    from titer.errors import TiterError

    try:
        sys.exit(cli.main(standalone_mode=False))
    except TiterError as error:
        click.echo(f"titer: {type(error).__name__}: {error}", err=True)
    except click.ClickException as error:
        error.show()
    except (KeyboardInterrupt, click.Abort):
        click.echo("titer: stopped. Finished trials are kept; the same command goes on from there.", err=True)
    sys.exit(2)

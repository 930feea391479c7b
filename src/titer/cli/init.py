"""`titer init`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), default=Path("plan.yaml"), show_default=True)
@click.option("--data", "root", type=click.Path(path_type=Path), help="Folder of data sets (default: TITER_DATA).")
@click.option(
    "--model-set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of 'model:', e.g. mean=0.5."
)
@click.option("--data-set", "options", multiple=True, metavar="KEY=VALUE", help="An option of the data, e.g. size=64.")
@click.option("--force", is_flag=True, help="Overwrite a plan that is there.")
def init(
    model: str,
    data: str,
    *,
    out: Path,
    root: Path | None,
    settings: tuple[str, ...],
    options: tuple[str, ...],
    force: bool,
) -> int:
    """Look at MODEL and DATA, and write a short commented plan that fits both.

    MODEL is a model file, an endpoint's address, module:function, or a reference model such as t-cnn. DATA is the name
    of a data set, or the path of a file or folder.
    """
    from titer.atomic import write_whole
    from titer.audit.plan_file import parse_plan
    from titer.audit.propose import propose_plan
    from titer.cases.find import data_root
    from titer.errors import PlanError

    if out.exists() and not force:
        raise PlanError("a new file for the plan", f"{out.name}, which exists", "choose another --out, or add --force")
    chosen = dict(pair(each) for each in settings)
    wanted = dict(pair(each) for each in options)
    text = propose_plan(model, data, root=data_root(root), settings=chosen, options=wanted)
    parse_plan(text)
    write_whole(out, text)
    click.echo(text)
    click.echo(f"Plan: {out}\nNext: titer audit {out} --out out/audit")
    return 0


def pair(text: str) -> tuple[str, object]:
    """KEY=VALUE as key and value, the value read as YAML."""
    import yaml

    from titer.errors import PlanError

    key, sign, value = text.partition("=")
    if not sign:
        raise PlanError("KEY=VALUE", repr(text), "for example --model-set mean=0.5")
    return key, yaml.safe_load(value)

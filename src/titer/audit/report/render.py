"""The report as one self-contained page: no script, no remote file, the same bytes for the same report."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from titer.audit.report.charts.styles import mark
from titer.audit.report.charts.svg import element
from titer.audit.report.schema import Report
from titer.audit.report.view.page import page, sourced
from titer.audit.report.vocabulary import GLOSSARY
from titer.errors import ReportError

LARGEST_PAGE = 5_000_000
"""Bytes a page may have, so that it can be sent by mail and opened on a phone."""

ROOMS = (2_500_000, 500_000, 0)
"""Bytes given to single cases: as many as fit, fewer where the tables alone are large."""


def render_html(report: Report) -> str:
    """The page of a report.

    Pictures of single cases give way where the page would exceed five million bytes; the page says how many did.

    Arguments
        report: a finished report, from `Report.load` or `summary.complete`.

    Errors: `ReportError` when even without single cases the page would be too large.
    """
    size = 0
    for room in ROOMS:
        text = render("report.html", report=report, page=page(report, room=room), glossary=GLOSSARY)
        size = len(text.encode("utf-8"))
        if size < LARGEST_PAGE:
            return text
    raise ReportError(
        f"a page under {LARGEST_PAGE:,} bytes",
        f"{size:,} bytes from {len(report.cells)} cells",
        "split the plan into several audits; report.json holds all of this one",
    )


def render(template: str, **context: object) -> str:
    """A template of this package with the page's style sheet and the policy that allows that sheet alone."""
    css = style_sheet()
    digest = base64.b64encode(hashlib.sha256(css.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return _environment().get_template(template).render(css=Markup(css), policy=policy, **context) + "\n"


@cache
def style_sheet() -> str:
    """The style sheet, exactly as it stands in the page."""
    return files("titer.audit.report").joinpath("templates/report.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("titer.audit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sourced"] = sourced
    environment.globals["dot"] = _dot
    return environment


def _dot(look: str) -> Markup:
    """The mark of a look, for legends in words."""
    return element("svg", mark(look, 7, 7, 4.6), class_="dot", viewBox="0 0 14 14", aria_hidden="true")

"""The rendered pages in a real browser: silent, self-contained, accessible, within the width of the screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import browser_looking as looking
import pytest
from report_example import example_report
from report_example_results import share

from titer.audit.report.compare import compare, render_comparison_html
from titer.audit.report.render import render_html
from titer.audit.report.schema import ClassificationMetrics, Report

pytestmark = pytest.mark.browser
LOOKS = [looking.Look(width, scheme) for width in (390, 1440) for scheme in ("light", "dark")]


OWN = [entry for entry in os.environ.get("TITER_PAGES", "").split(os.pathsep) if entry]
"""Further pages to judge, such as the report of a real audit."""


@pytest.fixture(scope="module", params=["report", "comparison", *OWN])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each page of the house, as a file."""
    if request.param in OWN:
        return Path(request.param).resolve()
    report = example_report()
    text = render_html(report) if request.param == "report" else render_comparison_html(compare(report, weaker(report)))
    file = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    file.write_text(text, encoding="utf-8")
    return file


def weaker(report: Report) -> Report:
    """A second audit that shares a few cells with the first and counts fewer right answers in them."""
    cells = []
    for cell in report.cells[4:8]:
        assert isinstance(cell.metrics, ClassificationMetrics)
        fewer = share((cell.metrics.robust_accuracy.k or 0) // 2, cell.metrics.robust_accuracy.n)
        cells.append(cell.model_copy(update={"metrics": cell.metrics.model_copy(update={"robust_accuracy": fewer})}))
    identity = report.identity.model_copy(update={"title": "Four clinical models under attack, second audit"})
    return report.model_copy(update={"identity": identity, "cells": tuple(cells)})


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_page(look: Any, page: Path, browser: Any, axe_source: str, shots: Path | None) -> None:
    looking.open_page(browser, page, look)
    assert looking.console(browser) == []
    assert looking.requests(browser) == []
    assert looking.width(browser) <= look.width
    if look.width >= 1440:
        assert looking.cut_off(browser) == [], "a table is cut off on a desk's screen"
    if shots is not None:
        looking.shoot(browser, shots / f"{page.stem}-{look}")
    looking.open_details(browser)
    assert looking.width(browser) <= look.width, "wider than the screen once all details are open"
    if shots is not None:
        looking.shoot(browser, shots / f"{page.stem}-{look}-open")
    assert looking.faults(browser, axe_source) == []


def test_keyboard_reaches_the_content_first(page: Path, browser: Any) -> None:
    looking.open_page(browser, page, looking.Look(1440, "light"))
    assert looking.press_tab(browser) == "Skip to the content"


def test_print_makes_a_document(page: Path, browser: Any, shots: Path | None) -> None:
    looking.open_page(browser, page, looking.Look(1440, "light"))
    document = looking.printed(browser)
    assert document.startswith(b"%PDF")
    if shots is not None:
        (shots / f"{page.stem}.pdf").write_bytes(document)

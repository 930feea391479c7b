"""The rendered pages in a real browser: silent, self-contained, accessible, within the width of the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import looking
import pytest
from report_example import example_report

from titer.audit.report.compare import compare, render_comparison_html
from titer.audit.report.render import render_html

pytestmark = pytest.mark.browser
LOOKS = [looking.Look(width, scheme) for width in (390, 1440) for scheme in ("light", "dark")]


@pytest.fixture(scope="module", params=["report", "comparison"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each page of the house, as a file."""
    report = example_report()
    text = render_html(report) if request.param == "report" else render_comparison_html(compare(report, report))
    file = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_page(look: Any, page: Path, browser: Any, axe_source: str, shots: Path) -> None:
    looking.open_page(browser, page, look)
    assert looking.console(browser) == []
    assert looking.requests(browser) == []
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= look.width, f"the page is {width} px wide on a screen of {look.width}"
    looking.shoot(browser, shots / f"{page.stem}-{look}")
    looking.shoot(browser, shots / f"{page.stem}-{look}-open", open_details=True)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= look.width, f"with all details open the page is {width} px wide on a screen of {look.width}"
    assert looking.faults(browser, axe_source) == []

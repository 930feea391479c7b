"""A headless Chromium for looking at rendered pages, and axe-core to judge them.

Needs Debian's `chromium` and `chromium-driver`, the package `selenium`, and axe-core: the file named by
TITER_AXE, or `.cache/axe/node_modules/axe-core/axe.min.js`, or the copy inside `axe-playwright-python`.
Without them these tests skip and say so; where CI=true they fail instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "audit" / "report"), str(HERE.parent / "provenance" / "fingerprint")]


def missing(what: str, remedy: str) -> NoReturn:
    """Skip on a desk, fail in CI: a check that silently never runs is none."""
    message = f"{what} not found: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session")
def axe_source() -> str:
    """The text of axe-core."""
    root = HERE.parents[1]
    candidates = [root / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js"]
    if "TITER_AXE" in os.environ:
        candidates.insert(0, Path(os.environ["TITER_AXE"]))
    package = importlib.util.find_spec("axe_playwright_python")
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).parent / "axe.min.js")
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        missing(
            "axe-core", "pip install --no-deps axe-playwright-python, or npm install --prefix .cache/axe axe-core@4"
        )
    return found.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """One Chromium for all tests, with a profile of its own."""
    program = shutil.which("chromium")
    driver_program = shutil.which("chromedriver")
    if program is None or driver_program is None:
        missing("chromium or chromedriver", "apt-get install -y chromium chromium-driver")
    if importlib.util.find_spec("selenium") is None:
        missing("selenium", "pip install selenium")
    from browser_looking import start

    driver = start(program, driver_program, tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def shots() -> Path | None:
    """Where screenshots go to be looked at: the folder TITER_SHOTS, or nowhere."""
    if "TITER_SHOTS" not in os.environ:
        return None
    folder = Path(os.environ["TITER_SHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder

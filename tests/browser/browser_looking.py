"""Opens a page in Chromium at a width and a color scheme, and reports what happened."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--disable-dev-shm-usage",
)  # fmt: skip
TALLEST = 8000
"""Pixels in one picture; Chromium cannot draw much more at once."""


@dataclass(frozen=True)
class Look:
    """One way of looking at a page."""

    width: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


def start(program: str, driver_program: str, profile: Path) -> Any:
    """Start Chromium with a fresh profile and a log of its network requests."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_program))
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(120)
    driver.get("about:blank")  # leave the start page, whose own requests are none of ours
    return driver


def open_page(driver: Any, page: Path, look: Look) -> None:
    """Open a file at a width and a color scheme; earlier log entries are dropped."""
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": look.width < 600})  # fmt: skip
    features = [{"name": "prefers-color-scheme", "value": look.scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})
    driver.get(page.as_uri())


def console(driver: Any) -> list[str]:
    """What the page complained about."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver: Any) -> list[str]:
    """Every address the page asked for, itself and data inside it excepted."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("data:", "file:"))]


def open_details(driver: Any) -> None:
    """Open everything that can be folded."""
    driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")


def width(driver: Any) -> int:
    """Width of the page's content in pixels."""
    return int(driver.execute_script("return document.documentElement.scrollWidth"))


def cut_off(driver: Any) -> list[str]:
    """Captions of the tables that are wider than their place and must be scrolled; folded ones are not looked at."""
    script = """return [...document.querySelectorAll('.table .scroll')]
        .filter(place => place.clientWidth && place.scrollWidth > place.clientWidth + 1)
        .map(place => place.querySelector('caption').textContent)"""
    return [str(caption) for caption in driver.execute_script(script)]


def press_tab(driver: Any) -> str:
    """The words of what one press of the tabulator reaches."""
    for kind in ("keyDown", "keyUp"):
        driver.execute_cdp_cmd(
            "Input.dispatchKeyEvent", {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        )
    return str(driver.execute_script("return document.activeElement.textContent.trim()"))


def shoot(driver: Any, target: Path) -> None:
    """Pictures of the whole page from top to bottom: `target-0.png`, `target-1.png`, ..."""
    across, height = driver.execute_script("return [window.innerWidth, document.documentElement.scrollHeight]")
    for index, top in enumerate(range(0, height, TALLEST)):
        clip = {"x": 0, "y": top, "width": across, "height": min(TALLEST, height - top), "scale": 1}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        target.with_name(f"{target.name}-{index}.png").write_bytes(base64.b64decode(shot["data"]))


def printed(driver: Any) -> bytes:
    """The page as a PDF, as its print style sheet has it."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    made = driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    return base64.b64decode(made["data"])


def faults(driver: Any, axe_source: str) -> list[str]:
    """Serious and critical findings of axe-core, each with the first element it concerns."""
    driver.execute_script(axe_source)
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations))"
    )
    return [
        f"{fault['impact']}: {fault['id']} ({len(fault['nodes'])}): {fault['nodes'][0]['html'][:160]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]

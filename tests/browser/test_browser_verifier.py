"""The verifier as a page: the same outcomes as the program, in a real browser, without any request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import browser_looking as looking
import pytest

import titer.provenance.ledger
from titer.provenance.ledger.record import Opening
from titer.provenance.ledger.verify import verify

sys.path.append(str(Path(__file__).parents[1] / "provenance"))
from evidence_tools import CAPTURE, POLICY, Log, text_of

pytestmark = pytest.mark.browser
PAGE = Path(titer.provenance.ledger.__file__).with_name("verify.html")
LOOK = looking.Look(390, "light")


def asked(browser: Any, folder: Path, files: dict[str, list[bytes]]) -> str:
    """What the page says of files."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    looking.open_page(browser, PAGE, LOOK)
    for name, raws in files.items():
        paths = []
        for number, raw in enumerate(raws):
            paths.append(folder / f"{name}-{number}")
            paths[-1].write_bytes(raw)
        if paths:
            browser.find_element(By.ID, name).send_keys("\n".join(map(str, paths)))
    browser.find_element(By.CSS_SELECTOR, "button").click()
    answer = browser.find_element(By.ID, "answer")
    return str(WebDriverWait(browser, 20).until(lambda _: answer.get_attribute("data-outcome")))


def test_the_page_decides_as_the_program_does_and_asks_no_network(browser: Any, tmp_path: Path) -> None:
    log = Log()
    one, two = log.capture(text_of("fièvre\n")), log.capture(text_of("cough\n"))
    log.add("revoke", ext={"key": CAPTURE.public_key().public_bytes_raw().hex(), "from": 1})
    good, decomposed = log.receipt(0), "fie\u0300vre\r\n"
    flipped = good.replace(b"index 0", b"index 1")
    unsigned = good.replace(b"hospital.example/log\n3\n", b"hospital.example/log\n4\n")
    none = POLICY.replace(b"quorum all-three", b"quorum nobody")
    any_one = POLICY.replace(b"group all-three 2", b"group all-three any")
    cases: list[tuple[str, str, Opening | None, bytes, bytes, list[bytes]]] = [
        ("verified", decomposed, one, good, POLICY, []),
        ("altered", "fievre\n", one, good, POLICY, []),
        ("undecided", decomposed, two, good, POLICY, []),
        ("undecided", decomposed, None, good, POLICY, []),
        ("undecided", decomposed, one, log.receipt(0, witnesses=1), POLICY, []),
        ("verified", decomposed, one, log.receipt(0, witnesses=1), any_one, []),
        ("invalid", decomposed, one, flipped, POLICY, []),
        ("invalid", decomposed, one, unsigned, POLICY, []),
        ("invalid", decomposed, one, good, none, []),
        ("verified", decomposed, one, good, POLICY, [log.receipt(2)]),
        ("undecided", "cough\n", two, log.receipt(1), POLICY, [log.receipt(2)]),
        ("invalid", decomposed, one, good, POLICY, [good]),
        ("unknown", decomposed, one, log.receipt(2), POLICY, []),
    ]
    for wanted, words, opening, receipt, policy, revocations in cases:
        told = verify(text_of(words), opening, receipt, policy, revocations=revocations).outcome
        files = {"file": [words.encode()], "receipt": [receipt], "policy": [policy], "revocations": revocations}
        seen = asked(browser, tmp_path, {**files, "opening": [] if opening is None else [opening.to_json()]})
        assert (told, seen) == (wanted, wanted)
        assert looking.requests(browser) == []
        assert looking.console(browser) == []


def test_the_page_is_accessible_and_fits_a_small_screen(browser: Any, axe_source: str) -> None:
    for scheme in ("light", "dark"):
        looking.open_page(browser, PAGE, looking.Look(390, scheme))
        assert looking.faults(browser, axe_source) == []
        assert looking.width(browser) <= 390

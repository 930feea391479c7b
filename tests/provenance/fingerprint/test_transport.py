"""Lossless transport keeps `px` and `rd`: eight images here, all of them by `prove_transport.py`."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prove_transport import SMALL, Pair, orthanc_server, pairs, sources, summary, writers

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def needs(program: str) -> None:
    """Skips where a program is missing; CI has them all."""
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs {program}: sh scripts/setup-tests.sh")
        pytest.skip(f"needs {program}: sh scripts/setup-tests.sh as root")


def judged(found: list[Pair], at_least: int) -> None:
    """No false alarm: every pair is equal, or refused with a code, or altered in pydicom's eyes too."""
    assert not [each for each in found if each.outcome == "different"], summary(found)
    assert sum(each.outcome == "equal" for each in found) >= at_least, summary(found)


def test_pydicom_writes_equal_images(tmp_path: Path) -> None:
    through = {name: write for name, write in writers().items() if name.startswith("pydicom")}
    judged(list(pairs(sources(tmp_path, SMALL), through, tmp_path)), 35)


def test_dcmtk_writes_equal_images(tmp_path: Path) -> None:
    needs("dcmcjpls")
    through = {name: write for name, write in writers().items() if name.startswith("dcm")}
    images = sources(tmp_path, ("MR_small.dcm", "SC_rgb_small_odd.dcm", "rtdose_1frame.dcm"))
    judged(list(pairs(images, through, tmp_path)), 40)


def test_gdcm_encodes_equal_images(tmp_path: Path) -> None:
    through = {name: write for name, write in writers().items() if name.startswith("gdcm")}
    judged(list(pairs(sources(tmp_path, ("MR_small.dcm",)), through, tmp_path)), 4)


def test_orthanc_keeps_and_transcodes_equal_images(tmp_path: Path) -> None:
    needs("Orthanc")
    with orthanc_server(tmp_path) as server:
        through = {name: write for name, write in writers(server).items() if name.startswith("Orthanc")}
        judged(list(pairs(sources(tmp_path, ("MR_small.dcm", "SC_rgb_small_odd.dcm")), through, tmp_path)), 12)


@pytest.mark.slow
def test_every_image_through_every_writer(tmp_path: Path) -> None:
    needs("dcmcjpls")
    needs("Orthanc")
    with orthanc_server(tmp_path) as server:
        found = list(pairs(sources(tmp_path), writers(server), tmp_path))
    judged(found, 1400)
    unexpected = {each.detail for each in found if each.outcome == "refused" and each.writer}
    assert unexpected <= {"malformed.codestream"}, summary(found)

"""Many processes at once: contiguous, unique, nothing lost, under kills and pauses."""

from __future__ import annotations

from pathlib import Path

import histories
from provenance_tools import address


def test_what_eight_processes_were_told_is_true(tmp_path: Path, url: str) -> None:
    url = address(tmp_path / "log") if url.startswith("sqlite") else url
    assert histories.run(tmp_path / "log", url, processes=8, threads=2, seconds=2, harm=False, patience=2) == []


def test_what_processes_were_told_is_true_though_some_are_killed_and_paused(tmp_path: Path, url: str) -> None:
    url = address(tmp_path / "log") if url.startswith("sqlite") else url
    assert histories.run(tmp_path / "log", url, processes=3, threads=4, seconds=6, harm=True) == []

"""Section by section of the fault table, shortened: `prove_crash.py` runs all of it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import crashing
import pytest
from crashing import Tally


@functools.cache
def can_trace() -> str:
    """Why system calls cannot be watched here; empty if they can."""
    if shutil.which("strace") is None:
        return "needs strace: install the package strace"
    tried = subprocess.run(
        ["strace", "-qq", "-e", "inject=getpid:error=EIO", "true"], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    if reason := can_trace():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return crashing.template(tmp_path / "template")


def test_a_kill_at_any_system_call_loses_nothing_acknowledged(source: Path, tmp_path: Path) -> None:
    tally = Tally()
    crashing.kills(source, crashing.scratch_in(tmp_path), tally, every=13)
    assert tally.broken == []
    assert tally.total >= 15


def test_a_refused_system_call_is_told_and_the_next_attempt_succeeds(source: Path, tmp_path: Path) -> None:
    tally = Tally()
    crashing.refusals(source, crashing.scratch_in(tmp_path), tally, every=23)
    assert tally.broken == []
    assert tally.total >= 12


def test_a_power_failure_loses_nothing_acknowledged(source: Path, tmp_path: Path) -> None:
    tally = Tally()
    crashing.power_failures(source, crashing.scratch_in(tmp_path), tally, every=11)
    assert tally.broken == []
    assert tally.total >= 30


def test_a_ledger_that_does_not_flush_is_found_out(source: Path, tmp_path: Path) -> None:
    tally = Tally()
    crashing.power_failures(source, crashing.scratch_in(tmp_path), tally, every=7, patch=crashing.without_fsync)
    assert tally.broken


def test_a_ledger_that_renames_before_it_writes_is_found_out(source: Path, tmp_path: Path) -> None:
    tally = Tally()
    crashing.power_failures(source, crashing.scratch_in(tmp_path), tally, every=7, patch=crashing.rename_before_write)
    assert tally.broken


def test_tiles_of_another_width_are_found_out_by_the_independent_client(tmp_path: Path) -> None:
    assert "refuses" in crashing.width_off_by_one(crashing.scratch_in(tmp_path))

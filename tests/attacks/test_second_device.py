"""Attacks, changes and engine leave nothing behind on the CPU when the model is on another device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from titer.attacks._device import pieces
from titer.models.model import Model
from titer.testing import matrix, models

SCRIPT = Path(__file__).with_name("second_device.py")
# Those that between them draw, walk, ask, learn and measure in all ways; each of the others was tried once.
SOME = ("apgd", "deepfool", "fgsm", "grid", "jsma", "natural", "noise", "patch", "pgd", "simba", "universal")


def test_attacks_stay_on_the_device_of_the_weights() -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), *SOME],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout) == {name: [] for name in SOME}


@pytest.mark.parametrize("name", ["apgd", "carlini_wagner", "fab", "hopskipjump", "jsma", "pgd", "square", "universal"])
def test_attacks_run_on_a_graphics_card(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a graphics card: there is none")
    assert any(not pair.refused for pair in matrix.row(name, "cuda"))


def test_a_piece_too_large_for_the_memory_is_done_again_in_two() -> None:
    model, _ = models.network("table", 4)
    asked: list[tuple[int, int]] = []

    def work(start: int, stop: int) -> int:
        asked.append((start, stop))
        if stop - start > 300:
            raise torch.OutOfMemoryError("no memory")
        return stop - start

    assert sum(pieces(1000, None, model, work)) == 1000
    assert asked[:3] == [(0, 1000), (0, 500), (0, 250)]
    assert all(stop - start <= 250 for start, stop in asked[2:])


def test_a_size_that_was_asked_for_is_kept() -> None:
    def full(start: int, stop: int) -> int:
        raise torch.OutOfMemoryError(f"no memory for {stop - start}")

    with pytest.raises(torch.OutOfMemoryError, match="no memory for 7"):
        pieces(9, 7, models.network("table", 4)[0], full)


@pytest.mark.parametrize(("kind", "most"), [("table", 1000), ("image", 1000)])
def test_small_cases_go_through_together(kind: models.Place, most: int) -> None:
    model: Model = models.network(kind, 4)[0]
    assert pieces(1000, None, model, lambda start, stop: stop - start) == [most]

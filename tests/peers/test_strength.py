"""`strong` against the original AutoAttack (standard), on a small part of benchmarks/strength.py.

The benchmark runs in the environment of the peers, which borrows what Titer needs from the project's own. Fixed seeds:
the same cases stand on every run of one machine.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_peers import HERE, PYTHON, peers

__all__ = ["peers"]
pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("peers")]

ROOT = HERE.parents[1]
CASES = 60
ROWS = ("signals/saturated", "signals/quantized/linf")


@pytest.fixture(scope="module")
def rows(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Rows of the benchmark by model and norm."""
    out = tmp_path_factory.mktemp("strength") / "rows.json"
    asked = ["--seeds", "1", "--cases", str(CASES), "--out", str(out), "--only", *ROWS]
    done = subprocess.run(
        [str(PYTHON), str(ROOT / "benchmarks" / "strength.py"), *asked],
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(out.parent),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT / "src"),
            "TITER_DATA": str(real_data),
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {f"{row['model']}-{row['norm']}": row for row in json.loads(out.read_text())["rows"]}


@pytest.mark.parametrize("name", ["saturated-linf", "saturated-l2", "quantized-linf"])
def test_strong_leaves_no_more_standing_than_autoattack(rows: dict[str, dict[str, Any]], name: str) -> None:
    row = rows[name]
    assert row["n"] == CASES
    assert row["strong"]["standing"][0] <= row["autoattack"]["standing"][0]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_saturated_model_is_robust_to_cross_entropy_alone(rows: dict[str, dict[str, Any]], norm: str) -> None:
    row = rows[f"saturated-{norm}"]
    assert row["strong"]["robust"] <= 0.02
    assert row["pgd-ce"]["robust"] > 0.7


def test_the_comparison_is_about_something(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["quantized-linf"]
    assert 0.2 < row["strong"]["robust"] < row["clean"]["robust"] - 0.2

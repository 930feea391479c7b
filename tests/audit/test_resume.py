"""An audit that is killed again and again ends with the report of an undisturbed one, and repeats nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

PLAN = """\
titer: 1
name: resumed
data: {name: breast_biopsies}
model: {zoo: t_mlp, epochs: 6}
threats:
  - {change: additive, norm: linf, limits: [0.1, 0.25, 0.5], main: 0.25}
attacks: [fgsm, {name: pgd, steps: 100, restarts: 4}, noise]
seeds: [0, 1]
resamples: 200
"""


def _command(plan: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "from titer.cli.main import main; main()",
        "audit",
        str(plan),
        "--out",
        str(out),
        *more,
    ]


def _finished(out: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every finished result: both change when a result is written again."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (out / "results").rglob("*")
        if path.is_file()
    }


def _report(out: Path) -> dict[str, object]:
    report = json.loads((out / "report.json").read_text())
    report["identity"].pop("created")
    return report


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], float]:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "plan.yaml").write_text(PLAN)
    start = time.monotonic()
    done = subprocess.run(_command(folder / "plan.yaml", folder / "out"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "plan.yaml", _report(folder / "out"), time.monotonic() - start


def test_ten_kills(undisturbed: tuple[Path, dict[str, object], float], tmp_path: Path) -> None:
    plan, expected, seconds = undisturbed
    out = tmp_path / "out"
    moments = np.random.Generator(np.random.Philox(10)).uniform(0.1, 0.9, size=10) * seconds
    before: dict[str, tuple[int, int]] = {}
    for moment in moments:
        run = subprocess.Popen(
            _command(plan, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            run.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        now = _finished(out) if (out / "results").is_dir() else {}
        assert all(now.get(name) == stamp for name, stamp in before.items() if _is_result(name))
        before = now
    done = subprocess.run(_command(plan, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    after = _finished(out)
    assert all(after[name] == stamp for name, stamp in before.items() if _is_result(name))
    assert _report(out) == expected


def test_a_second_run_does_no_work(undisturbed: tuple[Path, dict[str, object], float]) -> None:
    plan, expected, _ = undisturbed
    out = plan.parent / "out"
    before = _finished(out)
    assert subprocess.run(_command(plan, out), capture_output=True, check=False).returncode == 0
    assert {n: s for n, s in _finished(out).items() if _is_result(n)} == {
        n: s for n, s in before.items() if _is_result(n)
    }
    assert _report(out) == expected


def test_inline_gives_the_same_report(undisturbed: tuple[Path, dict[str, object], float], tmp_path: Path) -> None:
    plan, expected, _ = undisturbed
    done = subprocess.run(
        _command(plan, tmp_path, "--scheduler", "inline"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert _report(tmp_path) == expected


def test_a_killed_dask_worker_loses_nothing(undisturbed: tuple[Path, dict[str, object], float], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    plan, expected, _ = undisturbed
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options, local_directory=str(tmp_path / "dask")) as cluster:
        out = tmp_path / "out"
        run = subprocess.Popen(
            _command(plan, out, "--scheduler", cluster.scheduler_address),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        victim = next(iter(cluster.workers.values())).pid
        deadline = time.monotonic() + 120
        while len(_finished(out) if (out / "results").is_dir() else {}) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(victim, signal.SIGKILL)
        said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said.decode()
    assert _report(out) == expected


def _is_result(name: str) -> bool:
    return not name.startswith(".") and "lock" not in name

"""An attack, a data set and a statistic from outside the package: one file each, found by entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

EXTENSION = Path(__file__).resolve().parents[1] / "examples" / "extension"

PLAN = """\
titer: 1
name: from outside
data: {name: two_clouds}
model: {zoo: t_mlp, epochs: 3}
threats:
  - {change: additive, norm: linf, limits: [0.5, 1.0]}
attacks: [corner, fgsm, noise]
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine on which the extension is installed: its metadata, as pip would write it."""
    declared = tomllib.loads((EXTENSION / "pyproject.toml").read_text())["project"]
    info = tmp_path / "site" / "titer_extension-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: titer-extension\nVersion: 0.1.0\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in points.items())
        for group, points in declared["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    more = filter(None, [os.environ.get("PYTHONPATH")])
    path = os.pathsep.join([str(info.parent), str(EXTENSION / "src"), *more])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _titer(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from titer.cli.main import main; main()", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_names_are_listed(installed: dict[str, str]) -> None:
    listed = _titer(installed, "list").stdout
    for name in ("corner", "two_clouds", "cost_of_success"):
        assert f"{name} (from titer-extension 0.1.0)" in listed
    assert "fgsm, " in listed
    assert "effort_helps" in listed


def test_an_audit_uses_all_three(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = _titer(
        installed, "audit", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out"), "--scheduler", "inline"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "corner" in {cell["attack"] for cell in report["cells"]}
    assert report["datasets"][0]["name"] == "two_clouds"
    assert "Cost of success" in {family["heading"] for family in report["comparisons"]}


def test_the_name_of_a_method_that_is_there_cannot_be_taken(installed: dict[str, str], tmp_path: Path) -> None:
    points = next((tmp_path / "site").glob("*.dist-info")) / "entry_points.txt"
    points.write_text("[titer.attacks]\nfgsm = titer_extension.corner:Corner\n")
    (tmp_path / "plan.yaml").write_text(
        PLAN.replace("name: two_clouds", "name: breast_biopsies").replace("corner, ", "")
    )
    done = _titer(installed, "audit", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out"), "--dry-run")
    assert done.returncode == 2
    assert "one method called 'fgsm'" in done.stderr
    assert "titer-extension 0.1.0" in done.stderr
    assert "rename" in done.stderr
    assert "fgsm (from titer and titer-extension 0.1.0)" in _titer(installed, "list").stdout


def test_two_packages_cannot_share_a_name(installed: dict[str, str], tmp_path: Path) -> None:
    info = next((tmp_path / "site").glob("*.dist-info"))
    other = info.parent / "rival-2.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 2.0\n")
    (other / "entry_points.txt").write_text("[titer.attacks]\ncorner = titer_extension.corner:Corner\n")
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = _titer(installed, "audit", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out"), "--dry-run")
    assert done.returncode == 2
    assert "rival 2.0" in done.stderr
    assert "titer-extension 0.1.0" in done.stderr


def test_an_entry_point_of_the_wrong_kind_is_refused(installed: dict[str, str], tmp_path: Path) -> None:
    points = next((tmp_path / "site").glob("*.dist-info")) / "entry_points.txt"
    points.write_text("[titer.attacks]\nwrong = titer_extension.two_clouds:TwoClouds\n")
    (tmp_path / "plan.yaml").write_text(
        PLAN.replace("name: two_clouds", "name: breast_biopsies").replace("corner", "wrong")
    )
    done = _titer(installed, "audit", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out"), "--dry-run")
    assert done.returncode == 2
    assert "subclass of Attack" in done.stderr

"""The command line: what it prints, what it refuses, and the exit codes that scripts rely on."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from titer.cli.main import _COMMANDS, cli, main

PLAN = """\
titer: 1
name: small
data: {name: breast_biopsies}
model: {zoo: t_mlp, epochs: 4}
threats:
  - {change: additive, norm: linf, limits: [0.1, 0.5], main: 0.5}
attacks: [fgsm, noise]
resamples: 200
"""


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def titer(*words: object) -> Said:
    """Run the command line in this process: importing the libraries anew for every command would take minutes."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["titer", *map(str, words)])
        patch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    return Said(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "plan.yaml").write_text(PLAN)
    return folder, titer("audit", folder / "plan.yaml", "--out", folder / "out", "--scheduler", "inline")


def test_importing_titer_imports_nothing_heavy() -> None:
    code = "import sys, titer.cli.main; print([m for m in ('torch', 'scipy', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_lists_every_command() -> None:
    said = titer("--help").stdout
    for name, (_, text) in _COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text[:20])}", said, re.MULTILINE)


def commands(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield (*before, name), found
        if isinstance(found, click.Group):
            yield from commands(found, *before, name)


def test_every_command_explains_itself() -> None:
    for words, command in commands(cli):
        assert command.help, words
        # Of numbers, switches and files the name may do; a word of free text needs one more.
        for each in command.params:
            if isinstance(each, click.Option) and each.type is click.STRING and each.name != "host":
                assert each.help, (words, each.opts)
        done = titer(*words, "--help")
        assert done.returncode == 0
        assert "Usage:" in done.stdout


def test_an_audit_writes_report_page_and_answers(audited: tuple[Path, Said]) -> None:
    folder, done = audited
    assert done.returncode == 0, done.stdout + done.stderr
    assert "under attack" in done.stdout
    assert "no limits set" in done.stdout
    assert re.search(r"Traps: \d+ passed, \d+ failed.*, \d+ not applicable", done.stdout)
    for name in ("report.json", "report.html", "results.parquet", "plan.yaml"):
        assert (folder / "out" / name).stat().st_size > 0


def test_a_broken_limit_is_exit_code_1(audited: tuple[Path, Said]) -> None:
    folder, _ = audited
    done = titer(
        "audit", folder / "plan.yaml", "--out", folder / "out1", "--scheduler", "inline",
        "--set", 'fail_if=["robust_accuracy < 0.999 at 0.5"]',
    )  # fmt: skip
    assert done.returncode == 1
    assert "broken: robust_accuracy < 0.999 at 0.5" in done.stdout


def test_a_limit_that_cannot_be_relied_on_is_exit_code_1_with_its_reason(audited: tuple[Path, Said]) -> None:
    """Eight cases: the limit would hold, and says nothing."""
    folder, _ = audited
    done = titer(
        "audit", folder / "plan.yaml", "--out", folder / "out2", "--scheduler", "inline", "--set", "data.cases=8",
        "--set", 'fail_if=["robust_accuracy < 0.01 at 0.1"]',
    )  # fmt: skip
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "not judged: robust_accuracy < 0.01 at 0.1" in said
    assert "Enough cases to judge the limits" in said


@pytest.mark.parametrize(
    ("cell", "words"),
    [(-2, ["RMSE in years", "5.3", "13.2", "+7.9"]), (-1, ["macro AUROC", "0.871", "0.402", "0.382-0.422", "-0.469"]),
     (0, ["accuracy", "points"])],
)  # fmt: skip
def test_every_kind_of_task_has_its_row(cell: int, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "audit" / "report"))
    from report_example import example_report

    from titer.cli.audit import _row

    row = " ".join(_row(example_report().cells[cell]))
    assert all(word in row for word in words), row


def test_a_dry_run_lists_trials_and_runs_nothing(audited: tuple[Path, Said], tmp_path: Path) -> None:
    done = titer("audit", audited[0] / "plan.yaml", "--out", tmp_path / "none", "--dry-run")
    assert done.returncode == 0
    assert "4 trials in 6 jobs" in done.stdout
    assert not (tmp_path / "none").exists()


def test_one_cell_runs_alone_with_the_same_number(audited: tuple[Path, Said], tmp_path: Path) -> None:
    report = json.loads((audited[0] / "out" / "report.json").read_text())
    cell = next(cell for cell in report["cells"] if cell["attack"] == "fgsm" and cell["limit"]["label"] == "0.5")
    words = cell["rerun"].split()
    assert words[:2] == ["titer", "audit"]
    assert words[-2:] == ["--only", cell["id"]]
    done = titer("audit", audited[0] / "plan.yaml", "--out", tmp_path, "--only", cell["id"], "--scheduler", "inline")
    assert f"{cell['metrics']['robust_accuracy']['value']:.3f}" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "report.json").exists()
    assert "no limit speaks of this cell" in done.stdout


@pytest.mark.parametrize(
    ("rule", "code", "said"),
    [
        ("robust_accuracy < 0.999 at 0.1", 0, "no limit speaks"),
        ("robust_accuracy < 0.999 by noise", 0, "no limit speaks"),
        ("robust_accuracy < 0.999 at 0.5", 1, "broken"),
        ("robust_accuracy < 0.999", 1, "broken"),
        ("robust_accuracy < 0.999 by fgsm", 1, "broken"),
        ("clean_accuracy < 0.001", 0, "held"),
    ],
)
def test_one_cell_leaves_the_audit_alone_and_answers_for_its_own_limits(
    audited: tuple[Path, Said], rule: str, code: int, said: str
) -> None:
    folder, _ = audited
    cell = "t_mlp/additive-linf/0.5/fgsm"
    kept = {path.name: path.read_bytes() for path in (folder / "out").iterdir() if path.is_file()}
    done = titer("audit", folder / "plan.yaml", "--out", folder / "out", "--only", cell, "--scheduler", "inline",
                 "--set", f'fail_if=["{rule}"]')  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
    assert "not measured" not in done.stdout
    assert {path.name: path.read_bytes() for path in (folder / "out").iterdir() if path.is_file()} == kept


def test_a_report_is_drawn_again_with_the_same_bytes(audited: tuple[Path, Said]) -> None:
    page = audited[0] / "out" / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert titer("report", audited[0] / "out").returncode == 0
    assert page.read_bytes() == before


def test_two_audits_stand_side_by_side(audited: tuple[Path, Said], tmp_path: Path) -> None:
    out = audited[0] / "out"
    done = titer("compare", out, out, "--out", tmp_path / "both.html")
    assert done.returncode == 0, done.stderr
    assert "<html" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize("what", ["report", "plan"])
def test_schemas_are_json(what: str) -> None:
    assert json.loads(titer("schema", what).stdout)["type"] == "object"


def test_init_writes_a_plan_that_runs(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert titer("init", "t_mlp", "breast_biopsies", "--out", plan).returncode == 0
    assert len(plan.read_text().splitlines()) <= 15
    assert titer("audit", plan, "--out", tmp_path / "out", "--dry-run").returncode == 0
    again = titer("init", "t_mlp", "breast_biopsies", "--out", plan)
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_data_sets_and_methods_are_listed() -> None:
    lines = {line.split()[0]: line for line in titer("data").stdout.splitlines()}
    assert lines["breast_biopsies"].endswith("embedded")
    assert lines["cxr_pediatric"].endswith("from --data or TITER_DATA")
    assert lines["breastmnist"].endswith("from --data or TITER_DATA, or the network with medmnist")
    assert "Wisconsin" in titer("data", "breast_biopsies").stdout
    listed = titer("list").stdout
    for name in ("pgd", "additive", "t_cnn", "chest-xray-quick"):
        assert name in listed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.name=breast_biopsy", "breast_biopsies"),
        ("model.zoo=t_mpl", "t_mlp"),
        ("model.epoch=3", "epochs"),
        ('attacks=["fgms"]', "fgsm"),
        ('attacks=[{"name": "pgd", "stepz": 3}]', "steps"),
        ("threats.0.norm=l7", "linf"),
        ('threats.0.limits=["0.1 mV"]', "SD"),
        ('fail_if=["robust_accuracy < 0.5 at 9"]', "0.5"),
        ('attacks=["noise"]', "pgd"),
        ('threats.0.knowledge="labels"', "labels"),
        ("model.zoo=t_cnn", "breast_biopsies"),
        ("threats.0.goal=raise", ""),
        ("threshold=yuden", "youden"),
        ("threshold={sensitivity: 90}", "0.9"),
        ("threshold={probability: 0.5}", ""),
        ('fail_if=["mae > 5"]', "robust_accuracy"),
        ('fail_if=["robust_accuracy < 50"]', "0.5"),
        ('fail_if=["robust_accuracy < 50 %"]', ""),
        ('fail_if=["accuracy_drop > 300"]', "points"),
        ('fail_if=["robust_acuracy < 0.5"]', "robust_accuracy"),
        ('fail_if=["robust_accuracy < 0.5 at 0.3"]', "0.1, 0.5"),
        ("threats.0.limits=[0]", "above 0"),
        ('attacks=[{"name": "pgd", "steps": "many"}]', "a whole number"),
        ('attacks=[{"name": "pgd", "steps": 2}, {"name": "pgd", "steps": 4}]', ""),
        ("model.options={batch: x}", "a whole number"),
    ],
)
def test_what_cannot_run_is_refused_before_work(
    audited: tuple[Path, Said], tmp_path: Path, change: str, said: str
) -> None:
    done = titer("audit", audited[0] / "plan.yaml", "--out", tmp_path / "out", "--dry-run", "--set", change)
    if said:
        assert done.returncode == 2, done.stdout
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    else:
        assert done.returncode == 0, done.stderr
    for leaked in ("Input should", "not supported between", "subjects.0", "object has no attribute"):
        assert leaked not in done.stderr


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_dry_run_finds_out_that_the_folder_cannot_be(audited: tuple[Path, Said], tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    done = titer("audit", audited[0] / "plan.yaml", "--out", tmp_path / place, "--dry-run")
    assert done.returncode == 2
    assert "a folder to write to" in done.stderr
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_that_cannot_be_written_is_refused(audited: tuple[Path, Said], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = titer("audit", audited[0] / "plan.yaml", "--out", tmp_path / "file", "--scheduler", "inline")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_unknown_papers_are_refused() -> None:
    done = titer("reproduce", "nobody-2031")
    assert done.returncode == 2
    assert "soberano-2025" in done.stderr


CHECKED = """
import torch

class Rounded(torch.nn.Module):
    def forward(self, x):
        return torch.round(x)

class Radius(torch.nn.Module):
    def forward(self, x):
        return x[:, :1] - 15

masked = torch.nn.Sequential(Rounded(), Radius())
"""


def test_check_prints_what_it_asked_and_ends_with_1_where_a_doubt_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checked.py").write_text(CHECKED)
    monkeypatch.chdir(tmp_path)
    words = ("breast_biopsies", "--limit", "0.25 SD")
    masked = titer("check", "checked:masked", *words)
    assert masked.returncode == 1, masked.stderr
    assert "Gradients are there: no." in masked.stdout
    assert "backward: {part: identity}" in masked.stdout
    stood_in = titer("check", "checked:masked", *words, "--model-set", "backward={0: identity}")
    assert "Gradients are there: no." not in stood_in.stdout
    assert titer("check", "t-mlp", *words).returncode == 2

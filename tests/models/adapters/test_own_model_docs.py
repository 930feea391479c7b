"""The plans of docs/own-model.md are short, and run as they stand there."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from adapter_examples import serve_model, serving
from onnx import TensorProto, helper, numpy_helper
from onnx import save as save_onnx
from PIL import Image
from safetensors.torch import save_file
from torch import nn, tensor

from titer.audit.driver import opened, run
from titer.audit.plan_file import parse_plan
from titer.audit.propose import propose_plan
from titer.audit.run.choose import choose

PAGE = Path(__file__).resolve().parents[3] / "docs" / "own-model.md"
PLANS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
ONNX, SKLEARN, HTTP, TORCH, MAPS = PLANS
SIDE = 12


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The working directory of a user: pictures, models, a module."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = ["path,label,patient"]
    for number in range(120):
        sick = number % 2
        picture = rng.uniform(60, 120, (SIDE, SIDE)) + sick * 6.0
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'pneumonia' if sick else 'normal'},{number}")
    (tmp_path / "images.csv").write_text("\n".join(lines) + "\n")
    # Normal pictures have a mean of about 90, the others of about 96, out of 255: a few grey levels turn some of them.
    weight = np.full((SIDE * SIDE, 1), 40.0 / SIDE**2, dtype=np.float32) * np.array([[-1.0, 1.0]], dtype=np.float32)
    middle = (92.5 / 255 - 0.5) / 0.25 * 40.0
    bias = np.array([middle, -middle], dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w", "b"], ["y"])],
        "chest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    save_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "chest.onnx")
    line = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2))
    line[1].weight.data, line[1].bias.data = tensor(weight.T.copy()), tensor(bias)
    save_file(line.state_dict(), "chest.safetensors")
    network = f"return nn.Sequential(nn.Flatten(), nn.Linear({SIDE**2}, 2))"
    code = f"{CODE[0]}\n\ndef make_network():\n    from torch import nn\n    {network}\n"
    (tmp_path / "my_models.py").write_text(code)
    runpy.run_path(str(tmp_path / "my_models.py"), run_name="__main__")
    yield tmp_path
    sys.modules.pop("my_models", None)


def _audited(text: str, out: Path) -> Any:
    return run(opened(parse_plan(text), None), out, choose("inline"))


@pytest.mark.parametrize("plan", PLANS)
def test_plans_of_the_page_are_short_and_valid(plan: str) -> None:
    assert len(plan.strip().splitlines()) <= 15
    parse_plan(plan)


@pytest.mark.parametrize(("plan", "access"), [(ONNX, "scores"), (SKLEARN, "gradients"), (TORCH, "gradients")])
def test_own_models_are_audited_as_the_page_says(folder: Path, plan: str, access: str) -> None:
    report = _audited(plan, folder / "out")
    assert report.models[0].access == access
    assert report.cells
    for cell in report.cells:
        assert cell.metrics.clean_accuracy.value > 0.9
        if cell.attack != "noise":
            assert cell.metrics.robust_accuracy.value <= cell.metrics.clean_accuracy.value
    assert report.passed, [(rule.status, rule.reason) for rule in report.limits.rules]
    assert {card.leakage.status for card in report.datasets} == {"not applicable"}
    trap = next(trap for trap in report.traps if trap.id == "no_leakage")
    assert trap.status == "not applicable"
    assert "trained elsewhere; Titer cannot know on which cases" in trap.evidence
    assert any("trained elsewhere" in said for said in report.limitations)
    assert not re.search(r"leakage check passed|another training|splitting and training", report.model_dump_json())


def test_the_examples_learn_from_other_cases_than_they_are_audited_on(folder: Path) -> None:
    rest = {tuple(row) for row in np.loadtxt("rest.csv", delimiter=",", skiprows=1, usecols=range(30)).round(6)}
    made = runpy.run_path("my_models.py")
    learned = {tuple(row) for row in made["learned"].drop(columns="label").to_numpy().round(6)}
    assert len(rest) == 285
    assert not rest & learned
    served = serve_model._biopsy_model().__self__.named_steps["standardscaler"]  # type: ignore[attr-defined]
    assert np.allclose(served.mean_, np.mean(sorted(learned), axis=0))


def test_an_endpoint_is_audited_as_the_page_says(folder: Path) -> None:
    with serving(serve_model.biopsies()) as server:
        assert "http://127.0.0.1:8500" in HTTP
        report = _audited(HTTP.replace("http://127.0.0.1:8500", server.address), folder / "out")
        assert report.models[0].access == "scores"
        assert report.cells[0].metrics.clean_accuracy.value > 0.9
        assert 60 < server.cases <= 20000


@pytest.mark.parametrize(
    ("model", "data", "settings"),
    [
        ("chest.onnx", "images.csv", {"mean": 0.5, "std": 0.25}),
        ("my_models:pipeline", "rest.csv", {}),
        ("chest.safetensors", "images.csv", {"factory": "my_models:make_network", "mean": 0.5, "std": 0.25}),
    ],
)
def test_plans_are_proposed_for_own_models(folder: Path, model: str, data: str, settings: dict) -> None:
    text = propose_plan(model, data, root=None, settings=settings, options={})
    assert len(text.strip().splitlines()) <= 15
    assert yaml.safe_load(text)["titer"] == 1
    assert opened(parse_plan(text), None).trials


def test_a_plan_is_proposed_for_an_endpoint(folder: Path) -> None:
    with serving(serve_model.biopsies()) as server:
        address = f"{server.address}/v2/models/biopsies"
        settings = {"classes": ["malignant", "benign"]}
        text = propose_plan(address, "breast_biopsies", root=None, settings=settings, options={})
        assert len(text.strip().splitlines()) <= 15
        assert opened(parse_plan(text), None).trials


def test_the_plan_for_maps_runs_with_fewer_cases(tmp_path: Path) -> None:
    plan = parse_plan(MAPS, ("data.options.cases=200", "data.options.size=16", "model.epochs=2", "data.cases=20"))
    report = run(opened(plan, None), tmp_path, choose("inline"))
    assert report.models[0].task.kind == "segmentation"
    assert {cell.attack for cell in report.cells} == {"pgd", "noise"}

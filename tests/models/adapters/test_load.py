"""From the words of a plan, or an object, to a model that fits the data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapter_examples import (
    CARD,
    IMAGES,
    ONE,
    TABLE,
    THREE,
    TWO,
    FaultyServer,
    answers,
    cnn,
    cnn_onnx,
    dataset,
    images,
    labels,
    rows,
    serving,
)
from safetensors.torch import save_file
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from titer.cases.case import Batch
from titer.cases.dataset import Dataset
from titer.cases.space import Space
from titer.errors import EndpointError, ModelError, PlanError
from titer.models.adapters.build import made
from titer.models.adapters.callable import CallableModel
from titer.models.adapters.reference import resolve
from titer.models.adapters.spec import ModelSpec, read_spec
from titer.models.adapters.torch import TorchModel
from titer.models.load import adapt, load_model
from titer.models.model import ROWS

PICTURES = dataset(images(20), IMAGES)
TABLES = dataset(rows(), TABLE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with model files and a module of the user's, removed from memory afterwards."""
    cnn_onnx(tmp_path / "chest.onnx")
    save_file(cnn().state_dict(), tmp_path / "chest.safetensors")
    (tmp_path / "my_models_for_test.py").write_text(
        "import torch, numpy as np\n"
        "from torch import nn\n"
        "def make_cnn():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))\n"
        "def classify(x, scale=2.0):\n"
        "    flat = x.reshape(len(x), -1)\n"
        "    return np.stack([flat.mean(1), scale * flat.max(1) + 1], axis=1)\n"
        "def two(x, y):\n"
        "    return x\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.last = nn.Linear(35, 2)\n"
        "    def forward(self, x):\n"
        "        return self.last(x.flatten(1))\n"
        "class Nested:\n"
        "    net = Net()\n"
    )
    yield tmp_path
    sys.modules.pop("my_models_for_test", None)


def test_a_file_is_found_beside_the_plan_and_asked_two_cases(folder: Path) -> None:
    model = load_model({"path": "chest.onnx", "mean": 0.5, "std": "1/4"}, PICTURES, folder=folder)
    expected = answers(cnn().eval(), (images() - 0.5) / 0.25)
    np.testing.assert_allclose(model.predict(images()), expected, atol=1e-4)
    assert (model.name, model.access) == ("chest", "scores")
    assert model.task.classes == ("healthy", "sick")


def test_weights_and_references(folder: Path) -> None:
    spec = {"path": "chest.safetensors", "factory": "my_models_for_test:make_cnn", "name": "ours"}
    model = load_model(spec, PICTURES, folder=folder)
    assert (model.name, model.access) == ("ours", "gradients")
    np.testing.assert_allclose(model.predict(images()), answers(cnn().eval(), images()), atol=1e-6)
    for name, access in (
        ("classify", "scores"),
        ("make_cnn", "gradients"),
        ("Net", "gradients"),
        ("Nested.net", "gradients"),
    ):
        found = load_model({"python": f"my_models_for_test:{name}"}, PICTURES, folder=folder)
        assert found.access == access
        assert found.predict(images()).shape == (11, 2)
    assert load_model({"python": "my_models_for_test:classify"}, PICTURES, folder=folder).name == "classify"
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        ("nothing", "module:name"),
        ("os.path:", "module:name"),
        ("os; import x:y", "module:name"),
        ("no_such_module_here:f", "can be imported"),
        ("my_models_for_test:clasify", "'clasify' in my_models_for_test.*classify"),
        ("my_models_for_test:two", "x, y"),
    ],
)
def test_references_that_lead_nowhere_are_refused(folder: Path, reference: str, match: str) -> None:
    with pytest.raises(PlanError, match=match):
        load_model({"python": reference}, PICTURES, folder=folder)


def test_every_kind_of_object_is_adapted() -> None:
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows(), labels(rows()))
    assert adapt(fitted, TABLES).access == "gradients"
    assert adapt(fitted, TABLES, access="scores").access == "scores"
    assert adapt(nn.Linear(4, 2), TABLES, mean=[0, 0, 0, 1], std="1/2").access == "gradients"
    assert adapt(fitted.predict_proba, TABLES).access == "scores"
    assert adapt(lambda x: np.where(x[:, 0] > 0, "sick", "healthy"), TABLES).access == "labels"
    program = torch.export.export(
        nn.Linear(4, 2), (torch.zeros(8, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    assert adapt(program, TABLES).access == "gradients"
    ready = TorchModel(nn.Linear(4, 2), TABLE, TWO)
    assert adapt(ready, TABLES) is ready
    assert adapt(ready, TABLES, name="mine").name == "mine"
    assert ready.name == "torch model"
    with pytest.raises(PlanError, match="mean"):
        adapt(ready, TABLES, mean=1.0)
    with pytest.raises(ModelError, match="wrap it in a function"):
        adapt(3, TABLES)
    assert made(np.sin, "numpy:sin") is np.sin


def test_pictures_for_estimators_and_one_logit_for_two_classes() -> None:
    flat = images(20).reshape(20, -1)
    fitted = LogisticRegression().fit(flat, labels(images(20)))
    told = adapt(fitted, PICTURES).predict(images(20))
    np.testing.assert_allclose(np.exp(told), fitted.predict_proba(flat), atol=1e-6)
    one = adapt(nn.Linear(4, 1), TABLES, probabilities=False)
    assert one.task.kind == "classes"
    assert (one.predict(rows())[:, 0] == 0).all()
    turned = adapt(nn.Linear(4, 2), TABLES, classes=["sick", "healthy"])
    plain = TorchModel(turned.module, TABLE, TWO)  # type: ignore[attr-defined]
    assert np.array_equal(turned.predict(rows()), plain.predict(rows())[:, ::-1])


def test_other_tasks() -> None:
    dose = Dataset(CARD, TABLE, "regression", ("dose",), (), Batch.of(rows(), rows().sum(1)))
    line = LinearRegression().fit(rows(), rows().sum(1))
    with pytest.raises(PlanError, match="tolerance"):
        adapt(line, dose)
    assert adapt(line, dose, tolerance=0.5).task.tolerance == 0.5
    assert load_model({"object": line}, dose, tolerance=0.25).task.tolerance == 0.25
    strange = Dataset(CARD, TABLE, "anomaly", ("normal", "abnormal"), (1,), Batch.of(rows(), labels(rows())))
    assert adapt(IsolationForest(n_estimators=5, random_state=0).fit(rows()), strange).task.kind == "anomaly"
    assert adapt(nn.Linear(4, 2), strange).predict(rows()).shape == (60, 1)
    findings = Dataset(
        CARD, TABLE, "multilabel", ("edema", "mass"), (0, 1), Batch.of(rows(), np.stack([labels(rows())] * 2, axis=1))
    )
    assert adapt(nn.Linear(4, 3), findings, classes=["mass", None, "edema"], probabilities=False).task.outputs == 2


def test_models_that_do_not_fit_are_refused_before_work_starts() -> None:
    for module, match in (
        (nn.Linear(4, 3), rf"output of shape \[{ROWS}, 3\]"),
        (nn.Linear(5, 2), r"a model that answers cases of shape \[4\]"),
        (nn.Sequential(nn.Linear(4, 2), nn.Softmax(0)), "does not depend on the cases beside it"),
        (nn.Sequential(nn.Linear(4, 2), nn.Threshold(1e9, float("nan"))), "NaN"),
    ):
        with pytest.raises(ModelError, match=match) as caught:
            adapt(module, TABLES, probabilities=False)
        assert caught.value.remedy
    with pytest.raises(ModelError, match="4 values"):
        adapt(LogisticRegression().fit(rows()[:, :3], labels(rows())), TABLES)
    with pytest.raises(ModelError, match="KeyError from <lambda>"):
        adapt(lambda x: {}[0], TABLES)
    with pytest.raises(ModelError, match="one row per case"):
        adapt(lambda x: x[:1], TABLES)
    with pytest.raises(ModelError, match=r"for cases of shape \[4\]"):
        adapt(TorchModel(cnn(), IMAGES, TWO), TABLES)
    with pytest.raises(ModelError, match="gradients"):
        adapt(lambda x: x[:, :2], TABLES, access="gradients")


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({}, "exactly one of zoo, path, python or url"),
        ({"path": "a.onnx", "url": "http://127.0.0.1/x"}, "path and url"),
        ({"path": "a.onnx", "maen": 1}, "'maen'; did you mean 'mean'"),
        ({"path": "a.onnx", "qqq": 1}, "known here: path"),
        ({"path": "a.onnx", "rate": 3}, "it goes with 'url'"),
        ({"url": "http://127.0.0.1/x", "factory": "a:b"}, "it goes with 'path'"),
        ({"path": "a.onnx", "mean": "grey"}, "'mean'.*'grey'"),
        ({"path": "a.onnx", "std": "1/0"}, "'std'"),
        ({"path": "a.onnx", "access": "all"}, "'access'"),
        ({"path": "a.onnx", "batch": 0}, "'batch'"),
        ({"path": "a.onnx", "classes": "sick"}, "'classes'"),
        ({"path": "a.onnx", "trusted": {"a": 1}}, "'trusted'"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(spec: dict, match: str) -> None:
    with pytest.raises(PlanError, match=match):
        load_model(spec, TABLES)


def test_settings_are_read_with_fractions_and_lists() -> None:
    spec = read_spec({"path": "a.onnx", "mean": ["1/2", 0.25], "std": " 1 / 255", "classes": {0: "a", "b": None}})
    assert spec == ModelSpec(path=Path("a.onnx"), mean=(0.5, 0.25), std=1 / 255, classes={0: "a", "b": None})
    assert read_spec({"path": "a.skops", "trusted": ["x.Y"]}).trusted == ("x.Y",)
    assert all(field.description for name, field in ModelSpec.model_fields.items())


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.pickle", "m.sav", "m.h5", "m", "folder.onnx", "none.onnx"])
def test_files_that_cannot_be_read_safely_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.onnx").mkdir()
    if not name.startswith(("folder", "none")):
        (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch unpickled'\ntR.")
    with pytest.raises(ModelError):
        load_model({"path": name}, TABLES, folder=tmp_path)
    assert not Path("unpickled").exists()


def test_the_same_words_give_the_model_once_and_a_new_file_anew(folder: Path) -> None:
    first = load_model({"path": "chest.onnx"}, PICTURES, folder=folder)
    second = load_model({"path": "chest.onnx"}, PICTURES, folder=folder)
    assert first is not second
    assert first._session is second._session  # type: ignore[attr-defined]
    second.name = "changed"
    assert first.name == "chest"
    cnn_onnx(folder / "chest.onnx", ending="Softmax")
    third = load_model({"path": "chest.onnx"}, PICTURES, folder=folder)
    assert third.digest != first.digest
    for number in range(6):
        load_model({"path": "chest.onnx", "mean": number / 10}, PICTURES, folder=folder)


def test_an_endpoint_keeps_its_budget_over_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = rows(4)[:, :2]
    with serving(FaultyServer(lambda x: x @ weights, (4,))) as server:
        spec = {"url": server.kserve, "max_queries": 6, "retries": 0}
        model = load_model(spec, TABLES)
        np.testing.assert_allclose(model.predict(rows(3)), rows(3).astype(np.float32) @ weights, atol=1e-5)
        again = load_model(spec, TABLES)
        assert again.queries == 5 == server.cases  # type: ignore[attr-defined]
        with pytest.raises(EndpointError, match="at most 6"):
            again.predict(rows(2, seed=7))
        plain = load_model({"url": server.plain, "protocol": "json"}, TABLES)
        assert plain.predict(rows(2)).shape == (2, 2)
        with pytest.raises(ModelError, match="classes of a, b, c"):
            load_model({"url": server.kserve}, dataset(rows(), TABLE, THREE))
        with pytest.raises(PlanError, match="kserve or json"):
            load_model({"url": server.kserve, "protocol": "grpc"}, TABLES)


def test_settings_that_estimators_have_no_use_for() -> None:
    fitted = LogisticRegression().fit(rows(), labels(rows()))
    for settings in ({"layout": "channels-last"}, {"batch": 3}, {"probabilities": True}):
        with pytest.raises(PlanError, match=next(iter(settings))):
            adapt(fitted, TABLES, **settings)
    with pytest.raises(PlanError, match="text"):
        adapt(nn.Linear(4, 2), TABLES, layout="text")
    with pytest.raises(PlanError, match="text"):
        adapt(lambda x: x, TABLES, layout="text")


def test_notes_as_text_for_functions() -> None:
    notes = Space("tokens", (3,), "word", vocabulary=("", "no", "fever"))
    data = dataset(np.array([[1, 2, 0], [2, 0, 0]]), notes, targets=np.array([0, 1]))
    model = adapt(lambda texts: np.array([[0.0, len(text)] for text in texts]), data, layout="text")
    assert model.predict(data.cases.inputs)[:, 1].tolist() == [8.0, 5.0]


def test_functions_get_their_own_memory_and_precision() -> None:
    seen: list[Any] = []

    def spy(x: np.ndarray) -> np.ndarray:
        seen.append((x.dtype, x.shape, x.flags.writeable))
        return x.reshape(len(x), -1)[:, :2]

    for precise, dtype in ((False, np.float32), (True, np.float64)):
        CallableModel(spy, IMAGES, TWO, layout="channels-last", precise=precise).predict(images(3))
        assert seen[-1] == (dtype, (ROWS, 5, 7, 1), True)
    blocked = CallableModel(spy, IMAGES, TWO, batch=3)
    blocked.predict(images(3))
    assert seen[-1][1] == (3, 1, 5, 7)
    named = [CallableModel(spy, IMAGES, TWO, digest=text).digest for text in ("v1", "v1", "v2")]
    assert named[0] == named[1] != named[2]
    with pytest.raises(ModelError, match="function of arrays"):
        CallableModel(3, IMAGES, TWO)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="words"):
        CallableModel(lambda x: np.array(["sick"] * len(x)), IMAGES, TWO, access="scores").predict(images(2))
    one = CallableModel(lambda x: x[:, 0, 0, 0] * 9 - 3, IMAGES, ONE)
    assert one.predict(images(3)).shape == (3, 1)


def test_resolving_runs_nothing_beyond_the_module() -> None:
    assert resolve("math:pi") == np.pi
    with pytest.raises(PlanError, match=r"nothing|only"):
        resolve("math:pi.deep")


def test_importing_the_loader_imports_no_framework() -> None:
    names = "{'torch', 'sklearn', 'onnx', 'httpx', 'pandas', 'scipy'}"
    code = f"import sys, titer.models.load, titer.models.inspect; print(sorted({names} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"

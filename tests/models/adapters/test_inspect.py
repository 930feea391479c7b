"""What can be seen of a model without data."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from adapter_examples import TABLE, TWO, FaultyServer, cnn, cnn_onnx, images, labels, rows, serving
from safetensors.torch import save_file
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from titer.errors import EndpointError, ModelError, PlanError
from titer.models.adapters.torch import TorchModel
from titer.models.inspect import ModelCard, Slot, inspect_model


def test_onnx_files(tmp_path: Path) -> None:
    cnn_onnx(tmp_path / "chest.onnx", batch=4, last=True, ending="Softmax")
    card = inspect_model(tmp_path / "chest.onnx")
    assert card.inputs == (Slot("input", "float32", (4, 5, 7, 1)),)
    assert (card.kind, card.outputs_per_case, card.access, card.probabilities) == ("image", 2, "scores", True)
    assert card.settings == {"path": str(tmp_path / "chest.onnx")}
    assert card.digest == hashlib.sha256((tmp_path / "chest.onnx").read_bytes()).hexdigest()
    assert (
        str(card) == "onnx model chest; input input (float32, 4 x 5 x 7 x 1); output p (float32, 4 x 2); access scores"
    )
    fitted = LogisticRegression().fit(rows(), np.array(["sick", "healthy"])[labels(rows())])
    (tmp_path / "lab.onnx").write_bytes(to_onnx(fitted, rows(1).astype(np.float32)).SerializeToString())
    card = inspect_model("lab.onnx", folder=tmp_path)
    assert (card.kind, card.classes, card.outputs_per_case) == ("table", ("healthy", "sick"), 2)


def test_torch_files_are_described_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = cnn().eval()
    example = (torch.from_numpy(images(4)),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, example), tmp_path / "m.pt2")
        torch.jit.trace(module, example).save(tmp_path / "m.ts")
    torch.save(module.state_dict(), tmp_path / "m.pt")
    save_file(module.state_dict(), tmp_path / "m.safetensors")

    def no(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    for place in (torch, torch.jit, torch.export):
        monkeypatch.setattr(place, "load", no)
    card = inspect_model(tmp_path / "m.pt2")
    assert card.inputs == (Slot("input", "float32", (4, 1, 5, 7)),)
    assert (card.kind, card.outputs_per_case, card.settings["trusted"]) == ("image", 2, False)
    assert inspect_model(tmp_path / "m.ts").format == "torchscript"
    assert "factory" in inspect_model(tmp_path / "m.pt").settings
    assert inspect_model(tmp_path / "m.safetensors").kind == "image"


def test_objects_and_references() -> None:
    assert inspect_model(nn.Sequential(nn.Conv1d(12, 4, 3), nn.Linear(4, 5))).kind == "signal"
    assert inspect_model(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2))).kind == "tokens"
    assert inspect_model(nn.ReLU()).outputs_per_case is None
    linear = inspect_model(LogisticRegression().fit(rows(), labels(rows())))
    assert (linear.access, linear.kind, linear.outputs_per_case) == ("gradients", "table", 2)
    assert inspect_model(LinearRegression().fit(rows(), rows()[:, 0])).outputs_per_case == 1
    forest = inspect_model(RandomForestClassifier(2).fit(rows(), labels(rows())))
    assert forest.access == "scores"
    assert "RandomForestClassifier" in forest.notes[0]
    text = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["a bc", "de fg"], [0, 1])
    assert inspect_model(text).kind == "tokens"
    ours = inspect_model(TorchModel(nn.Linear(4, 2), TABLE, TWO))
    assert (ours.format, ours.classes) == ("titer", TWO.classes)
    assert inspect_model("math:sin").settings == {"python": "math:sin"}
    assert inspect_model(len).format == "function"
    with pytest.raises(ModelError, match="fitted"):
        inspect_model(LogisticRegression())
    with pytest.raises(ModelError):
        inspect_model(3)
    with pytest.raises(PlanError):
        inspect_model("math:no_such_thing")


def test_endpoints_tell_by_their_metadata() -> None:
    with serving(FaultyServer(lambda x: x[:, :2], (4,))) as server:
        card = inspect_model(server.kserve)
        assert card.inputs == (Slot("input", "float32", (None, 4)),)
        assert (card.kind, card.outputs_per_case, card.access) == ("table", 2, "scores")
        assert card.settings == {"url": server.kserve, "protocol": "kserve"}
        assert server.cases == 0
        assert inspect_model(server.plain).settings["protocol"] == "json"
        with pytest.raises(EndpointError, match="404"):
            inspect_model(f"{server.address}/v2/models/none")


@pytest.mark.parametrize("name", ["none.onnx", "none.pt", "none.safetensors", "model.pkl", "text.onnx", "bad.pt2"])
def test_what_is_no_model_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    import zipfile

    with zipfile.ZipFile(tmp_path / "bad.pt2", "w") as archive:
        archive.writestr("a/models/model.json", '{"graph_module": 3}')
    with pytest.raises(ModelError):
        inspect_model(tmp_path / name)


def test_a_card_of_nothing_prints() -> None:
    assert str(ModelCard("function", "f")) == "function model f; access scores"

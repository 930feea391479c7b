"""ONNX files: graphs with known answers, exports of scikit-learn, and files that must not be run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from adapter_examples import IMAGES, ONE, TABLE, THREE, TWO, answers, cnn_onnx, images, labels, rows
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from titer.cases.space import Space
from titer.errors import ModelError
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.onnx import OnnxModel
from titer.models.adapters.onnx_graph import read_graph
from titer.models.task import Task


def test_scores_are_those_of_the_same_network_in_torch(tmp_path: Path) -> None:
    module = cnn_onnx(tmp_path / "m.onnx")
    model = OnnxModel(tmp_path / "m.onnx", IMAGES, TWO)
    np.testing.assert_allclose(model.predict(images()), answers(module, images()), atol=1e-5)
    assert model.access == "scores"
    assert model.name == "m"
    assert len(model.notes) == 1


@pytest.mark.parametrize("batch", [1, 4, 16, "N"])
def test_a_fixed_batch_is_filled_up(tmp_path: Path, batch: int | str) -> None:
    module = cnn_onnx(tmp_path / "m.onnx", batch=batch)
    model = OnnxModel(tmp_path / "m.onnx", IMAGES, TWO)
    assert model.batch == (None if batch == "N" else batch)
    np.testing.assert_allclose(model.predict(images()), answers(module, images()), atol=1e-5)


def test_layout_and_channels_are_read_off_the_graph(tmp_path: Path) -> None:
    module = cnn_onnx(tmp_path / "last.onnx", last=True)
    model = OnnxModel(tmp_path / "last.onnx", IMAGES, TWO, mean=0.5, std=0.5)
    assert any("channels-last" in note for note in model.notes)
    np.testing.assert_allclose(model.predict(images()), answers(module, (images() - 0.5) / 0.5), atol=1e-5)
    color = cnn_onnx(tmp_path / "color.onnx", channels=3)
    with pytest.raises(ModelError, match="channels: 3"):
        OnnxModel(tmp_path / "color.onnx", IMAGES, TWO)
    repeated = OnnxModel(tmp_path / "color.onnx", IMAGES, TWO, channels=3)
    expected = answers(color, np.repeat(images(), 3, axis=1))
    np.testing.assert_allclose(repeated.predict(images()), expected, atol=1e-5)


@pytest.mark.parametrize(("ending", "outputs"), [("Softmax", 2), ("Sigmoid", 1), ("", 1), ("Softmax", 3)])
def test_probabilities_are_told_from_logits(tmp_path: Path, ending: str, outputs: int) -> None:
    task = {1: ONE, 2: TWO, 3: THREE}[outputs]
    module = cnn_onnx(tmp_path / "m.onnx", outputs=outputs, ending=ending, squeeze=outputs == 1)
    model = OnnxModel(tmp_path / "m.onnx", IMAGES, task)
    told, logits = model.predict(images()), answers(module, images())
    assert any("probabilities" in note for note in model.notes) == bool(ending)
    if outputs > 1:
        told, logits = told - told.mean(1, keepdims=True), logits - logits.mean(1, keepdims=True)
    np.testing.assert_allclose(told, logits, atol=1e-4)
    declared = OnnxModel(tmp_path / "m.onnx", IMAGES, task, probabilities=bool(ending))
    assert np.array_equal(declared.predict(images()), model.predict(images()))


def test_element_types_follow_the_graph(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(4, 2))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["N", 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "d.onnx")
    model = OnnxModel(tmp_path / "d.onnx", TABLE, TWO)
    assert model.dtype == np.float64
    np.testing.assert_allclose(model.predict(rows()), rows() @ weight, atol=1e-14)
    whole = cnn_onnx(tmp_path / "bytes.onnx", dtype=TensorProto.UINT8)
    bytes_ = OnnxModel(tmp_path / "bytes.onnx", IMAGES, TWO, std=1 / 255)
    expected = answers(whole, np.rint(images() * 255).astype(np.float32))
    np.testing.assert_allclose(bytes_.predict(images()), expected, atol=1e-2)


def _fitted(estimator: Any, classes: Any = (0, 1)) -> Any:
    data = rows()
    return make_pipeline(StandardScaler(), estimator).fit(data, np.array(classes)[labels(data, len(classes))])


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(5, random_state=0)])
def test_exports_of_scikit_learn_agree_with_the_estimator(tmp_path: Path, estimator: Any, zipmap: bool) -> None:
    fitted = _fitted(estimator)
    options = {} if zipmap else {id(fitted): {"zipmap": False}}
    exported = to_onnx(fitted, rows(1).astype(np.float32), options=options)
    (tmp_path / "m.onnx").write_bytes(exported.SerializeToString())
    model = OnnxModel(tmp_path / "m.onnx", TABLE, TWO)
    told = np.exp(model.predict(rows().astype(np.float32)))
    np.testing.assert_allclose(told, fitted.predict_proba(rows()).clip(1e-12), atol=1e-5)
    assert any("probabilities" in note for note in model.notes)
    as_labels = OnnxModel(tmp_path / "m.onnx", TABLE, TWO, access="labels", output="label" if not zipmap else None)
    assert as_labels.access == "labels"
    assert np.array_equal(as_labels.predict(rows()).argmax(1), fitted.predict(rows().astype(np.float32)))


def test_named_classes_are_matched_or_refused(tmp_path: Path) -> None:
    fitted = _fitted(LogisticRegression(), ("sick", "healthy"))
    (tmp_path / "m.onnx").write_bytes(to_onnx(fitted, rows(1).astype(np.float32)).SerializeToString())
    model = OnnxModel(tmp_path / "m.onnx", TABLE, TWO)
    expected = fitted.predict_proba(rows())
    np.testing.assert_allclose(np.exp(model.predict(rows())), expected, atol=1e-5)
    assert "classes matched by name" in model.notes
    turned = OnnxModel(tmp_path / "m.onnx", TABLE, TWO, classes=ClassMap(("sick", "healthy")))
    np.testing.assert_allclose(np.exp(turned.predict(rows())), expected[:, ::-1], atol=1e-5)
    words = OnnxModel(tmp_path / "m.onnx", TABLE, TWO, access="labels")
    assert np.array_equal(words.predict(rows()).argmax(1), (fitted.predict(rows()) == "sick").astype(int))
    with pytest.raises(ModelError, match="a model of 3 classes"):
        OnnxModel(tmp_path / "m.onnx", TABLE, THREE)
    with pytest.raises(ModelError, match="classes:"):
        OnnxModel(tmp_path / "m.onnx", TABLE, Task("classes", ("low", "high")))


def test_regression(tmp_path: Path) -> None:
    fitted = LinearRegression().fit(rows(), rows() @ [1.0, 2.0, 3.0, 4.0])
    (tmp_path / "m.onnx").write_bytes(to_onnx(fitted, rows(1).astype(np.float32)).SerializeToString())
    model = OnnxModel(tmp_path / "m.onnx", TABLE, Task("regression", ("dose",), tolerance=1.0))
    np.testing.assert_allclose(model.predict(rows())[:, 0], fitted.predict(rows()), atol=1e-4)


def test_digest_follows_file_and_settings_and_the_file_is_named(tmp_path: Path) -> None:
    import hashlib

    cnn_onnx(tmp_path / "m.onnx")
    expected = hashlib.sha256((tmp_path / "m.onnx").read_bytes()).hexdigest()
    model = OnnxModel(tmp_path / "m.onnx", IMAGES, TWO)
    assert f"file SHA-256 {expected}" in model.notes
    assert model.digest == OnnxModel(tmp_path / "m.onnx", IMAGES, TWO).digest
    others = [
        OnnxModel(tmp_path / "m.onnx", IMAGES, TWO, **changes).digest
        for changes in (
            {"mean": 0.1}, {"std": 2.0}, {"probabilities": True}, {"classes": ClassMap(("sick", "healthy"))},
        )
    ]  # fmt: skip
    cnn_onnx(tmp_path / "m.onnx", ending="Softmax")
    others.append(OnnxModel(tmp_path / "m.onnx", IMAGES, TWO).digest)
    assert len({model.digest, *others}) == 6


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def _external_in_a_branch(model: Any) -> None:
    tensor = numpy_helper.from_array(np.zeros(1, dtype=np.float32), "hidden")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])
    branch = helper.make_graph([helper.make_node("Constant", [], ["o"], value=tensor)], "b", [], [out])
    condition = numpy_helper.from_array(np.array(True), "yes")
    model.graph.initializer.append(condition)
    model.graph.node.append(helper.make_node("If", ["yes"], ["unused"], then_branch=branch, else_branch=branch))


def _custom(model: Any) -> None:
    model.graph.node.append(helper.make_node("Steal", ["z"], ["q"], domain="evil.ops"))
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))


def _foreign(model: Any) -> None:
    model.graph.node.append(helper.make_node("EPContext", ["z"], ["q"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _random(model: Any) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["q"], shape=[1]))


def _dropout(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "on"))
    model.graph.node.append(helper.make_node("Dropout", ["z", "", "on"], ["q"]))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_external, "another file"),
        (_external_in_a_branch, "another file"),
        (_custom, "'Steal' of 'evil.ops'"),
        (_foreign, "EPContext"),
        (_random, "RandomNormal.*evaluation mode"),
        (_dropout, "Dropout.*evaluation mode"),
    ],
)
def test_files_that_reach_out_or_draw_numbers_are_refused(tmp_path: Path, spoil: Any, match: str) -> None:
    cnn_onnx(tmp_path / "m.onnx", extra=spoil)
    with pytest.raises(ModelError, match=match):
        OnnxModel(tmp_path / "m.onnx", IMAGES, TWO)


def test_damaged_large_and_missing_files_are_refused(tmp_path: Path) -> None:
    cnn_onnx(tmp_path / "m.onnx")
    whole = (tmp_path / "m.onnx").read_bytes()
    for content in (b"", b"no model", whole[: len(whole) // 2], bytes(reversed(whole))):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(ModelError):
            OnnxModel(tmp_path / "bad.onnx", IMAGES, TWO)
    with pytest.raises(ModelError, match="at most 10 bytes"):
        read_graph(tmp_path / "m.onnx", limit=10)
    with pytest.raises(ModelError, match=r"none\.onnx"):
        OnnxModel(tmp_path / "none.onnx", IMAGES, TWO)


def test_outputs_and_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    cnn_onnx(tmp_path / "m.onnx", outputs=3)
    with pytest.raises(ModelError, match=r"output of shape \[\d+, 3\]"):
        OnnxModel(tmp_path / "m.onnx", IMAGES, TWO).predict(images())
    with pytest.raises(ModelError, match=r"named 'logits'.*z"):
        OnnxModel(tmp_path / "m.onnx", IMAGES, THREE, output="logits")
    with pytest.raises(ModelError, match=r"1 x 5 x 7.*1 x 6 x 6"):
        OnnxModel(tmp_path / "m.onnx", Space("image", (1, 6, 6), "grey level"), THREE)

    def another(model: Any) -> None:
        model.graph.output.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, ["N", 4]))

    cnn_onnx(tmp_path / "two.onnx", extra=another)
    with pytest.raises(ModelError, match="choose one with 'output'"):
        OnnxModel(tmp_path / "two.onnx", IMAGES, TWO)
    chosen = OnnxModel(tmp_path / "two.onnx", IMAGES, TWO, output="z")
    assert "output 'z'" in chosen.notes

    def second(model: Any) -> None:
        model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["N", 1]))

    cnn_onnx(tmp_path / "in.onnx", extra=second)
    with pytest.raises(ModelError, match=r"2 in in\.onnx: input, age"):
        OnnxModel(tmp_path / "in.onnx", IMAGES, TWO)


def test_a_batch_that_is_not_free_after_all_is_explained(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([1, 4], dtype=np.int64), "shape")
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [shape],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    task = Task("classes", tuple("abcd"))
    with pytest.raises(ModelError, match="batch: 1"):
        OnnxModel(tmp_path / "m.onnx", TABLE, task)
    model = OnnxModel(tmp_path / "m.onnx", TABLE, task, batch=1)
    np.testing.assert_allclose(model.predict(rows(5)), rows(5), atol=1e-6)

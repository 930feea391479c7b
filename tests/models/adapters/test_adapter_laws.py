"""Laws that every adapter keeps, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapter_examples import IMAGES, ONE, TWO, FaultyServer, answers, cnn, cnn_onnx, images, labels, serving
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from titer.errors import DataError, TiterError
from titer.models.adapters.callable import CallableModel
from titer.models.adapters.http import EndpointModel
from titer.models.adapters.http_client import Client
from titer.models.adapters.http_terms import Service
from titer.models.adapters.onnx import OnnxModel
from titer.models.adapters.sklearn import sklearn_model
from titer.models.adapters.torch import TorchModel
from titer.models.model import Model, allows

KINDS = (
    "torch", "torch-float64", "torch-channels-last", "onnx", "onnx-fixed", "onnx-channels-last", "sklearn",
    "sklearn-translated", "callable", "callable-labels", "kserve", "kserve-binary-off", "json",
)  # fmt: skip


class ChannelsLast(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = cnn()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.movedim(-1, 1))


def _numpy_model(inputs: np.ndarray) -> np.ndarray:
    return answers(cnn().eval(), np.asarray(inputs, dtype=np.float32))


def _careless(inputs: np.ndarray) -> np.ndarray:
    told = _numpy_model(inputs)
    inputs[:] = -1.0
    return told


def _build(kind: str, folder: Path) -> Model:
    if kind == "torch":
        return TorchModel(cnn(), IMAGES, TWO, mean=0.4, std=0.2)
    if kind == "torch-float64":
        return TorchModel(cnn(dtype=torch.float64), IMAGES, TWO)
    if kind == "torch-channels-last":
        return TorchModel(ChannelsLast(), IMAGES, TWO, layout="channels-last")
    if kind.startswith("onnx"):
        cnn_onnx(folder / "m.onnx", batch=4 if kind == "onnx-fixed" else "N", last=kind == "onnx-channels-last")
        return OnnxModel(folder / "m.onnx", IMAGES, TWO)
    if kind.startswith("sklearn"):
        many = images(80)
        last = RandomForestClassifier(7, random_state=0, n_jobs=2) if kind == "sklearn" else LogisticRegression()
        fitted = make_pipeline(StandardScaler(), last).fit(many.reshape(80, -1).astype(np.float64), labels(many))
        return sklearn_model(fitted, IMAGES, TWO)
    if kind == "callable":
        return CallableModel(_careless, IMAGES, TWO)
    return CallableModel(lambda x: np.where(_numpy_model(x)[:, 0] > 0, "sick", "healthy"), IMAGES, TWO)


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    kind = request.param
    if kind not in ("kserve", "kserve-binary-off", "json"):
        yield _build(kind, tmp_path_factory.mktemp("model"))
        return
    with serving(FaultyServer(_numpy_model, IMAGES.shape)) as server:
        form: Any = "json" if kind == "json" else "kserve"
        yield EndpointModel(
            Client(server.plain if form == "json" else server.kserve, Service()), IMAGES, TWO, protocol=form
        )


def test_the_same_question_has_the_same_answer(model: Model) -> None:
    assert np.array_equal(model.predict(images()), model.predict(images()))


def test_a_case_alone_is_answered_as_in_a_batch(model: Model) -> None:
    together = model.predict(images())
    alone = np.concatenate([model.predict(case[None]) for case in images()])
    if isinstance(model, TorchModel):
        assert np.array_equal(alone, together)
    np.testing.assert_allclose(alone, together, atol=1e-6, rtol=1e-6)


def test_order_and_pieces_do_not_matter(model: Model) -> None:
    order = np.random.default_rng(1).permutation(11)
    np.testing.assert_allclose(model.predict(images()[order], size=3), model.predict(images())[order], atol=1e-6)


def test_inputs_stay_as_they_are(model: Model) -> None:
    given = images()
    tensor = torch.from_numpy(given.copy())
    with model.ready():
        model.scores(tensor)
    assert np.array_equal(tensor.numpy(), given)
    kept = given.copy()
    kept.setflags(write=False)
    model.predict(kept)
    assert np.array_equal(kept, given)


def test_scores_have_the_shape_of_the_task_and_are_finite(model: Model) -> None:
    told = model.predict(images())
    assert told.shape == (11, 2)
    assert np.isfinite(told).all()
    assert model.predict(images()[:0]).shape == (0, 2)


def test_float64_inputs_are_taken(model: Model) -> None:
    np.testing.assert_allclose(model.predict(images(dtype=np.float64)), model.predict(images()), atol=1e-5)


def test_cases_of_another_shape_are_refused(model: Model) -> None:
    with pytest.raises(DataError, match=r"\[n, 1, 5, 7\]"):
        model.predict(np.zeros((3, 1, 5, 6), dtype=np.float32))


def test_gradients_are_there_exactly_when_promised(model: Model) -> None:
    point = torch.from_numpy(images()).requires_grad_(True)
    with model.ready():
        told = model.scores(point)
    assert told.requires_grad == allows(model.access, "gradients")
    if told.requires_grad:
        (gradient,) = torch.autograd.grad(told[:, 0].sum(), point)
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).any()


def test_digest_and_name_are_there(model: Model) -> None:
    assert len(model.digest) == 64
    assert int(model.digest, 16) >= 0
    assert model.name


def test_another_operating_point_leaves_the_first_model_alone(model: Model) -> None:
    other = model.calibrated(model.task.at(0.25))
    assert model.task.threshold == 0.0
    assert other.task.threshold == 0.25
    assert np.array_equal(other.predict(images()), model.predict(images()))


@pytest.mark.parametrize("kind", ["torch", "torch-float64", "torch-channels-last", "sklearn-translated"])
def test_mode_and_gradient_flags_come_back_even_after_an_error(kind: str, tmp_path: Path) -> None:
    model = _build(kind, tmp_path)
    assert isinstance(model, TorchModel)
    weights = list(model.module.parameters())
    weights[0].requires_grad_(False)
    before = [part.training for part in model.module.modules()]
    statistics = {name: value.clone() for name, value in model.module.named_buffers()}

    def fail() -> None:
        with model.ready():
            assert not any(part.training for part in model.module.modules())
            assert not any(weight.requires_grad for weight in weights)
            model.scores(torch.from_numpy(images()))
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    assert [part.training for part in model.module.modules()] == before
    assert [weight.requires_grad for weight in weights] == [False] + [True] * (len(weights) - 1)
    assert all(torch.equal(value, statistics[name]) for name, value in model.module.named_buffers())


@pytest.mark.parametrize("kind", ["onnx", "sklearn-translated", "callable", "torch"])
def test_settings_change_no_answer_of_another_model(kind: str, tmp_path: Path) -> None:
    first = _build(kind, tmp_path)
    before = first.predict(images())
    _build(kind, tmp_path).predict(images() * 0.5)
    assert np.array_equal(first.predict(images()), before)


def test_one_logit_and_labels_of_a_hidden_model() -> None:
    open_model = TorchModel(cnn(1), IMAGES, ONE)
    hidden = TorchModel(cnn(1), IMAGES, ONE.at(0.9), access="labels")
    told = open_model.predict(images())
    assert np.array_equal(hidden.predict(images()), np.where(told > 0.9, 1.0, -1.0))
    assert np.array_equal(hidden.task.decide(hidden.predict(images())), (told[:, 0] > 0.9).astype(int))
    with pytest.raises(TiterError):
        CallableModel(lambda x: x, IMAGES, ONE, access="gradients")

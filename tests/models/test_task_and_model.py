"""Task and Model: what answers mean, and the operating point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import titer.testing.models as examples
from titer.errors import DataError, ModelError, PlanError
from titer.models.model import ROWS, Model, to_tensor
from titer.models.task import Task

numbers = st.floats(-50, 50, allow_nan=False)


@given(scores=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), threshold=st.floats(-9, 9))
def test_two_classes_are_decided_by_the_positive_score(scores: list, threshold: float) -> None:
    for disease in (0, 1):
        task = Task("classes", ("a", "b"), (disease,)).at(threshold)
        array = np.array(scores)
        clear = np.abs(task.positive_score(array) - threshold) > 1e-9
        expected = np.where(task.positive_score(array) > threshold, disease, 1 - disease)
        assert np.array_equal(task.decide(array)[clear], expected[clear])


def test_threshold_moves_the_decision_of_every_two_sided_task() -> None:
    assert Task("binary", ("a", "b")).at(1.0).decide(np.array([[0.5], [1.5]])).tolist() == [0, 1]
    assert Task("anomaly", ("a", "b")).at(-1.0).decide(np.array([[-0.5], [-1.5]])).tolist() == [1, 0]
    findings = Task("multilabel", ("a", "b")).at((1.0, -1.0))
    assert findings.decide(np.array([[0.5, -0.5]])).tolist() == [[0, 1]]
    assert Task("regression", ("x",), tolerance=1.0).decide(np.array([[2.5]])).tolist() == [2.5]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"kind": "classes", "classes": ("a",)}, ModelError),
        ({"kind": "binary", "classes": ("a",)}, ModelError),
        ({"kind": "regression", "classes": ("x",)}, PlanError),
        ({"kind": "classes", "classes": ("a", "b"), "positive": (2,)}, ModelError),
        ({"kind": "classes", "classes": ("a", "b"), "positive": (0, 1)}, ModelError),
        ({"kind": "binary", "classes": ("a", "b"), "positive": (0,)}, ModelError),
        ({"kind": "classes", "classes": ("a", "b"), "threshold": (1.0, 2.0)}, PlanError),
        ({"kind": "multilabel", "classes": ("a", "b"), "threshold": (1.0, 2.0, 3.0)}, PlanError),
        ({"kind": "classes", "classes": ("a", "b"), "threshold": float("nan")}, PlanError),
    ],
)
def test_tasks_that_cannot_be_are_refused(arguments: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        Task(**arguments)
    with pytest.raises(PlanError):
        Task("classes", ("a", "b", "c")).at(1.0)


def test_scores_that_do_not_fit_are_refused() -> None:
    task = Task("classes", ("a", "b"))
    with pytest.raises(ModelError, match=r"\[2, 3\]"):
        task.check(np.zeros((2, 3)))
    with pytest.raises(ModelError, match="NaN for 1 of 2"):
        task.check(np.array([[0.0, np.nan], [0.0, 0.0]]))


def test_a_class_that_is_ruled_out_gives_no_warning() -> None:
    task = Task("classes", ("a", "b", "c"), (1, 2))
    scores = np.array([[0.0, -np.inf, -np.inf], [-np.inf, 0.0, 0.0]])
    assert task.positive_score(scores).tolist() == [-np.inf, np.inf]
    np.testing.assert_allclose(task.confidence(scores), [1.0, 0.5])


def test_predict_fills_up_and_keeps_float64() -> None:
    model, batch = examples.linear(features=35, cases=19, outputs=3)
    seen: list[int] = []

    class Counting(type(model)):  # type: ignore[misc]
        def scores(self, inputs):  # type: ignore[no-untyped-def]
            seen.append(len(inputs))
            return super().scores(inputs)

    model.__class__ = Counting
    model.predict(batch.inputs, size=10)
    assert seen == [ROWS, ROWS]
    assert to_tensor(batch.inputs, model.space).dtype.is_floating_point
    with pytest.raises(PlanError):
        model.predict(batch.inputs, size=0)
    with pytest.raises(DataError):
        model.predict(batch.inputs[:, :4])


def test_a_model_without_embedding_says_so() -> None:
    class Silent(Model):
        def scores(self, inputs):  # type: ignore[no-untyped-def]
            return inputs

    model, batch = examples.linear(features=2, cases=2)
    silent = Silent()
    silent.name, silent.space = "silent", model.space
    tensor = to_tensor(batch.inputs, model.space)
    with pytest.raises(ModelError, match="embeds tokens"):
        silent.embed(tensor)
    with pytest.raises(ModelError, match="embeds tokens"):
        silent.scores_embedded(tensor, tensor)
    with silent.ready():
        assert silent.notes == ()

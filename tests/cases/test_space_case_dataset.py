"""Space, Batch and Dataset: what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases_made import CARD, dataset, rng
from hypothesis import given
from hypothesis import strategies as st

from titer.cases.case import Batch
from titer.cases.dataset import Dataset
from titer.cases.space import Space
from titer.errors import DataError

ECG = Space("signal", (2, 5), "mV", (-1.0, -2.0), (1.0, 2.0), rate=100.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "image", "shape": (4, 4)}, "a image shape of 3"),
        ({"kind": "signal", "shape": (0, 4)}, "positive numbers"),
        ({"kind": "signal", "shape": (2, 4), "low": (0.0,)}, "one value or 2 values of 'low'"),
        ({"kind": "signal", "shape": (2, 4), "low": (0.0, 1.0), "high": (1.0, 1.0)}, "low below high"),
        ({"kind": "table", "shape": (2,), "scale": (1.0, 0.0)}, "a scale above 0"),
        ({"kind": "tokens", "shape": (4,)}, "a vocabulary"),
    ],
)
def test_spaces_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Space(**{"unit": "u", **settings})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :1], "shape"),
        (lambda x: np.where(np.arange(5) == 2, np.nan, x), "NaN or infinity in 3 of 3 cases, first at row 0"),
        (lambda x: np.where(np.arange(5) == 2, np.inf, x), "NaN or infinity"),
        (lambda x: x + np.array([[[0.0], [2.1]]]), "2.1 in row 0"),
    ],
)
def test_cases_outside_a_space(change: Any, message: str) -> None:
    ECG.check(np.zeros((3, 2, 5)))
    with pytest.raises(DataError, match=message):
        ECG.check(change(np.zeros((3, 2, 5))))


def test_tokens_outside_a_vocabulary() -> None:
    space = Space("tokens", (3,), "word", vocabulary=("a", "b"))
    space.check(np.array([[0, 1, 0]]))
    for wrong in (np.array([[0.0, 1.0, 0.0]]), np.array([[0, 1, 2]]), np.array([[0, 1, -1]])):
        with pytest.raises(DataError, match="encode the notes"):
            space.check(wrong)


@given(st.lists(st.integers(0, 9), max_size=12))
def test_taking_cases_keeps_them_whole(rows: list[int]) -> None:
    batch = Batch(
        rng(0).normal(size=(10, 3)), np.arange(10), np.arange(10) // 2, tuple("abcdefghij"),
        {"sex": np.array(list("FM" * 5))}, rng(1).normal(size=(10, 3)),
    )  # fmt: skip
    taken = batch.take(rows)
    assert len(taken) == len(rows)
    for case, row in zip(taken, rows, strict=True):
        assert case.id == "abcdefghij"[row]
        assert (case.input == batch.inputs[row]).all()
        assert case.mask is not None
        assert (case.mask == batch.masks[row]).all()  # type: ignore[index]
        assert (case.target, case.patient, case.groups["sex"]) == (row, row // 2, "FM"[row % 2])


@pytest.mark.parametrize("field", ["targets", "patients", "ids", "groups", "masks"])
def test_columns_of_other_length(field: str) -> None:
    columns: dict[str, Any] = {
        "inputs": np.zeros((3, 2)), "targets": np.zeros(3, int), "patients": np.zeros(3, int), "ids": ("a", "b", "c"),
        "groups": {"g": np.zeros(3)}, "masks": np.zeros((3, 2)),
    }  # fmt: skip
    short = {"targets": np.zeros(2, int), "patients": np.zeros(2, int), "ids": ("a",), "groups": {"g": np.zeros(2)},
             "masks": np.zeros((2, 2))}  # fmt: skip
    with pytest.raises(DataError, match="give every case its own"):
        Batch(**{**columns, field: short[field]})


@pytest.mark.parametrize(
    ("targets", "settings", "message"),
    [
        (np.array([0, 1, 2]), {"classes": ("a", "b")}, "labels of 0 to 1"),
        (np.array([0, -1]), {"classes": ("a", "b")}, "labels of 0 to 1"),
        (np.array([0.0, 1.0]), {"classes": ("a", "b")}, "whole-number labels"),
        (np.array([0, 0]), {"classes": ("a", "b")}, "no case of b"),
        (np.array([0, 0]), {"task": "anomaly", "classes": ("n", "a")}, "no case of a"),
        (np.array([[0, 2]]), {"task": "multilabel", "classes": ("a", "b")}, "labels of 0 or 1 in 2 columns"),
        (np.array([0.0, np.nan]), {"task": "regression", "classes": ("v",)}, "finite target values"),
        (np.array([], dtype=int), {"classes": ("a", "b")}, "at least one case"),
    ],
)
def test_targets_that_do_not_fit(targets: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(targets, inputs=np.zeros((len(targets), 4), np.float32), **settings)


def test_names_parts_and_positive_classes_that_do_not_fit() -> None:
    data = dataset(np.array([0, 1]))
    twice = replace(data.cases, ids=("a", "a"))
    with pytest.raises(DataError, match="the same name twice"):
        replace(data, cases=twice)
    with pytest.raises(DataError, match="2 official parts"):
        replace(data, official=np.array(["train"]))
    with pytest.raises(DataError, match="positive classes of 0 to 1"):
        replace(data, positive=(2,))


def test_the_digest_tells_data_sets_apart() -> None:
    first = dataset(np.array([0, 1, 0, 1]))
    assert first.digest == dataset(np.array([0, 1, 0, 1])).digest
    cases = first.cases
    changed = [
        replace(cases, inputs=cases.inputs + np.float32(1e-3)),
        replace(cases, targets=1 - cases.targets),
        replace(cases, patients=cases.patients + 1),
        replace(cases, ids=("x", *cases.ids[1:])),
        replace(cases, groups={"sex": np.array(list("FMFM"))}),
        replace(cases, masks=np.zeros_like(cases.inputs)),
    ]
    made = [Dataset(CARD, replace(first.space, high=2.0), "classes", first.classes, (), each) for each in changed]
    made += [
        Dataset(CARD, first.space, "classes", first.classes, (), cases, np.array(["train"] * 4)),
        Dataset(CARD, first.space, "classes", ("u", "v"), (), cases),
        Dataset(CARD, first.space, "classes", first.classes, (1,), cases),
        Dataset(CARD, first.space, "classes", first.classes, (), cases, None, {1: (2,)}),
    ]
    assert len({each.digest for each in made} | {first.digest}) == len(made) + 1

"""Data cards."""

from __future__ import annotations

import json

import numpy as np
from cases_made import dataset, rng

from titer.cases.card import card, describe
from titer.cases.find import find_dataset
from titer.cases.splits import split


def test_a_card_is_plain_values() -> None:
    data = find_dataset("breast_biopsies")
    found = json.loads(json.dumps(card(data, split(data, seed=0))))
    assert found["all"] == {"cases": 569, "patients": 569, "classes": {"benign": 357, "malignant": 212}}
    assert found["parts"]["test"]["cases"] == 142
    assert found["positive"] == ["malignant"]
    assert found["digest"] == data.digest
    assert found["files"]


def test_a_card_as_text() -> None:
    official = np.array(["train", "train", "test", "test"])
    text = describe(dataset(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 2]), official=official))
    assert "| all | 4 | 3 | 2 | 2 |" in text
    assert "| test | 2 | 2 | 1 | 1 |" in text
    assert "validation" not in text


def test_cards_of_other_tasks() -> None:
    values = describe(dataset(rng(0).normal(5, 1, 50), task="regression"))
    assert "mean | standard deviation" in values
    findings = describe(dataset(np.array([[1, 0], [1, 1]]), task="multilabel", classes=("mass", "effusion")))
    assert "| all | 2 | 2 | 2 | 1 |" in findings
    simulated = describe(find_dataset("chest_phantom", cases=40))
    assert "no patient was involved" in simulated
    assert "- site: " in simulated

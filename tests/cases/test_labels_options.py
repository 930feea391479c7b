"""Labels, patient keys, parts and options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.cases import options
from titer.cases.labels import encode, is_healthy, parts, patient_codes
from titer.cases.thesaurus import pairs
from titer.errors import DataError, PlanError


@given(st.lists(st.sampled_from(["a", "b", "c", "10", "9"]), min_size=2, max_size=30).filter(lambda x: len(set(x)) > 1))
def test_labels_come_back(cells: list[str]) -> None:
    found = encode(cells)
    assert [found.classes[number] for number in found.targets] == cells


def test_numbers_are_ordered_as_numbers() -> None:
    assert encode(["10", "9", "2"]).classes == ("2", "9", "10")


@given(st.lists(st.text(alphabet="xyz", min_size=1, max_size=3), min_size=1, max_size=30))
def test_patients_keep_apart_and_together(keys: list[str]) -> None:
    codes = patient_codes(keys)
    assert all((codes[i] == codes[j]) == (keys[i] == keys[j]) for i in range(len(keys)) for j in range(len(keys)))


def test_disease_is_what_is_not_healthy() -> None:
    assert encode(["No Finding", "mass"]).positive == (1,)
    assert encode(["melanoma", "nevus"]).positive == ()
    assert encode(["melanoma", "nevus"], positive=("melanoma",)).positive == (0,)
    assert encode(["a", "b"], classes=("b", "a", "c")).targets.tolist() == [1, 0]
    assert is_healthy("no_tumor")
    assert not is_healthy("tumor")
    with pytest.raises(PlanError, match="'positive'"):
        encode(["a", "b"], positive=("c",))
    with pytest.raises(DataError, match="labels among a"):
        encode(["a", "b"], classes=("a",))


def test_findings_and_anomalies() -> None:
    found = encode(["Mass|Effusion", "No Finding", "", "Mass"], task="multilabel")
    assert found.classes == ("Effusion", "Mass")
    assert found.targets.tolist() == [[1, 1], [0, 0], [0, 0], [0, 1]]
    odd = encode(["normal", "crack", "dent"], task="anomaly")
    assert (odd.targets.tolist(), odd.classes) == ([0, 1, 1], ("normal", "abnormal"))
    assert encode(["a", "b"], task="anomaly", positive=("b",)).targets.tolist() == [0, 1]
    with pytest.raises(DataError, match="findings among"):
        encode(["none", ""], task="multilabel")
    with pytest.raises(DataError, match="at most 1000 classes"):
        encode([str(k) for k in range(1001)])


def test_parts_and_their_spellings() -> None:
    assert parts(["Train", "dev", "holdout", ""], "x").tolist() == ["train", "validation", "test", ""]
    with pytest.raises(DataError, match="'fold1' for case 1"):
        parts(["train", "fold1"], "x")


@pytest.mark.parametrize(
    "call",
    [
        lambda: options.whole(True, "n", 0, 2),
        lambda: options.whole(3, "n", 0, 2),
        lambda: options.whole(1.0, "n", 0, 2),
        lambda: options.number("1", "n", 0, 2),
        lambda: options.number(float("nan"), "n", 0, 2),
        lambda: options.one_of("gray", "n", ("grey", "rgb")),
        lambda: options.words([], "n"),
        lambda: options.words([None], "n"),
        lambda: options.height_width([1, 2, 3]),
        lambda: options.height_width("64"),
    ],
)
def test_options_that_cannot_be(call: Any) -> None:
    with pytest.raises(PlanError, match=r"'n'|'size'"):
        call()


def test_synonyms_are_single_words_in_both_orders() -> None:
    found = list(pairs())
    assert len(found) > 120
    assert all(a != b and a.isalpha() and b.isalpha() for a, b in found)
    assert len({frozenset(pair) for pair in found}) == len(found)
    assert np.all([a == a.lower() for pair in found for a in pair])

"""Splits: laws for all of them, then single ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases_made import dataset, rng
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.cases.card import counts
from titer.cases.dataset import Dataset
from titer.cases.splits import Split, split, thinned
from titer.errors import DataError, PlanError


@st.composite
def sets(draw: Callable[..., Any]) -> Dataset:
    """Data sets whose patients have one to four cases of one or several classes, enough of each for three parts."""
    classes = draw(st.integers(2, 4))
    sizes = draw(st.lists(st.integers(1, 4), min_size=12 * classes, max_size=60))
    seed = draw(st.integers(0, 1000))
    mixed = draw(st.booleans())
    patients = np.repeat(np.arange(len(sizes)), sizes)
    own = np.arange(len(sizes)) % classes
    targets = own[patients]
    if mixed:
        flip = rng(seed).uniform(size=len(targets)) < 0.2
        targets = np.where(flip, rng(seed + 1).integers(0, classes, len(targets)), targets)
    order = rng(seed).permutation(len(targets))
    return dataset(targets[order], patients[order] * 7 + 3, classes=tuple("abcd"[:classes]))


@given(sets(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_no_patient_crosses_and_nothing_is_lost(data: Dataset, seed: int) -> None:
    parts = split(data, seed=seed)
    people = [set(data.cases.patients[rows].tolist()) for rows in parts.parts().values()]
    assert not (people[0] & people[1])
    assert not (people[0] & people[2])
    assert not (people[1] & people[2])
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together.tolist()) == list(range(len(data.cases)))
    assert not len(parts.left_out)


@given(sets(), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_seed_decides(data: Dataset, seed: int) -> None:
    first, again = split(data, seed=seed), split(data, seed=seed)
    assert first.digest == again.digest
    assert all((a == b).all() for a, b in zip(first.parts().values(), again.parts().values(), strict=True))


@given(sets(), st.integers(0, 100), st.sampled_from([(0.5, 0.25, 0.25), (0.0, 0.5, 0.5), (0.6, 0.2, 0.2)]))
@settings(max_examples=60, deadline=None)
def test_shares_are_kept_within_a_few_patients(data: Dataset, seed: int, shares: tuple[float, float, float]) -> None:
    parts = split(data, seed=seed, fractions=shares)
    for share, rows in zip(shares, parts.parts().values(), strict=True):
        for number in range(len(data.classes)):
            total = int((data.cases.targets == number).sum())
            found = int((data.cases.targets[rows] == number).sum())
            assert abs(found - share * total) <= 8
            assert found > 0 or share == 0
        assert abs(len(rows) - share * len(data.cases)) <= 8


@given(st.lists(st.integers(10, 60), min_size=2, max_size=5), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_one_case_each_gives_exact_shares(sizes: list[int], seed: int) -> None:
    data = dataset(np.repeat(np.arange(len(sizes)), sizes))
    parts = split(data, seed=seed)
    for number, size in enumerate(sizes):
        found = [int((data.cases.targets[rows] == number).sum()) for rows in parts.parts().values()]
        assert all(abs(count - share * size) <= 1.01 for count, share in zip(found, (0.5, 0.25, 0.25), strict=True))


def test_row_order_of_patients_does_not_leak_into_parts() -> None:
    data = dataset(np.arange(400) % 2)
    parts = split(data, seed=3)
    assert 150 < parts.test.mean() < 250
    assert split(data, seed=4).digest != parts.digest


@given(st.integers(20, 200), st.integers(6, 60), st.integers(0, 1000), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_anomalies_stay_out_of_training(normal: int, abnormal: int, seed: int, each: int) -> None:
    targets = np.array([0] * normal + [1] * abnormal)
    patients = np.arange(len(targets)) // each
    data = dataset(targets, patients, task="anomaly")
    parts = split(data, seed=seed)
    assert (targets[parts.train] == 0).all()
    assert len(parts.train)
    for rows in (parts.validation, parts.test):
        assert set(targets[rows]) == {0, 1}
    people = [set(patients[rows].tolist()) for rows in parts.parts().values()]
    assert not (people[0] & (people[1] | people[2]))
    assert not (people[1] & people[2])


def test_anomalies_take_the_sizes_of_the_paper() -> None:
    data = dataset(np.array([0] * 4500 + [1] * 1500), task="anomaly")
    parts = split(data, seed=0)
    assert [len(rows) for rows in parts.parts().values()] == [3000, 1500, 1500]
    assert data.cases.targets[parts.test].sum() == 750


def test_few_normals_are_shared_with_training() -> None:
    data = dataset(np.array([0, 1] * 52), task="anomaly")
    parts = split(data, seed=0)
    assert [len(rows) for rows in parts.parts().values()] == [26, 39, 39]


def test_a_class_of_too_few_patients_is_named() -> None:
    targets = np.array([0] * 20 + [1] * 6)
    patients = np.concatenate([np.arange(20), [90, 90, 90, 91, 91, 91]])
    with pytest.raises(DataError, match=r"class 'rare' in the .* part, got none: its 6 cases are of 2 patients"):
        split(dataset(targets, patients, classes=("often", "rare")), seed=0)


def test_three_patients_of_a_class_reach_three_parts() -> None:
    targets = np.array([0] * 200 + [1] * 3)
    for seed in range(20):
        parts = split(dataset(targets), seed=seed)
        assert [int(targets[rows].sum()) for rows in parts.parts().values()] == [1, 1, 1]


def test_findings_reach_every_part() -> None:
    targets = rng(2).integers(0, 2, (300, 4))
    data = dataset(targets, np.arange(300) // 2, task="multilabel")
    parts = split(data, seed=1)
    for rows in parts.parts().values():
        assert (targets[rows].sum(axis=0) > 0).all()
    shares = [targets[rows].mean(axis=0) for rows in parts.parts().values()]
    assert np.abs(np.array(shares) - targets.mean(axis=0)).max() < 0.1


def test_a_regression_is_split_by_fifths() -> None:
    targets = rng(3).normal(50, 10, 400)
    data = dataset(targets, task="regression")
    parts = split(data, seed=1)
    assert [len(rows) for rows in parts.parts().values()] == pytest.approx([200, 100, 100], abs=3)
    assert np.ptp([targets[rows].mean() for rows in parts.parts().values()]) < 2


def test_maps_are_split_by_how_much_is_marked_and_every_class_reaches_every_part() -> None:
    draw = rng(0)
    marked = draw.integers(0, 16, size=200) * (draw.random(200) < 0.6)
    targets = (np.arange(16)[None] < marked[:, None]).astype(np.int64).reshape(200, 4, 4)
    found = split(dataset(targets, task="segmentation"), seed=1)
    for rows in found.parts().values():
        assert abs(float((marked[rows] == 0).mean()) - float((marked == 0).mean())) < 0.12
        assert (targets[rows] == 1).any()
    counted = counts(dataset(targets, task="segmentation"), np.arange(200))["classes"]
    assert list(counted.values()) == [200, int((marked > 0).sum())]
    with pytest.raises(DataError, match="in the validation part"):
        split(dataset((np.arange(60) == 7)[:, None, None] * np.eye(3, dtype=np.int64), task="segmentation"), seed=0)


def test_official_parts_are_taken_as_they_are() -> None:
    official = np.array(["train"] * 6 + ["validation"] * 4 + ["test"] * 4 + [""])
    data = dataset(np.arange(15) % 2, official=official)
    parts = split(data, seed=0, by="official")
    assert parts.train.tolist() == list(range(6))
    assert parts.test.tolist() == [10, 11, 12, 13]
    assert parts.left_out.tolist() == [14]


def test_a_missing_official_validation_part_comes_from_training_by_patient() -> None:
    official = np.array(["train"] * 60 + ["test"] * 20)
    patients = np.arange(80) // 2
    data = dataset(np.arange(80) // 2 % 2, patients, official=official)
    parts = split(data, seed=0, by="official")
    assert len(parts.validation) == 20
    assert len(parts.train) == 40
    assert not set(patients[parts.train]) & set(patients[parts.validation])
    untrained = split(data, seed=0, by="official", fractions=(0.0, 0.5, 0.5))
    assert [len(rows) for rows in untrained.parts().values()] == [0, 60, 20]


def test_official_anomalies_leave_the_train_part() -> None:
    official = np.array(["train", "train", "validation", "validation", "test", "test"])
    data = dataset(np.array([0, 1, 0, 1, 0, 1]), task="anomaly", official=official)
    parts = split(data, seed=0, by="official")
    assert parts.train.tolist() == [0]
    assert parts.left_out.tolist() == [1]


def test_no_official_parts_are_refused() -> None:
    with pytest.raises(DataError, match="split by patient instead"):
        split(dataset(np.array([0, 1])), seed=0, by="official")


@given(st.integers(6, 200), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_limit_keeps_classes_and_is_kept(limit: int, seed: int) -> None:
    targets = np.repeat([0, 1, 2], [300, 60, 12])
    parts = split(dataset(targets), seed=seed, limit=limit)
    again = split(dataset(targets), seed=seed, limit=limit)
    assert parts.digest == again.digest
    for rows in parts.parts().values():
        assert len(rows) <= limit
        assert set(targets[rows]) == {0, 1, 2}
    whole = split(dataset(targets), seed=seed)
    assert set(parts.test) <= set(whole.test)
    kept = len(parts.train) + len(parts.validation) + len(parts.test)
    assert kept + len(parts.left_out) == len(targets)


@pytest.mark.parametrize(
    ("sizes", "most", "kept"),
    [((95, 96, 9), 10, (5, 4, 1)), ((95, 96, 9), 3, (1, 1, 1)), ((500, 3, 2, 1), 6, (3, 1, 1, 1)),
     ((500, 3, 2, 1), 2, (1, 1, 0, 0)), ((50, 50), 200, (50, 50))],
)  # fmt: skip
def test_thinning_keeps_rare_classes(sizes: tuple[int, ...], most: int, kept: tuple[int, ...]) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(targets))
    found = [thinned(dataset(targets), rows, most, seed) for seed in range(3)]
    for each in found:
        counts = np.bincount(targets[each], minlength=len(sizes))
        assert sorted(counts) == sorted(kept)
        assert len(each) == min(most, len(targets))
        assert (np.diff(each) > 0).all()


@given(st.integers(2, 60), st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_thinning_any_kind_of_task_gives_as_many_as_asked_for(most: int, seed: int) -> None:
    draw = rng(seed)
    for task, targets in [
        ("classes", draw.permutation(np.arange(80) % 3)),
        ("regression", draw.normal(size=80)),
        ("multilabel", draw.integers(2, size=(80, 2))),
        ("anomaly", np.arange(80) % 2),
    ]:
        rows = np.sort(draw.permutation(80)[:70])
        kept = thinned(dataset(targets, task=task), rows, most, seed)
        assert len(kept) == min(most, 70)
        assert set(kept) <= set(rows)


def test_a_limit_per_part() -> None:
    parts = split(dataset(np.arange(400) % 2), seed=0, limit=(20, 30, 10))
    assert [len(rows) for rows in parts.parts().values()] == [20, 30, 10]


@pytest.mark.parametrize(
    "settings",
    [
        {"fractions": (0.5, 0.5, 0.5)},
        {"fractions": (1.2, -0.1, -0.1)},
        {"fractions": (0.5, 0.5)},
        {"fractions": (float("nan"), 0.5, 0.5)},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": True},
        {"by": "site"},
        {"limit": 0},
        {"limit": (1, 2)},
        {"limit": 1},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        split(dataset(np.arange(40) % 2), **{"seed": 0, **settings})


def test_a_split_is_sorted_and_frozen() -> None:
    parts = Split(np.array([3, 1]), np.array([2]), np.array([0]))
    assert parts.train.tolist() == [1, 3]
    with pytest.raises(ValueError, match="read-only"):
        parts.train[0] = 5
    assert str(parts) == "2 train, 1 validation, 1 test cases"

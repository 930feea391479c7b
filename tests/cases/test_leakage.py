"""The leakage check: what it must find, and what it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases_made import dataset, rng
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.cases.dataset import Dataset
from titer.cases.find import find_dataset
from titer.cases.leakage import check_leakage
from titer.cases.space import Space
from titer.cases.splits import Split, split
from titer.errors import DataError, LeakageError, PlanError

# At the sizes of Soberano and Condes (2025).
TWINS = {"chest_phantom": 10_000, "ecg_simulated": 5_000, "notes_template": 8_000, "scan_phantom": 6_000}


def pictures(count: int, seed: int = 0, channels: int = 1, side: int = 24) -> Any:
    """Smooth random pictures with noise, as different patients give them."""
    coarse = rng(seed).uniform(0.2, 0.8, (count, channels, 6, 6))
    fine = np.kron(coarse, np.ones((1, 1, side // 6, side // 6)))
    return np.clip(fine + rng(seed + 1).normal(0, 0.02, fine.shape), 0, 1).astype(np.float32)


def image_set(inputs: Any, patients: Any = None) -> Dataset:
    space = Space("image", inputs.shape[1:], "grey level (0-1)")
    return dataset(np.arange(len(inputs)) % 2, patients, inputs=inputs, space=space)


def copied(inputs: Any, links: list[tuple[int, int]]) -> Any:
    inputs = inputs.copy()
    for source, target in links:
        inputs[target] = inputs[source]
    return inputs


PICTURES = pictures(80)
HALVES = Split(np.arange(0, 40), np.arange(40, 60), np.arange(60, 80))


@given(st.integers(0, 39), st.integers(40, 79))
@settings(max_examples=25, deadline=None)
def test_one_patient_in_two_parts_is_always_found(first: int, second: int) -> None:
    patients = np.arange(80)
    patients[second] = patients[first]
    with pytest.raises(LeakageError, match="first patient number"):
        check_leakage(image_set(PICTURES, patients), HALVES, near_duplicates="report")


@given(st.integers(0, 39), st.integers(40, 79))
@settings(max_examples=15, deadline=None)
def test_one_copied_picture_is_always_found(first: int, second: int) -> None:
    data = image_set(copied(PICTURES, [(first, second)]))
    with pytest.raises(LeakageError, match=f"'case-{first}' and 'case-{second}'"):
        check_leakage(data, HALVES)
    found = check_leakage(data, HALVES, near_duplicates="report")
    assert (found.identical, found.similar) == (1, 0)


@pytest.mark.parametrize(
    "changed",
    [
        lambda x: 0.7 * x + 0.2,
        lambda x: np.clip(x + rng(9).normal(0, 0.02, x.shape), 0, 1),
        lambda x: np.round(x * 31) / 31,
    ],
    ids=["brightness", "noise", "fewer grey levels"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_changed_copies_are_found(changed: Any, channels: int) -> None:
    inputs = pictures(80, channels=channels)
    inputs[70] = changed(inputs[5])
    found = check_leakage(image_set(inputs), HALVES, near_duplicates="report")
    assert (found.identical, found.similar) == (0, 1)


def test_few_pictures_are_compared_without_their_mean() -> None:
    inputs = pictures(12)
    parts = Split(np.arange(6), np.arange(6, 9), np.arange(9, 12))
    assert check_leakage(image_set(inputs), parts).similar == 0
    inputs[10] = 0.9 * inputs[2]
    assert check_leakage(image_set(inputs), parts, near_duplicates="report").similar == 1


def test_volumes_signals_and_tables() -> None:
    volume = np.kron(rng(1).uniform(0, 1, (80, 1, 4, 4, 4)), np.ones((1, 1, 4, 4, 4))).astype(np.float32)
    signal = np.cumsum(rng(2).normal(0, 0.1, (80, 2, 700)), axis=2).astype(np.float32)
    table = rng(3).normal(0, 1, (80, 5)).astype(np.float32)
    for inputs, space in (
        (volume, Space("volume", (1, 16, 16, 16), "grey level (0-1)")),
        (signal, Space("signal", (2, 700), "mV", -50.0, 50.0, rate=250.0)),
        (table, Space("table", (5,), "unit", -9.0, 9.0, (1.0, 1.0, 1.0, 1.0, 1.0), "SD")),
    ):
        clean = dataset(np.arange(80) % 2, inputs=inputs, space=space)
        assert check_leakage(clean, HALVES).similar == 0
        inputs[66] = inputs[3] + np.float32(1e-4)
        found = check_leakage(dataset(np.arange(80) % 2, inputs=inputs, space=space), HALVES, near_duplicates="report")
        assert (found.identical, found.similar) == (0, 1)


def tokens(notes: list[list[int]], length: int = 40) -> Dataset:
    space = Space("tokens", (length,), "word", vocabulary=tuple(f"w{k}" for k in range(500)))
    rows = np.zeros((len(notes), length), dtype=np.int64)
    for row, note in enumerate(notes):
        rows[row, : len(note)] = note
    return dataset(np.arange(len(notes)) % 2, inputs=rows, space=space)


def test_notes_share_phrases_not_words() -> None:
    base = [rng(k).integers(1, 500, 40).tolist() for k in range(80)]
    assert check_leakage(tokens(base), HALVES).similar == 0
    shuffled = [*base]
    shuffled[70] = sorted(base[4])
    assert check_leakage(tokens(shuffled), HALVES).similar == 0
    edited = [*base]
    edited[70] = [*base[4][:20], 499, *base[4][21:]]
    assert check_leakage(tokens(edited), HALVES, near_duplicates="report").similar == 1


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_join_of_notes_agrees_with_comparing_all(seed: int) -> None:
    drawn = rng(seed)
    base = [drawn.integers(1, 6, drawn.integers(1, 12)).tolist() for _ in range(60)]
    parts = Split(np.arange(30), np.arange(30, 45), np.arange(45, 60))
    data = tokens(base, 12)

    def phrases(note: list[int]) -> set[tuple[int, ...]]:
        full = [*note, 0, 0]
        return {tuple(full[k : k + 3]) for k in range(max(len(note) - 2, 1))}

    part = np.repeat([0, 1, 2], [30, 15, 15])
    expected = set()
    for a in range(60):
        for b in range(60):
            left, right = phrases(base[a]), phrases(base[b])
            if part[a] < part[b] and len(left & right) >= 0.8 * len(left | right) - 1e-9:
                expected.add(a)
    found = check_leakage(data, parts, near_duplicates="report")
    assert found.identical + found.similar == len(expected)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_equal_rows_agree_with_comparing_all(seed: int) -> None:
    values = rng(seed).integers(0, 30, (60, 4)).astype(np.float32) / 30
    parts = Split(np.arange(30), np.arange(30, 45), np.arange(45, 60))
    part = np.repeat([0, 1, 2], [30, 15, 15])
    equal = (np.abs(values[:, None] - values[None]) <= 1e-3).all(axis=2)
    expected = {a for a in range(60) for b in range(60) if equal[a, b] and part[a] < part[b]}
    found = check_leakage(dataset(np.arange(60) % 2, inputs=values), parts, near_duplicates="report")
    assert found.identical + found.similar == len(expected)


def test_dropping_spares_the_later_part() -> None:
    data = image_set(copied(pictures(80), [(3, 45), (4, 70), (50, 71), (5, 6)]))
    found = check_leakage(data, HALVES, near_duplicates="drop")
    assert found.dropped.tolist() == [3, 4, 50]
    assert found.split.left_out.tolist() == [3, 4, 50]
    assert found.split.test.tolist() == HALVES.test.tolist()
    assert found.repeated == 1
    assert "these were left out" in str(found)
    assert "1 cases repeat one of their own part" in found.sentence
    assert check_leakage(data, found.split).identical == 0


def test_dropping_never_loses_a_class_in_silence() -> None:
    inputs = copied(pictures(80), [(0, 79)])
    space = Space("image", inputs.shape[1:], "grey level (0-1)")
    targets = np.array([1] + [0] * 39 + [0, 1] * 20)
    with pytest.raises(DataError, match="every class in the train part"):
        check_leakage(dataset(targets, inputs=inputs, space=space), HALVES, near_duplicates="drop")


def test_a_coarse_table_is_excused_in_words() -> None:
    inputs = rng(0).integers(0, 2, (80, 4)).astype(np.float32)
    found = check_leakage(dataset(np.arange(80) % 2, inputs=inputs), HALVES)
    assert found.identical > 0
    assert "chance alone" in found.sentence
    assert not len(found.dropped)


def test_cases_of_no_part_are_not_compared() -> None:
    data = image_set(copied(pictures(80), [(0, 79)]))
    parts = Split(np.arange(1, 40), np.arange(40, 60), np.arange(60, 80), np.array([0]))
    assert check_leakage(data, parts).identical == 0


def test_a_case_in_two_parts_and_a_wrong_mode() -> None:
    data = image_set(pictures(6))
    with pytest.raises(LeakageError, match="every case in one part"):
        check_leakage(data, Split(np.array([0, 1]), np.array([1, 2]), np.array([3])))
    with pytest.raises(PlanError):
        check_leakage(data, Split(np.array([0]), np.array([1]), np.array([2])), near_duplicates="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "cases"), TWINS.items())
def test_thousands_of_simulated_cases_raise_no_alarm(name: str, cases: int) -> None:
    data = find_dataset(name, cases=cases)
    found = check_leakage(data, split(data, seed=0))
    assert (found.identical, found.similar) == (0, 0)
    assert found.patients < cases


@pytest.mark.parametrize("name", TWINS)
def test_a_duplicated_simulated_patient_is_refused(name: str) -> None:
    data = find_dataset(name, cases=400)
    parts = split(data, seed=0)
    both = Split(np.append(parts.train, parts.test[0]), parts.validation, parts.test[1:])
    mates = data.cases.patients[parts.test[1:]] == data.cases.patients[parts.test[0]]
    if mates.any():
        with pytest.raises(LeakageError):
            check_leakage(data, both, near_duplicates="report")
    twice = data.cases.take(np.append(np.arange(400), parts.train[0]))
    twice = type(twice)(twice.inputs, twice.targets, twice.patients, (*data.cases.ids, "again"), twice.groups)
    again = type(data)(data.card, data.space, data.task, data.classes, data.positive, twice)
    with pytest.raises(LeakageError, match="every patient"):
        check_leakage(again, Split(parts.train, parts.validation, np.append(parts.test, 400)))

"""The mean AUROC over findings: one finding is DeLong's, several are as sure as repeated samples vary."""

from __future__ import annotations

import numpy as np
import pytest

from titer.audit.statistics.auroc import auroc
from titer.audit.statistics.macro_auroc import macro_auroc
from titer.errors import DataError


def drawn(seed: int, n: int = 300, findings: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Findings whose scores share half of their noise."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(2, size=(n, findings))
    return actual, actual + rng.normal(size=(n, 1)) + rng.normal(size=(n, findings))


def test_one_finding_is_delongs() -> None:
    actual, scores = drawn(0, findings=1)
    one, many = auroc(actual[:, 0], scores[:, 0]), macro_auroc(actual, scores)
    assert many.value == one.value
    assert many.se == pytest.approx(one.se, rel=0.01)


def test_the_standard_error_is_the_spread_over_samples() -> None:
    found = [macro_auroc(*drawn(seed)) for seed in range(300)]
    assert np.mean([each.se for each in found]) == pytest.approx(np.std([each.value for each in found]), rel=0.15)


def test_the_same_finding_twice_tells_nothing_new() -> None:
    actual, scores = drawn(1, findings=1)
    twice = macro_auroc(np.repeat(actual, 2, axis=1), np.repeat(scores, 2, axis=1))
    assert twice.se == pytest.approx(macro_auroc(actual, scores).se)


def test_cases_of_one_patient_count_once() -> None:
    actual, scores = drawn(2)
    doubled = macro_auroc(np.tile(actual, (2, 1)), np.tile(scores, (2, 1)), patients=np.tile(np.arange(300), 2))
    assert doubled.se == pytest.approx(macro_auroc(actual, scores).se)


def test_perfect_ranking_has_no_interval_and_bad_shapes_are_refused() -> None:
    actual = np.array([[0], [0], [1], [1]])
    perfect = macro_auroc(actual, actual.astype(float))
    assert perfect.value == 1
    assert np.isnan(perfect.low)
    with pytest.raises(DataError, match="one shape"):
        macro_auroc(actual, np.ones((4, 2)))
    with pytest.raises(DataError, match="two healthy"):
        macro_auroc(np.ones((4, 1)), np.ones((4, 1)))

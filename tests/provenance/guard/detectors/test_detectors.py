"""The reference detectors, against answers that can be worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from titer.errors import PlanError
from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.guard.detectors.feature_squeezing import FeatureSqueezing
from titer.provenance.guard.detectors.text_oddities import TextOddities


def test_squeezing_keeps_as_many_values_as_its_bits_allow() -> None:
    values = np.linspace(0, 1, 99).reshape(9, 11)
    coarse, _ = FeatureSqueezing(threshold=0, bits=3).squeezed(values)
    assert np.array_equal(np.unique(coarse), np.arange(8) / 7)


def test_a_single_bright_pixel_is_smoothed_away() -> None:
    values = np.zeros((2, 5, 5))
    values[1, 2, 2] = 1
    coarse, smooth = FeatureSqueezing(threshold=0, bits=1).squeezed(values)
    assert not smooth.any()
    assert np.array_equal(coarse, values)


def test_the_score_is_the_largest_distance_of_answers() -> None:
    values = np.zeros((5, 5))
    values[2, 2] = 1
    detector = FeatureSqueezing(threshold=0.9, bits=1)
    assert detector.score(lambda x: np.array([x.sum(), -x.sum()]), values) == 2.0
    found = detector(SimpleNamespace(tensor=values, model=lambda x: x.sum()))
    assert found is not None
    assert (found.code, found.score) == ("detector.feature_squeezing", 1.0)
    assert detector(SimpleNamespace(tensor=values, model=lambda _: np.array([1.0]))) is None


def test_scores_that_are_no_number_are_findings() -> None:
    case = SimpleNamespace(tensor=np.zeros((5, 5)), model=lambda _: np.array([np.nan]))
    assert FeatureSqueezing(threshold=1e9)(case) is not None


@pytest.mark.parametrize("more", [{"bits": 0}, {"window": 2}, {"low": 1.0}, {"threshold": -1.0}])
def test_settings_of_squeezing_that_mean_nothing_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        FeatureSqueezing(**({"threshold": 0.0} | more))


def test_inputs_that_are_no_pictures_are_refused_by_squeezing() -> None:
    with pytest.raises(PlanError, match="pictures"):
        FeatureSqueezing(threshold=0.0)(SimpleNamespace(tensor=np.zeros(5), model=None))


def test_hidden_characters_are_findings_beyond_what_is_allowed() -> None:
    case = SimpleNamespace(fingerprint=fingerprint_of("p\u0430in\u200b\u202e".encode(), "text"))
    found = TextOddities()(case)
    assert found is not None
    assert found.score in {3, 4}
    assert TextOddities({"zero_width": 9, "bidi": 9, "mixed_script": 9})(case) is None
    assert TextOddities()(SimpleNamespace(fingerprint=None)) is None
    assert TextOddities()(SimpleNamespace(fingerprint=fingerprint_of(b"pain", "text"))) is None

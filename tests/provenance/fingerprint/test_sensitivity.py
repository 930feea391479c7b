"""Every change shows, in its place: the figures of `prove_sensitivity.py` with fewer changes."""

from __future__ import annotations

import pytest
from prove_sensitivity import KINDS, Found, flips, frames_swapped, overlays_added


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_bit_is_detected_and_placed(kind: str) -> None:
    assert flips(KINDS[kind], 60, seed=1) == Found(60, 60, 60)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_changed_bits_are_detected_and_placed(kind: str) -> None:
    assert flips(KINDS[kind], 2000) == Found(2000, 2000, 2000)


def test_swapped_frames_and_overlays_are_detected_and_placed() -> None:
    for found in (frames_swapped(), overlays_added()):
        assert found == Found(found.changes, found.changes, found.changes)
        assert found.changes >= 17

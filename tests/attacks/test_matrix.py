"""Every attack of the registry against every kind of target; what is refused has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from titer.registry import ATTACKS
from titer.testing import matrix

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"


@pytest.mark.parametrize("name", ATTACKS.names())
def test_an_attack_keeps_limit_range_and_independence_on_all_that_it_accepts(name: str) -> None:
    pairings = matrix.row(name)
    assert [pair.target for pair in pairings] == [target.label for target in matrix.targets()]
    ran = [pair.target for pair in pairings if not pair.refused]
    # What needs settings of its own cannot be tried with defaults; its reason says so.
    assert ran or all("settings of its own" in pair.refused for pair in pairings)


def test_labels_of_targets_are_unique() -> None:
    labels = [target.label for target in matrix.targets()]
    assert len(set(labels)) == len(labels)


def test_the_committed_matrix_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == matrix.page(), (
        "docs/matrix.md is not what the pairings say; run: python -m titer.testing.matrix > docs/matrix.md"
    )

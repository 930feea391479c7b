"""Data that the tests of the statistics share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

NAMES = ("AT", "GM", "RS", "LC")
TABLE = np.array(
    [
        [88.1, 81.9, 89.0, 85.2],
        [90.3, 83.0, 90.1, 86.4],
        [86.9, 82.2, 88.2, 84.0],
        [89.4, 84.1, 91.0, 87.3],
        [87.8, 80.8, 87.9, 85.6],
    ]
)


@pytest.fixture
def defences() -> dict[str, npt.NDArray[np.float64]]:
    """Accuracy in percent of four defences over the same five trials, with known answers for every routine."""
    return dict(zip(NAMES, TABLE.T.copy(), strict=True))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_240_229)

"""Simulated patients: how many cases each has, and the attributes of subgroups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.cases.case import Array
from titer.cases.simulate.streams import uniforms

SITES = ("A", "B", "C")
AGES = ("18-39", "40-64", "65+")
_TRAITS = 24


@dataclass(frozen=True, eq=False)
class Roster:
    """The patient behind each case.

    Arguments
        codes: [n] patient number of each case.
        traits: [n, 24] numbers in [0, 1) that a patient keeps from case to case: anatomy, axis, device.
        groups: "sex", "age" and "site" of each case.
    """

    codes: Array
    traits: Array
    groups: dict[str, Array]


def enlist(cases: int, *, seed: int, per_patient: int) -> Roster:
    """Patients for a number of cases; each has 1 to 2 k - 1 of them, k on average.

    >>> roster = enlist(100, seed=0, per_patient=3)
    >>> len(roster.codes), bool((np.diff(roster.codes) >= 0).all())
    (100, True)
    """
    drawn = uniforms(seed, "patient", range(cases), 4 + _TRAITS)
    visits = 1 + (drawn[:, 0] * (2 * per_patient - 1)).astype(np.int64)
    codes = np.repeat(np.arange(cases), visits)[:cases]
    mine = drawn[codes]
    groups = {
        "sex": np.where(mine[:, 1] < 0.5, "F", "M"),
        "age": np.array(AGES)[(mine[:, 2] * len(AGES)).astype(np.int64)],
        "site": np.array(SITES)[(mine[:, 3] * len(SITES)).astype(np.int64)],
    }
    return Roster(codes, mine[:, 4:], groups)

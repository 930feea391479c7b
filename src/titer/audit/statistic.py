"""Statistic: a question about finished results, answered by tests; one file each in `titer/audit/findings`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from titer.audit.report.schema import ComparisonFamily
from titer.audit.results import Results


class Statistic(ABC):
    """Base of all questions asked across cells.

    A package of yours adds one through an entry point of the group `titer.statistics`; it is then asked of every
    audit, and its answers stand in the report under "comparisons".

    Attributes
        name: the file's or entry point's name.
    """

    name: ClassVar[str]

    @abstractmethod
    def compute(self, results: Results, rng: np.random.Generator) -> Sequence[ComparisonFamily]:
        """Families of tests; empty where the question does not apply."""

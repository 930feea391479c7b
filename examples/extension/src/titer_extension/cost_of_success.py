"""How large were the changes that succeeded?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from titer.audit.report.schema import ComparisonFamily, TestResult
from titer.audit.results import Results
from titer.audit.statistic import Statistic


class CostOfSuccess(Statistic):
    """The median cost of the changes that fooled a model, per cell at a main limit."""

    name: ClassVar[str] = "cost_of_success"

    def compute(self, results: Results, rng: np.random.Generator) -> Sequence[ComparisonFamily]:
        tests = []
        for cell in results.cells:
            costs = cell.pooled(lambda t: t.after["cost"][t.after["fooled"] & t.right_before])
            if cell.is_main and len(costs):
                median = float(np.median(costs))
                tests.append(
                    TestResult(
                        name=f"{cell.subject.name}, {cell.attack}",
                        estimate=median,
                        unit=cell.radius.unit,
                        n=len(costs),
                        method="median over fooled cases",
                        sentence=f"Half of the successful changes cost at most {median:.3g} {cell.radius.unit}.",
                    )
                )
        if not tests:
            return ()
        question = "What did the successful changes cost?"
        return (ComparisonFamily(heading="Cost of success", question=question, results=tuple(tests)),)

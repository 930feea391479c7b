"""Is accuracy under random noise the same as clean accuracy, within the margin declared in the plan?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from titer.audit.findings._family import holm
from titer.audit.findings._words import counted, finite, limit_words, outcome, percent_after, percent_before, reach
from titer.audit.report.formats import bare, ends, number, p_text
from titer.audit.report.schema import ComparisonFamily, TestResult
from titer.audit.results import CellResults, Results
from titer.audit.statistic import Statistic
from titer.audit.statistics.equivalence import tost_paired


class NoiseEquivalence(Statistic):
    """Per model: two one-sided tests of clean against noise at the main limit, with the plan's margin.

    A t test that finds no difference is no evidence of none; this test can show equivalence.
    Source: Schuirmann 1987 (doi 10.1007/BF01068419).
    """

    name: ClassVar[str] = "noise_equivalence"

    def compute(self, results: Results, rng: np.random.Generator) -> Sequence[ComparisonFamily]:
        margin = results.prepared.plan.margin
        families = []
        for place in range(len(results.prepared.plan.subjects)):
            cells = [cell for cell in results.of(place) if cell.is_main and cell.control and len(cell.trials) >= 2]
            if cells:
                families.append(_family(cells, margin))
        return tuple(families)


def _family(cells: list[CellResults], margin: float) -> ComparisonFamily:
    model, what = cells[0].subject.name, outcome(cells[0])
    return ComparisonFamily(
        heading=f"Does noise leave {what} as it was? {model}",
        question=f"Does random noise at the main limit move {what} of {model} by less than {margin:g} points?",
        results=tuple(holm([_test(cell, margin) for cell in cells])),
        notes=(f"The margin of {margin:g} points was declared in the plan, before any result.",),
    )


def _test(cell: CellResults, margin: float) -> TestResult:
    test = tost_paired(percent_before(cell), percent_after(cell), margin=margin)
    said = f"{cell.attack} at {limit_words(cell.radius)}"
    if test.equivalent is None:
        sentence = (
            f"{said} moves {outcome(cell)} by {number(-test.difference, 'points')} in every trial, so no test exists."
        )
    else:
        verdict = "equivalence is shown" if test.equivalent else "equivalence is not shown"
        sentence = (
            f"{said} moves {outcome(cell)} by {number(-test.difference, 'points')} (90% interval "
            f"{ends(-test.high, -test.low, 'points')}) over {counted(test.n, 'trial')}; with a margin of "
            f"{bare(margin, 'points')} points {verdict} ({p_text(test.p)})."
        )
    return TestResult(
        name=f"{cell.attack}, {cell.threat.id}: two one-sided tests", p=finite(test.p), estimate=-test.difference,
        unit="points", **reach(-test.high, -test.low), level=0.9, n=test.n,
        method=f"TOST, paired over trials, margin {margin:g} points, 90% interval", sentence=sentence,
    )  # fmt: skip

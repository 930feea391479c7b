"""Do the attacks on one model differ in what they leave?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from titer.audit.findings._battery import FLAG, blocked
from titer.audit.findings._words import counted, limit_words, outcome, percent_after, seeds
from titer.audit.report.schema import ComparisonFamily
from titer.audit.results import CellResults, Results
from titer.audit.statistic import Statistic


class AttacksDiffer(Statistic):
    """Per model and threat, at the main limit: analysis of variance over attacks with the trial as block.

    All attacks share splits, trained models and cases, so the trial is a block. Friedman's test with Nemenyi's pairs is
    the companion without normality; the one-way analysis is printed with its flag. Attacks of different threats spend
    different budgets (largest change, number of values) and are not compared.
    """

    name: ClassVar[str] = "attacks_differ"

    def compute(self, results: Results, rng: np.random.Generator) -> Sequence[ComparisonFamily]:
        families = []
        for number in range(len(results.prepared.plan.subjects)):
            groups: dict[str, list[CellResults]] = {}
            for cell in results.of(number):
                if cell.is_main and not cell.control and len(cell.trials) >= 2:
                    groups.setdefault(cell.threat.id, []).append(cell)
            families += [_family(cells) for cells in groups.values() if _comparable(cells)]
        return tuple(families)


def _comparable(cells: list[CellResults]) -> bool:
    return len(cells) >= 2 and len({seeds(cell) for cell in cells}) == 1


def _family(cells: list[CellResults]) -> ComparisonFamily:
    first = cells[0]
    what = outcome(first)
    limit, attacks = limit_words(first.radius), " and ".join(cell.attack for cell in cells)
    return ComparisonFamily(
        heading=f"Do the attacks differ? {first.subject.name}, {first.threat.id} at {limit}",
        question=f"Is {what} of {first.subject.name} the same under {attacks} at {limit}?",
        results=tuple(blocked({cell.attack: percent_after(cell) for cell in cells}, what)),
        notes=(
            f"{counted(len(first.trials), 'trial')}, shared by all attacks; one value per trial and attack.",
            FLAG,
            "Controls are left out, and attacks of other threats too: their budgets are not on one scale.",
        ),
    )

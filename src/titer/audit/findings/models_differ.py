"""Do the models differ: on the same data in what is left to them, on different data in what they lose?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from titer.audit.findings._battery import FLAG, blocked, independent
from titer.audit.findings._words import limit_words, outcome, percent_after, percent_before, seeds
from titer.audit.report.schema import ComparisonFamily
from titer.audit.results import CellResults, Results
from titer.audit.statistic import Statistic
from titer.audit.table import Array

_SHARED = "The models answered the same cases in every trial, so the trial is a block."
_APART = "The models answered different cases, so their trials are taken as independent."
_LIMITS = (
    "Each model stands at its own main limit, and limits of different data have different units: this compares what "
    "was lost in this audit, not how robust the models are at equal effort."
)


class ModelsDiffer(Statistic):
    """Across models: clean and robust accuracy on shared data, and the drop in points across data sets.

    Models on the same data are compared under the same attack, threat and limit, blocked by trial where they answered
    the same cases. Models on different data share nothing but the number of the seed; their drops are compared with
    tests for independent trials (Welch, Games-Howell), and flagged.
    """

    name: ClassVar[str] = "models_differ"

    def compute(self, results: Results, rng: np.random.Generator) -> Sequence[ComparisonFamily]:
        cells = [cell for cell in results.cells if cell.is_main and not cell.control and len(cell.trials) >= 2]
        return (*_on_shared_data(cells), *_across_data(cells))


def _on_shared_data(cells: list[CellResults]) -> list[ComparisonFamily]:
    clean: dict[str, dict[str, CellResults]] = {}
    attacked: dict[tuple[str, str, float, str], dict[str, CellResults]] = {}
    for cell in cells:
        data = cell.dataset.digest
        clean.setdefault(data, {}).setdefault(cell.subject.name, cell)
        key = (data, cell.threat.id, cell.radius.value, cell.attack)
        attacked.setdefault(key, {}).setdefault(cell.subject.name, cell)
    families = []
    for members in (*clean.values(), *attacked.values()):
        if len(members) < 2 or len({seeds(cell) for cell in members.values()}) != 1:
            continue
        before = any(members is each for each in clean.values())
        families.append(_shared(members, "clean" if before else ""))
    return families


def _shared(members: dict[str, CellResults], clean: str) -> ComparisonFamily:
    first = next(iter(members.values()))
    what = outcome(first)
    outcomes = {name: (percent_before if clean else percent_after)(cell) for name, cell in members.items()}
    same = _same_cases(list(members.values()))
    condition = "before any attack" if clean else f"under {first.attack} at {limit_words(first.radius)}"
    return ComparisonFamily(
        heading=f"Do the models differ {condition}? {first.dataset.card.name}",
        question=f"Is {what} of {' and '.join(members)} the same {condition} on {first.dataset.card.name}?",
        results=tuple((blocked if same else independent)(outcomes, what)),
        notes=(_SHARED, FLAG) if same else (_APART,),
    )


def _same_cases(cells: list[CellResults]) -> bool:
    return all(
        np.array_equal(one.before["row"], two.before["row"])
        for cell in cells[1:]
        for one, two in zip(cells[0].trials, cell.trials, strict=True)
    )


def _across_data(cells: list[CellResults]) -> list[ComparisonFamily]:
    by_attack: dict[str, dict[str, CellResults]] = {}
    for cell in cells:
        by_attack.setdefault(cell.attack, {}).setdefault(cell.subject.name, cell)
    families = []
    for attack, members in by_attack.items():
        if len({cell.dataset.digest for cell in members.values()}) < 2:
            continue
        outcomes: dict[str, Array] = {name: percent_before(c) - percent_after(c) for name, c in members.items()}
        families.append(
            ComparisonFamily(
                heading=f"Do models of different data lose alike? {attack}",
                question=f"Does {attack} at each model's main limit cost {' and '.join(members)} equally many points?",
                results=tuple(independent(outcomes, "the drop")),
                notes=(_APART, _LIMITS),
            )
        )
    return families

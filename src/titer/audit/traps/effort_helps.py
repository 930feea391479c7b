"""Do more steps or restarts never help the model?"""

from __future__ import annotations

from itertools import combinations
from typing import Any, ClassVar

from titer.audit.results import CellResults, Results
from titer.audit.subject import settings_of
from titer.audit.traps._cells import Pair, attacks_only, judge, questions, search_of
from titer.audit.traps.check import Check, Seen, skipped

_EFFORT = frozenset({"steps", "restarts", "tries", "queries", "iterations", "starts", "queries allowed"})


class EffortHelps(Check):
    """Of two settings of one attack, the one with more steps, restarts or queries leaves no more cases standing.

    A plan runs two settings by naming an attack twice, {name: pgd, steps: 5} and {name: pgd, steps: 50}, or by two
    threats that differ in `queries`. Two subjects of the same model and data share their clean answers and count, too.
    Settings that differ in anything but effort are not compared.
    Source: Carlini et al. 2019 (arXiv 1902.06705), section 4.
    """

    name: ClassVar[str] = "effort_helps"
    title: ClassVar[str] = "More effort never helps the model"
    question: ClassVar[str] = "Do more steps, restarts or queries of the same attack never raise robust accuracy?"
    meaning: ClassVar[str] = "The longer search loses what the shorter one found, so neither has converged."
    remedy: ClassVar[str] = "Keep the best iterate of each case, and raise steps and restarts until nothing changes."
    place: ClassVar[int] = 5

    def look(self, results: Results) -> Seen:
        same: dict[str, list[CellResults]] = {}
        for cell in attacks_only(results.cells):
            same.setdefault(_question(cell), []).append(cell)
        pairs = []
        for cells in same.values():
            for one, two in combinations(cells, 2):
                order = _more(_effort(one), _effort(two))
                if order:
                    pairs.append(Pair.of(one, two) if order > 0 else Pair.of(two, one))
        if pairs:
            return judge(pairs)
        return skipped(
            "The plan runs no attack with two efforts; name an attack twice, with more steps the second time."
        )


def _question(cell: CellResults) -> str:
    """Everything that two cells must share before their efforts can be compared."""
    spec = cell.threat.spec
    threat = [repr(cell.threat.change), spec.goal, spec.target, spec.knowledge, spec.where]
    return repr([search_of(cell).name, cell.radius.value, threat, [trial.trial.clean for trial in cell.trials]])


def _effort(cell: CellResults) -> dict[str, Any]:
    """Settings of the attack, and the questions that its threat allows."""
    return {**settings_of(search_of(cell)), "queries allowed": questions(cell)}


def _more(one: dict[str, Any], two: dict[str, Any]) -> int:
    """1 if `one` is more effort than `two`, -1 if less, 0 if they cannot be ordered."""
    differing = {key for key in one if one[key] != two.get(key)}
    if not differing or not differing <= _EFFORT:
        return 0
    signs = {1 if one[key] > two[key] else -1 for key in differing}
    return signs.pop() if len(signs) == 1 else 0

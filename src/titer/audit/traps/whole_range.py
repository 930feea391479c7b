"""Does a limit that allows every valid input leave nothing standing?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from titer.audit.findings._words import counted, where
from titer.audit.results import CellResults, Results
from titer.audit.traps._cells import allowed, by_radius, covers, one_by_one, stands
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung


class WholeRange(Check):
    """At a radius that covers the whole valid range, all attacks together leave no case standing.

    The exception is a model that gives one answer to everything: it keeps the rate of that answer.
    Asked of additive changes only, since for others no radius is known to reach every valid input.
    Source: Carlini et al. 2019 (arXiv 1902.06705), section 4 (unbounded attacks).
    """

    name: ClassVar[str] = "whole_range"
    title: ClassVar[str] = "No limit, no accuracy"
    question: ClassVar[str] = "Is robust accuracy 0 at a limit that covers the whole valid range?"
    meaning: ClassVar[str] = (
        "With no limit at all the attacks should turn every case, so they fail to find what must be there; "
        "robust accuracy at the smaller limits is overstated as well."
    )
    remedy: ClassVar[str] = "Use a stronger search: more steps, another loss, restarts, or an attack without gradients."
    place: ClassVar[int] = 2

    def look(self, results: Results) -> Seen:
        groups = [cells for group in by_radius(results) if (cells := one_by_one(group)) and covers(cells[0])]
        if not groups:
            return skipped("No radius that covers the whole valid range was run.")
        found = [(cells, *_left(cells)) for cells in groups]
        bad = [each for each in found if each[1] > allowed(each[2])]
        cells, left, n = max(bad or found, key=lambda each: each[1] / each[2])
        evidence = (
            f"At {where(cells[0])} {left} of {counted(n, 'case')} withstand all {counted(len(cells), 'attack')} "
            f"({allowed(n)} tolerated)"
        )
        if bad:
            return sprung(
                f"{evidence}; so in {len(bad)} of {counted(len(found), 'row')}.", [c for each in bad for c in each[0]]
            )
        return clear(f"{evidence}, the most of {counted(len(found), 'row')}.")


def _left(cells: list[CellResults]) -> tuple[int, int]:
    """Cases that withstood every attack, and all cases; models of one answer for everything count as broken."""
    left = n = 0
    for trials in zip(*(cell.trials for cell in cells), strict=True):
        kept = np.logical_and.reduce([stands(trial) for trial in trials])
        n += len(kept)
        scores = [trials[0].before["scores"], *(trial.after["scores"] for trial in trials)]
        answers = np.concatenate([trials[0].task.decide(each) for each in scores])
        if np.ptp(answers, axis=0).any():
            left += int(kept.sum())
    return left, n

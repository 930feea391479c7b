"""Did no patient and no near-identical case stand on both sides of the split?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.findings._words import counted, elsewhere
from titer.audit.report.schema import Trap
from titer.audit.results import CellResults, Measured, Results
from titer.audit.subject import recipe_of
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung


class NoLeakage(Check):
    """In every trial, no patient stands in two parts, and no near-identical case was knowingly kept in two.

    A patient in two parts stops an audit before it begins, and so do near-identical cases unless the plan says
    otherwise. This trap springs where the plan keeps them; the plan's word on the split explains it. Where every model
    was trained elsewhere nothing can be passed: on which cases is not known here.
    """

    name: ClassVar[str] = "no_leakage"
    title: ClassVar[str] = "Training and test cases are apart"
    question: ClassVar[str] = "Does no patient, and no near-identical case, stand in two parts of a split?"
    meaning: ClassVar[str] = (
        "The model, or its threshold, saw test cases beforehand, so clean performance is overstated and robustness is "
        "measured on cases that were learned by heart."
    )
    remedy: ClassVar[str] = "Set near_duplicates of the split to 'drop', or split by a better patient key."
    place: ClassVar[int] = 17
    clean: ClassVar[bool] = True

    def look(self, results: Results) -> Seen:
        if not results.cells:
            return skipped("No attack was run.")
        trials = [(cell, trial) for cell in results.cells for trial in cell.trials]
        kept = [(cell, trial) for cell, trial in trials if _kept(cell, trial)]
        cell, trial = (kept or trials)[0]
        evidence = f"{cell.dataset.card.name}, trial {trial.trial.seed}: {trial.before.facts['leakage']}"
        if kept:
            return sprung(evidence, [cell for cell, _ in kept])
        strangers = sorted({cell.subject.name for cell, _ in trials if recipe_of(cell.subject) is None})
        unknown = f"{elsewhere(strangers)} " if strangers else ""
        ours = [(cell, trial) for cell, trial in trials if cell.subject.name not in strangers]
        if not ours:
            return skipped(f"{unknown}Between the parts used here: {evidence}")
        cell, trial = ours[0]
        splits = {trial.trial.clean for _, trial in ours}
        example = f"{cell.dataset.card.name}, trial {trial.trial.seed}: {trial.before.facts['leakage']}"
        return clear(f"{unknown}Checked in {counted(len(splits), 'split')}, for example {example}")

    def ask(self, results: Results, explanation: str | None) -> Trap:
        said = [subject.data.split.explain for subject in results.prepared.plan.subjects]
        return super().ask(results, explanation or next(filter(None, said), None))


def _kept(cell: CellResults, trial: Measured) -> bool:
    """Whether near-identical cases were kept; rows that chance makes equal in a coarse table do not count."""
    said = str(trial.before.facts["leakage"])
    return cell.subject.data.split.near_duplicates == "report" and "were kept" in said and "chance alone" not in said

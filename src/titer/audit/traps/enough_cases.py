"""Are there enough cases to judge the limits of the plan by?"""

from __future__ import annotations

from functools import cache
from typing import ClassVar

from titer.audit.findings._words import counted, where
from titer.audit.report.schema import Metrics
from titer.audit.results import CellResults, Results
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung


class EnoughCases(Check):
    """At every main limit stand at least 50 distinct cases, and no rule's line lies within its number's 95% interval.

    The number needed for a rule is n ((p - end) / (p - line))^2, with p the number, n its cases and `end` the end of
    its interval towards the line: intervals shrink with the root of n. Rules about an end of the interval (`lower bound
    of`) are not asked the second question. Asked of plans with rules only: without one nothing is judged.
    """

    name: ClassVar[str] = "enough_cases"
    title: ClassVar[str] = "Enough cases to judge the limits"
    question: ClassVar[str] = (
        "Do 50 cases or more stand at every main limit, and does every limit of the plan lie outside its interval?"
    )
    meaning: ClassVar[str] = (
        "Another sample of as many cases could well decide otherwise, so a limit that held may not hold."
    )
    remedy: ClassVar[str] = (
        "Examine more cases (data.cases, more data), as many as the evidence says, or state the rule about the lower "
        "or upper bound of the interval."
    )
    place: ClassVar[int] = 18
    clean: ClassVar[bool] = True

    def look(self, results: Results) -> Seen:
        from titer.audit.assemble.cards import threat_names
        from titer.audit.assemble.curves import curves
        from titer.audit.assemble.metrics import metrics
        from titer.audit.assemble.rules import FEWEST, FailIf, candidates, few, needed, undecided

        plan = results.prepared.plan
        if not plan.fail_if:
            return skipped("The plan sets no limits.")
        said, touched = [], []
        mains = [cell for cell in results.cells if cell.is_main]
        small = [cell for cell in mains if few(cell)]
        if small:
            names = {cell.subject.name for cell in small}
            said.append(
                f"Only {counted(few(small[0]) or 0, 'case')} at {where(small[0])}; needed are {FEWEST}"
                f"{f' (so for {len(names)} models)' if len(names) > 1 else ''}."
            )
            touched += [cell for cell in results.cells if cell.subject.name in names]
        drawn = curves(results, threat_names(results))

        @cache
        def measured(cell: CellResults) -> Metrics:
            return metrics(cell, plan.resamples)

        judged = 0
        for text in plan.fail_if:
            rule = FailIf.read(text)
            found = candidates(rule, results, measured, drawn)
            judged += len(found)
            open_ = [each for each in found if undecided(rule, each)]
            if open_:
                worst = max(open_, key=lambda each: each.measure.n * -abs(each.measure.value - rule.number))
                wanted = needed(rule, worst)
                size = counted(worst.measure.n, "answer")
                more = f"about {wanted:,} would do if it stayed so" if wanted else "no number of cases would do"
                said.append(f"'{text}' lies within the interval of {worst.words} ({size}; {more}).")
                touched += [cell for each in open_ for cell in each.cells]
        if said:
            return sprung(" ".join(said), touched)
        return clear(
            f"At least {FEWEST} cases at every main limit; {counted(judged, 'number')} of "
            f"{counted(len(plan.fail_if), 'rule')} lie clear of their lines."
        )

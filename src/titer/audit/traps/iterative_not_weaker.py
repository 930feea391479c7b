"""Are attacks of many steps at least as strong as attacks of one?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.results import Results
from titer.audit.traps._cells import Pair, attacks_only, by_radius, judge, search_of
from titer.audit.traps.check import Check, Seen, skipped
from titer.models.model import allows


class IterativeNotWeaker(Check):
    """No single-step attack beats an iterative one that sees at least as much.

    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420), section 3.1.
    """

    name: ClassVar[str] = "iterative_not_weaker"
    title: ClassVar[str] = "Many steps beat one"
    question: ClassVar[str] = "Is every iterative attack at least as strong as every single-step attack?"
    meaning: ClassVar[str] = (
        "Small steps lead nowhere although one large step succeeds: the gradient misleads (masked or noisy), or the "
        "iterative attack is set up badly. Its robust accuracy is overstated."
    )
    remedy: ClassVar[str] = "Lower the step length, raise the number of steps and restarts, or use the margin loss."
    place: ClassVar[int] = 3

    def look(self, results: Results) -> Seen:
        pairs = []
        for group in by_radius(results):
            attacks = attacks_only(group)
            single = [cell for cell in attacks if not search_of(cell).iterative]
            pairs += [
                Pair.of(cell, weak)
                for cell in attacks
                for weak in single
                if search_of(cell).iterative and allows(search_of(cell).needs, search_of(weak).needs)
            ]
        return judge(pairs) if pairs else skipped("No threat has both an iterative and a single-step attack.")

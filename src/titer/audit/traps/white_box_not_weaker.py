"""Does an attacker who sees gradients do at least as well as one who sees answers only?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.results import Results
from titer.audit.traps._cells import Pair, by_change, judge, one_by_one, questions, search_of, strongest
from titer.audit.traps.check import Check, Seen, skipped


class WhiteBoxNotWeaker(Check):
    """The strongest attack with gradients leaves no more cases standing than any attack with scores or labels.

    Attackers of several threats are compared where only their knowledge and their number of questions differ; one with
    fewer questions than the other is not held against it. Transferred attacks, which see nothing, belong here too.
    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420), section 3.1.
    """

    name: ClassVar[str] = "white_box_not_weaker"
    title: ClassVar[str] = "White box beats black box"
    question: ClassVar[str] = "Is no attack without gradients stronger than the strongest one with gradients?"
    meaning: ClassVar[str] = (
        "Gradients hide what the answers reveal (obfuscated gradients), so all results with gradients overstate "
        "robustness."
    )
    remedy: ClassVar[str] = (
        "Attack around the obstacle: remove or smooth the part that breaks gradients, or rely on scores."
    )
    place: ClassVar[int] = 4

    def look(self, results: Results) -> Seen:
        pairs = []
        for group in by_change(results):
            attacks = one_by_one(group)
            white = [cell for cell in attacks if search_of(cell).needs == "gradients"]
            for cell in attacks:
                able = [each for each in white if questions(each) >= questions(cell)]
                if able and search_of(cell).needs != "gradients":
                    pairs.append(Pair.of(strongest(able), cell))
        if pairs:
            return judge(pairs)
        return skipped("No threat has both an attack with gradients and one without; no attack was transferred.")

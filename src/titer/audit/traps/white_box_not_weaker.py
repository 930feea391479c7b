"""Does an attacker who sees gradients do at least as well as one who sees answers only?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.results import Results
from titer.audit.traps._cells import Pair, by_radius, judge, one_by_one, search_of, strongest
from titer.audit.traps.check import Check, Seen, skipped


class WhiteBoxNotWeaker(Check):
    """The strongest attack with gradients leaves no more cases standing than any attack with scores or labels.

    Transferred attacks belong here too; the audit runs none yet.
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
        for group in by_radius(results):
            attacks = one_by_one(group)
            white = [cell for cell in attacks if search_of(cell).needs == "gradients"]
            black = [cell for cell in attacks if search_of(cell).needs != "gradients"]
            if white:
                pairs += [Pair.of(strongest(white), cell) for cell in black]
        if pairs:
            return judge(pairs)
        return skipped("No threat has both an attack with gradients and one without; no attack was transferred.")

"""Does a larger limit never help the model?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.results import Results
from titer.audit.traps._cells import Pair, attacks_only, by_attack, judge, standing
from titer.audit.traps.check import Check, Seen, skipped


class RadiusMonotone(Check):
    """Robust accuracy is non-increasing in radius, attack by attack, from doing nothing on.

    Whatever a small limit allows, a larger one allows too. Each radius is compared with the lowest robust accuracy at
    any smaller one. Controls are left out: noise may fall on either side.
    Source: Carlini et al. 2019 (arXiv 1902.06705), section 4.
    """

    name: ClassVar[str] = "radius_monotone"
    title: ClassVar[str] = "Larger limits hurt more"
    question: ClassVar[str] = "Does robust accuracy never rise when the limit grows?"
    meaning: ClassVar[str] = (
        "The search missed at the larger limit what it found at the smaller one; robust accuracy there is overstated."
    )
    remedy: ClassVar[str] = (
        "Raise the steps and restarts of the attack, or lower its step length; a single-step attack that overshoots "
        "should be read at small limits only."
    )
    place: ClassVar[int] = 1

    def look(self, results: Results) -> Seen:
        pairs = []
        for series in by_attack(results):
            lowest = None
            for cell in attacks_only(series):
                pairs.append(Pair.of(cell, lowest))
                if lowest is None or standing(cell).sum() < standing(lowest).sum():
                    lowest = cell
        return judge(pairs) if pairs else skipped("No attack was run.")

"""Does random noise of the same size cost far less than the attack?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.findings._words import counted, where
from titer.audit.results import CellResults, Results
from titer.audit.traps._cells import allowed, attacks_only, by_radius, covers, standing, standing_clean, strongest
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung

SHARE = 0.25


class NoiseSmall(Check):
    """A random change of the same size costs less than a quarter of what the strongest attack costs.

    Where noise costs no more than one case or 1% of all, nothing is asked of the attack. Radii that cover the whole
    valid range are left out: noise of that size leaves nothing of the case.
    Source: the control of Madry et al. 2018 (arXiv 1706.06083); the quarter is a convention of this project.
    """

    name: ClassVar[str] = "noise_small"
    title: ClassVar[str] = "Noise hurts far less"
    question: ClassVar[str] = (
        "Does random noise of the same size cost less than a quarter of the strongest attack's drop?"
    )
    meaning: ClassVar[str] = (
        "The model fails on any disturbance of this size, or the attack is hardly better than chance; either way the "
        "result says little about an adversary."
    )
    remedy: ClassVar[str] = "Lower the limit, strengthen the attack, or report the model as not robust to noise."
    place: ClassVar[int] = 6

    def look(self, results: Results) -> Seen:
        found = [
            (noise, strongest(attacks))
            for group in by_radius(results)
            if (attacks := attacks_only(group)) and not covers(group[0])
            for noise in group
            if noise.control
        ]
        if not found:
            return skipped("The plan runs no random control beside an attack.")
        bad = [pair for pair in found if _bad(*pair)]
        noise, attack = max(bad or found, key=lambda pair: _share(*pair))
        n = len(standing(noise))
        evidence = (
            f"{where(noise)} costs {_drop(noise)} and {attack.attack} {_drop(attack)} of {counted(n, 'case')} "
            f"({allowed(n)} by noise tolerated)"
        )
        rows = counted(len(found), "row")
        if bad:
            return sprung(f"{evidence}; so in {len(bad)} of {rows}.", [cell for pair in bad for cell in pair])
        return clear(f"{evidence}, the largest share in {rows}.")


def _drop(cell: CellResults) -> int:
    """Cases that withstood doing nothing and not this, less those the other way round."""
    return int(standing_clean(cell).sum()) - int(standing(cell).sum())


def _bad(noise: CellResults, attack: CellResults) -> bool:
    lost = _drop(noise)
    return lost > allowed(len(standing(noise))) and lost >= SHARE * _drop(attack)


def _share(noise: CellResults, attack: CellResults) -> float:
    return _drop(noise) / max(_drop(attack), 1)

"""Did the attacks see gradients at all?"""

from __future__ import annotations

from typing import ClassVar

from titer.audit.findings._words import counted, where
from titer.audit.results import CellResults, Results
from titer.audit.traps.check import Check, Seen, clear, skipped, sprung

SHARE = 0.01


class GradientsAlive(Check):
    """On at most 1% of cases did an attack see a gradient that was zero everywhere, or not a number.

    Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420): shattered and vanishing gradients.
    """

    name: ClassVar[str] = "gradients_alive"
    title: ClassVar[str] = "Gradients can be seen"
    question: ClassVar[str] = (
        "Did attacks see a gradient that is zero everywhere, or not a number, on at most 1% of cases?"
    )
    meaning: ClassVar[str] = (
        "The model hides its gradients (saturation, rounding, thresholds inside). Attacks that follow gradients walk "
        "blind there, and robust accuracy is overstated."
    )
    remedy: ClassVar[str] = (
        "Use the margin loss, put a smooth stand-in for the part without gradients, or attack by scores."
    )
    place: ClassVar[int] = 8

    def look(self, results: Results) -> Seen:
        cells = [cell for cell in results.cells if cell.pooled(lambda trial: trial.after["passes"]).any()]
        if not cells:
            return skipped("No attack used gradients.")
        shares = {cell.name: _blind(cell) for cell in cells}
        worst = max(cells, key=lambda cell: max(shares[cell.name]))
        flat, broken = shares[worst.name]
        bad = [cell for cell in cells if max(shares[cell.name]) > SHARE]
        evidence = (
            f"zero everywhere for {100 * flat:.3g}% and no number for {100 * broken:.3g}% of "
            f"{counted(len(worst.pooled(lambda trial: trial.targets)), 'case')} in {where(worst)}"
        )
        if bad:
            return sprung(f"In {len(bad)} of {counted(len(cells), 'cell')} on more than 1%; worst: {evidence}.", bad)
        return clear(f"At most: {evidence}, of {counted(len(cells), 'cell')} with gradients.")


def _blind(cell: CellResults) -> tuple[float, float]:
    """Share of cases with at least one gradient that was zero everywhere, and with one that was no number."""
    flat, broken = cell.pooled(lambda trial: trial.after["flat"]), cell.pooled(lambda trial: trial.after["broken"])
    return float((flat > 0).mean()), float((broken > 0).mean())

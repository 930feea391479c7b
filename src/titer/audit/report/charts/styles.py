"""One look per attack through the whole report: color, mark and dash, so that no reader depends on color."""

from __future__ import annotations

from markupsafe import Markup

from titer.audit.report.charts.svg import element, path
from titer.audit.report.schema import Draft

SERIES = 6
"""Number of distinct looks; a seventh attack starts again with the first."""


def styles(draft: Draft) -> dict[str, str]:
    """The class of each attack, by its place among the attacks; controls and the clean case have their own.

    The same attack looks the same in every figure of a report.
    """
    looks = {"clean": "clean", "worst case": "worst"}
    position = 0
    for card in draft.attacks:
        if card.control:
            looks[card.name] = "control"
        else:
            looks[card.name] = f"s{position % SERIES}"
            position += 1
    return looks


def mark(look: str, x: float, y: float, size: float = 3.4) -> Markup:
    """The mark of a look at a place."""
    shapes: dict[str, list[tuple[float, float]]] = {
        "s1": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "s2": [(0, -1.35), (1.3, 1), (-1.3, 1)],
        "s3": [(0, -1.45), (1.45, 0), (0, 1.45), (-1.45, 0)],
        "s4": [(0, 1.35), (-1.3, -1), (1.3, -1)],
        "s5": [(-1.4, -0.5), (1.4, -0.5), (1.4, 0.5), (-1.4, 0.5)],
    }
    if look in shapes:
        outline = [(x + dx * size * 0.9, y + dy * size * 0.9) for dx, dy in shapes[look]]
        return element("path", class_=f"mark {look}", d=path(outline, closed=True))
    return element("circle", class_=f"mark {look}", cx=x, cy=y, r=size)


def swatch(look: str) -> Markup:
    """A legend's sample of a line with its mark; the words beside it carry the meaning."""
    line = element("path", class_=f"line {look}", d="M1 7L29 7")
    return element("svg", line, mark(look, 15, 7), class_="swatch", viewBox="0 0 30 14", aria_hidden="true")

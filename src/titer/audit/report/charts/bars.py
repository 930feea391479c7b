"""Accuracy before and after each attack as bars with intervals (the form of the literature's Figure 1)."""

from __future__ import annotations

from markupsafe import Markup

from titer.audit.report.charts.scales import Scale, ticks
from titer.audit.report.charts.svg import element, frame, path
from titer.audit.report.schema import Figure1Bar, Figure1Group

WIDTH, HEIGHT = 380.0, 216.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 6.0, 18.0, 30.0


def bar_panel(group: Figure1Group, looks: dict[str, str], *, name: str, title: str) -> Markup:
    """One panel: the conditions of one model.

    Arguments
        group: the model with its bars, clean first.
        looks: the class of each attack, from `styles`.
        name, title: identifier and accessible name.
    """
    y = Scale(0, 1, HEIGHT - BOTTOM, TOP)
    parts: list[Markup] = []
    for value in ticks(0, 1):
        parts.append(element("path", class_="grid", d=path([(LEFT, y(value)), (WIDTH - RIGHT, y(value))])))
        parts.append(element("text", f"{100 * value:.0f}%", class_="tick end", x=LEFT - 6, y=y(value) + 4))
    slot = (WIDTH - LEFT - RIGHT) / len(group.bars)
    for index, bar in enumerate(group.bars):
        parts += _bar(bar, looks.get(bar.condition, "s0"), LEFT + slot * (index + 0.5), min(slot * 0.56, 46.0), slot, y)
    parts.append(element("path", class_="axis", d=path([(LEFT, y(0)), (WIDTH - RIGHT, y(0))])))
    description = "Accuracy per condition: " + ", ".join(
        f"{bar.condition} {100 * bar.accuracy.value:.1f}%" for bar in group.bars
    )
    return frame(*parts, name=name, title=title, description=description, width=WIDTH, height=HEIGHT)


def _bar(bar: Figure1Bar, look: str, x: float, width: float, slot: float, y: Scale) -> list[Markup]:
    value = bar.accuracy.value
    half = width / 2
    parts = [element("rect", class_=f"bar {look}", x=x - half, y=y(value), width=width, height=y(0) - y(value))]
    top = y(value)
    if bar.accuracy.low is not None and bar.accuracy.high is not None:
        low, high = y(bar.accuracy.low), y(bar.accuracy.high)
        top = high
        whisker = (
            path([(x, low), (x, high)]) + path([(x - 5, high), (x + 5, high)]) + path([(x - 5, low), (x + 5, low)])
        )
        parts += [element("path", class_="whisker halo", d=whisker), element("path", class_="whisker", d=whisker)]
    parts.append(element("text", f"{100 * value:.0f}%", class_="value mid", x=x, y=top - 5))
    fits = max(3, int(slot / 6.6))
    shown = bar.condition if len(bar.condition) <= fits else bar.condition[: fits - 1] + "…"
    parts.append(element("text", shown, class_="tick mid", x=x, y=HEIGHT - BOTTOM + 17))
    return parts

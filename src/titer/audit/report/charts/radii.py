"""The staircase of minimal radii: what withstands each limit, with its interval as a band and the median marked."""

from __future__ import annotations

from itertools import pairwise

from markupsafe import Markup

from titer.audit.report.charts.scales import Scale, ticks
from titer.audit.report.charts.svg import element, frame, path
from titer.audit.report.formats import bare
from titer.audit.report.schema import MinimalRadii

WIDTH, HEIGHT = 380.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 40.0


def radius_panel(found: MinimalRadii, *, name: str, title: str) -> Markup:
    """One panel: one model under one threat.

    Arguments
        found: the radii. name, title: identifier and accessible name.
    """
    x = Scale(0, found.high.value, LEFT, WIDTH - RIGHT)
    y = Scale(0, 1, HEIGHT - BOTTOM, TOP)
    parts = [_axes(found, x, y), _band(found, x, y), _stairs(found, x, y), _median(found, x, y)]
    description = (
        f"Share of cases that withstand {found.attack} at each limit up to {found.high.label}. "
        "The numbers are in the table below."
    )
    return frame(*parts, name=name, title=title, description=description, width=WIDTH, height=HEIGHT)


def _axes(found: MinimalRadii, x: Scale, y: Scale) -> Markup:
    parts: list[Markup] = []
    for value in ticks(0, 1):
        parts.append(element("path", class_="grid", d=path([(LEFT, y(value)), (WIDTH - RIGHT, y(value))])))
        parts.append(element("text", f"{100 * value:.0f}%", class_="tick end", x=LEFT - 6, y=y(value) + 4))
    base = HEIGHT - BOTTOM
    parts.append(element("path", class_="axis", d=path([(LEFT, base), (WIDTH - RIGHT, base)])))
    for value in ticks(0, found.high.value, about=4):
        parts.append(element("path", class_="axis", d=path([(x(value), base), (x(value), base + 4)])))
        parts.append(element("text", bare(value, found.high.unit), class_="tick mid", x=x(value), y=base + 17))
    title = f"limit ({found.high.unit})"
    parts.append(element("text", title, class_="tick mid", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 5))
    return Markup("").join(parts)


def _steps(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners of a staircase that keeps each height until the next place."""
    corners = places[:1]
    for (_, height), (across, lower) in pairwise(places):
        corners += [(across, height), (across, lower)]
    return corners


def _band(found: MinimalRadii, x: Scale, y: Scale) -> Markup:
    known = [p for p in found.points if p.measure.low is not None and p.measure.high is not None]
    if len(known) < 2:
        return Markup("")
    upper = _steps([(x(p.limit), y(p.measure.high or 0.0)) for p in known])
    lower = _steps([(x(p.limit), y(p.measure.low or 0.0)) for p in known])
    return element("path", class_="band s0", d=path([*upper, *reversed(lower)], closed=True))


def _stairs(found: MinimalRadii, x: Scale, y: Scale) -> Markup:
    return element("path", class_="line s0", d=path(_steps([(x(p.limit), y(p.measure.value)) for p in found.points])))


def _median(found: MinimalRadii, x: Scale, y: Scale) -> Markup:
    if found.median is None:
        return Markup("")
    place = x(found.median.value)
    line = element("path", class_="line control", d=path([(place, y(0)), (place, y(1))]))
    return line + element("text", "median", class_="tick", x=min(place + 4, WIDTH - RIGHT - 42), y=TOP + 10)

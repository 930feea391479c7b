"""Robustness over growing limits: one line per attack, with its interval as a band."""

from __future__ import annotations

from markupsafe import Markup

from titer.audit.report.charts.scales import Scale, ticks
from titer.audit.report.charts.styles import mark
from titer.audit.report.charts.svg import element, frame, path
from titer.audit.report.formats import bare
from titer.audit.report.schema import Curve, Limit

WIDTH, HEIGHT = 380.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 40.0


def curve_panel(curves: tuple[Curve, ...], looks: dict[str, str], *, name: str, title: str) -> Markup:
    """One panel: the curves of one model on one data set under one threat.

    Arguments
        curves: curves that share a unit of the limit and a measure.
        looks: the class of each attack, from `styles`.
        name, title: identifier and accessible name.
    """
    points = [point for curve in curves for point in curve.points]
    unit = points[0].measure.unit
    top = 1.0 if unit in ("proportion", "score") else 1.08 * max(p.measure.high or p.measure.value for p in points)
    x = Scale(0, max(point.limit.value for point in points) or 1.0, LEFT, WIDTH - RIGHT)
    y = Scale(0, top or 1.0, HEIGHT - BOTTOM, TOP)
    limits = sorted({point.limit.value: point.limit for point in points}.values(), key=lambda limit: limit.value)
    drawn = sorted(curves, key=lambda curve: (curve.envelope, looks.get(curve.attack, "s0") != "control"))
    parts = [_grid(y, unit), _limits(x, limits)]
    parts += [_band(curve, looks, x, y) for curve in drawn]
    parts += [_line(curve, looks, x, y) for curve in drawn]
    measure = curves[0].measure
    names = ", ".join(curve.attack for curve in curves)
    description = f"{measure} against the limit of the attacker, for {names}. The numbers are in the table below."
    return frame(*parts, name=name, title=title, description=description, width=WIDTH, height=HEIGHT)


def _grid(y: Scale, unit: str) -> Markup:
    lines: list[Markup] = []
    for value in ticks(y.low, y.high):
        lines.append(element("path", class_="grid", d=path([(LEFT, y(value)), (WIDTH - RIGHT, y(value))])))
        label = f"{100 * value:.0f}%" if unit == "proportion" else bare(value, "")
        lines.append(element("text", label, class_="tick end", x=LEFT - 6, y=y(value) + 4))
    return Markup("").join(lines)


def _limits(x: Scale, limits: list[Limit]) -> Markup:
    """Ticks at the limits that were measured; labels from the largest down, as many as fit."""
    parts = [element("path", class_="axis", d=path([(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)]))]
    free = WIDTH + 10
    for limit in reversed(limits):
        place, half = x(limit.value), 3.4 * len(limit.label)
        parts.append(element("path", class_="axis", d=path([(place, HEIGHT - BOTTOM), (place, HEIGHT - BOTTOM + 4)])))
        center = min(place, WIDTH - half)
        if center + half + 6 < free:
            parts.append(element("text", limit.label, class_="tick mid", x=center, y=HEIGHT - BOTTOM + 17))
            free = center - half
    title = f"limit ({limits[-1].unit})"
    parts.append(element("text", title, class_="tick mid", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 5))
    return Markup("").join(parts)


def _band(curve: Curve, looks: dict[str, str], x: Scale, y: Scale) -> Markup:
    ends = [(x(p.limit.value), p.measure.low, p.measure.high) for p in curve.points]
    known = [(place, low, high) for place, low, high in ends if low is not None and high is not None]
    if len(known) < 2:
        return Markup("")
    outline = [(place, y(high)) for place, _, high in known] + [(place, y(low)) for place, low, _ in reversed(known)]
    return element("path", class_=f"band {looks.get(curve.attack, 's0')}", d=path(outline, closed=True))


def _line(curve: Curve, looks: dict[str, str], x: Scale, y: Scale) -> Markup:
    look = looks.get(curve.attack, "s0")
    places = [(x(point.limit.value), y(point.measure.value)) for point in curve.points]
    marks = Markup("").join(mark(look, *place) for place in places)
    return element("path", class_=f"line {look}", d=path(places)) + marks

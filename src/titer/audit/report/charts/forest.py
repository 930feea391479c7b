"""Before and after on one line: a filled mark, an open mark, their intervals, and the way between."""

from __future__ import annotations

from markupsafe import Markup

from titer.audit.report.charts.scales import Scale
from titer.audit.report.charts.svg import element, path
from titer.audit.report.schema import Measure

WIDTH, HEIGHT = 220.0, 26.0
EDGE = 7.0


def forest_row(clean: Measure, attacked: Measure) -> Markup:
    """One row of a forest plot over 0 to 1, to stand in a table beside its numbers (hidden from screen readers)."""
    x = Scale(0, 1, EDGE, WIDTH - EDGE)
    middle = HEIGHT / 2
    parts = [element("path", class_="grid", d=path([(x(v), 1), (x(v), HEIGHT - 1)])) for v in (0, 0.25, 0.5, 0.75, 1)]
    parts.append(element("path", class_="way", d=path([(x(clean.value), middle), (x(attacked.value), middle)])))
    for measure, look in ((clean, "clean"), (attacked, "worst")):
        if measure.low is not None and measure.high is not None:
            line = path([(x(measure.low), middle), (x(measure.high), middle)])
            parts.append(element("path", class_=f"reach {look}", d=line))
    parts.append(element("circle", class_="mark clean", cx=x(clean.value), cy=middle, r=4.6))
    parts.append(element("circle", class_="mark worst", cx=x(attacked.value), cy=middle, r=4.6))
    return element("svg", *parts, class_="forest", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", aria_hidden="true")


def forest_axis() -> Markup:
    """The scale above the rows."""
    x = Scale(0, 1, EDGE, WIDTH - EDGE)
    labels = (
        element("text", "0%", class_="tick start", x=0, y=12),
        element("text", "50%", class_="tick mid", x=x(0.5), y=12),
        element("text", "100%", class_="tick end", x=WIDTH, y=12),
    )
    return element("svg", *labels, class_="forest", viewBox=f"0 0 {WIDTH:g} 16", aria_hidden="true")

"""A recorded strip, clean and attacked over each other, and the change below at its own, stated scale."""

from __future__ import annotations

from markupsafe import Markup

from titer.audit.report.charts.scales import Scale, ticks
from titer.audit.report.charts.svg import element, frame, path
from titer.audit.report.formats import significant
from titer.audit.report.schema import SignalItem

WIDTH, LANE, LEFT, RIGHT, TOP, BOTTOM = 820.0, 150.0, 58.0, 8.0, 8.0, 36.0
MOST_CHANNELS = 4
MOST_POINTS = 1200


def strip_chart(item: SignalItem, *, name: str) -> Markup:
    """The first channels of a signal: one lane for the recording, one for the magnified change.

    Arguments
        item: the case.
        name: identifier, unique within the page.
    """
    shown = range(min(len(item.channels), MOST_CHANNELS))
    length = len(item.clean_values[0])
    duration = item.step * max(length - 1, 1)
    height = TOP + BOTTOM + 2 * LANE * len(shown)
    x = Scale(0, duration, LEFT, WIDTH - RIGHT)
    parts: list[Markup] = []
    for row, channel in enumerate(shown):
        clean, attacked = item.clean_values[channel], item.adversarial_values[channel]
        magnified = tuple(value * item.perturbation_scale for value in item.perturbation_values[channel])
        span = _span(clean + attacked)
        start = TOP + 2 * LANE * row
        parts.append(_lane(span, start, x, item.unit, item.channels[channel]))
        parts += [_trace(clean, item, x, span, start, "clean"), _trace(attacked, item, x, span, start, "attacked")]
        reach = max((abs(value) for value in magnified), default=0.0) or 1.0
        factor = f"change × {significant(item.perturbation_scale)}"
        parts.append(_lane((-reach * 1.1, reach * 1.1), start + LANE, x, item.unit, factor))
        parts.append(_trace(magnified, item, x, (-reach * 1.1, reach * 1.1), start + LANE, "change"))
    parts.append(_time(x, height))
    title = f"{item.caption} Clean and attacked"
    factor = significant(item.perturbation_scale)
    description = (
        f"Solid: as recorded. Dashed: as attacked. Below each: the change, magnified {factor} times. "
        f"{length} values per channel over {significant(duration)} s."
    )
    return frame(*parts, name=name, title=title, description=description, width=WIDTH, height=height)


def _span(values: tuple[float, ...]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or 1.0
    return low - room, high + room


def _lane(span: tuple[float, float], start: float, x: Scale, unit: str, label: str) -> Markup:
    y = Scale(*span, start + LANE - 10, start + 14)
    parts: list[Markup] = []
    for value in ticks(*span, about=4):
        parts.append(element("path", class_="grid", d=path([(LEFT, y(value)), (WIDTH - RIGHT, y(value))])))
        parts.append(element("text", significant(value), class_="tick end", x=LEFT - 6, y=y(value) + 4))
    for second in ticks(x.low, x.high, about=10):
        parts.append(element("path", class_="grid", d=path([(x(second), start + 14), (x(second), start + LANE - 10)])))
    parts.append(element("text", f"{label} ({unit})", class_="value start", x=LEFT, y=start + 9))
    return Markup("").join(parts)


def _time(x: Scale, height: float) -> Markup:
    labels = [
        element("text", significant(second), class_="tick mid", x=x(second), y=height - BOTTOM + 14)
        for second in ticks(x.low, x.high, about=10)
    ]
    labels.append(element("text", "time (s)", class_="tick mid", x=(LEFT + WIDTH) / 2, y=height - 4))
    return Markup("").join(labels)


def _trace(
    values: tuple[float, ...], item: SignalItem, x: Scale, span: tuple[float, float], start: float, look: str
) -> Markup:
    y = Scale(*span, start + LANE - 10, start + 14)
    points = [(x(index * item.step), y(value)) for index, value in _thinned(values)]
    return element("path", class_=f"trace {look}", d=path(points))


def _thinned(values: tuple[float, ...]) -> list[tuple[int, float]]:
    """The extremes of equal stretches, in order, so that a long strip keeps its peaks."""
    stretch = -(-2 * len(values) // MOST_POINTS)
    if stretch <= 2:
        return list(enumerate(values))
    kept: list[tuple[int, float]] = []
    for first in range(0, len(values), stretch):
        part = list(enumerate(values[first : first + stretch], start=first))
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return kept

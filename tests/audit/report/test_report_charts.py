"""Charts: places in order, words escaped, looks distinct, long strips thinned without losing a peak."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from report_example import example_draft

from titer.audit.report import schema as s
from titer.audit.report.charts.curves import curve_panel
from titer.audit.report.charts.scales import Scale, ticks
from titer.audit.report.charts.strips import MOST_POINTS, strip_chart
from titer.audit.report.charts.styles import SERIES, styles
from titer.audit.report.charts.svg import element, text

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@given(NUMBERS, st.floats(1e-6, 1e6), st.lists(NUMBERS, min_size=2))
def test_scales_keep_order_and_stay_inside(low: float, width: float, values: list[float]) -> None:
    scale = Scale(low, low + width, 10, 200)
    places = [scale(value) for value in sorted(values)]
    assert all(a <= b for a, b in pairwise(places))
    assert all(10 <= place <= 200 for place in places)


@given(NUMBERS, st.floats(1e-3, 1e6))
def test_ticks_are_few_even_and_inside(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    assert 1 <= len(marks) <= 7
    assert all(low - 1e-6 * width <= mark <= low + width * (1 + 1e-6) for mark in marks)


@given(st.text())
def test_any_text_is_well_formed(words: str) -> None:
    printable = "".join(letter for letter in words if letter.isprintable())
    made = element("text", printable, class_=printable, x=1)
    assert "".join(ET.fromstring(str(made)).itertext()) == printable


@given(st.floats(-1e5, 1e5, allow_nan=False))
def test_coordinates_are_short_and_close(value: float) -> None:
    shown = text(value)
    assert len(shown) <= 10
    assert abs(float(shown) - value) <= 0.005 + 1e-9


def test_each_attack_has_its_own_look_and_controls_share_theirs() -> None:
    looks = styles(example_draft())
    attacks = [looks[name] for name in ("FGSM", "PGD", "JSMA")]
    assert len(set(attacks)) == 3
    assert looks["noise"] == "control"
    assert len({f"s{i}" for i in range(SERIES)}) == SERIES


def test_one_point_is_enough_for_a_curve() -> None:
    curve = example_draft().curves[0]
    lone = curve.model_copy(update={"points": curve.points[1:2]})
    ET.fromstring(str(curve_panel((lone,), styles(example_draft()), name="c", title="one point")))


def strip(values: tuple[float, ...]) -> s.SignalItem:
    item = next(item for item in example_draft().gallery if isinstance(item, s.SignalItem))
    update = {"clean_values": (values,), "adversarial_values": (values,), "perturbation_values": (values,)}
    return item.model_copy(update=update)


def test_a_long_strip_keeps_its_peak_and_stays_small() -> None:
    values = [0.0] * 200_000
    values[123_457] = 9.0
    chart = str(strip_chart(strip(tuple(values)), name="strip"))
    drawn = next(e.attrib["d"] for e in ET.fromstring(chart).iter() if e.attrib.get("class") == "trace clean")
    heights = [float(point.split()[1]) for point in drawn.replace("M", "L").split("L")[1:]]
    assert len(heights) <= MOST_POINTS
    assert min(heights) < 40 < max(heights)


def test_a_flat_strip_draws() -> None:
    ET.fromstring(str(strip_chart(strip((0.0, 0.0, 0.0)), name="strip")))


def test_a_single_value_draws() -> None:
    ET.fromstring(str(strip_chart(strip((0.5,)), name="strip")))

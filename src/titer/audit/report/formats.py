"""Numbers as people read them: one way for the summary, the tables and the charts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from titer.audit.report.schema import Limit, Measure

MINUS = "\N{MINUS SIGN}"


def number(value: float, unit: str) -> str:
    """A value in its unit, as text without the interval.

    >>> number(0.6125, "proportion"), number(-51.04, "points"), number(0.8712, "score")
    ('61.3%', '−51.0 points', '0.871')
    >>> number(66.9, "per thousand"), number(1.25, "per thousand")
    ('67', '1.2')
    >>> number(2500, "count"), number(1.5, "count"), number(0.0123456, "mV")
    ('2,500', '1.5', '0.0123 mV')
    """
    if unit == "proportion":
        return f"{_fixed(100 * value, 1)}%"
    if unit == "points":
        return f"{_fixed(value, 1)} points"
    if unit == "score":
        return _fixed(value, 3)
    if unit == "per thousand":
        return _fixed(value, 0 if value == 0 or abs(value) >= 9.95 else 1)
    if unit == "count":
        return _fixed(value, 0) if value == round(value) else _fixed(value, 1)
    return f"{significant(value)} {unit}"


def bare(value: float, unit: str) -> str:
    """The same without the name of the unit, for table cells whose column names it.

    >>> bare(-51.04, "points"), bare(0.0123456, "mV"), bare(0.6125, "proportion")
    ('−51.0', '0.0123', '61.3%')
    """
    text = number(value, unit)
    suffix = f" {unit}"
    return text.removesuffix(suffix)


def interval(measure: Measure) -> str:
    """The ends of the interval without the unit, or nothing where there is none.

    >>> interval(Measure(value=0.5, low=0.404, high=0.596, n=100, method="Wilson"))
    '40.4 to 59.6'
    """
    if measure.low is None or measure.high is None:
        return ""
    return ends(measure.low, measure.high, measure.unit)


def ends(low: float, high: float, unit: str) -> str:
    """Two ends of an interval; the percent sign stands once, at the value.

    >>> ends(-3.14159, 2.0, "points")
    '−3.1 to 2.0'
    """
    return " to ".join(bare(end, unit).removesuffix("%") for end in (low, high))


def p_text(p: float) -> str:
    """A p value as journals print it.

    >>> p_text(0.00002), p_text(0.0625), p_text(0.71)
    ('p < 0.001', 'p = 0.0625', 'p = 0.71')
    """
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3g}" if p < 0.1 else f"p = {p:.2f}"


def limit_text(limit: Limit) -> str:
    """A limit with its unit where the label names none.

    >>> limit_text(Limit(value=4 / 255, unit="grey level (0-1)", label="4/255"))
    '4/255 of the gray scale'
    >>> limit_text(Limit(value=2, unit="edited words", label="2 words"))
    '2 words'
    """
    return limit.label if re.search(r"[^\W\d]", limit.label) else f"{limit.label} {spoken(limit.unit)}"


def spoken(unit: str) -> str:
    """A unit as it is read behind a number; a range in brackets belongs into tables.

    >>> spoken("grey level (0-1)"), spoken("mV"), spoken("intensity (0 to 1)")
    ('of the gray scale', 'mV', 'of the intensity range')
    """
    match = re.fullmatch(r"(.+?) \(0(?:-| to )1\)", unit)
    if match is None:
        return unit
    return "of the gray scale" if re.match("gr[ae]y", match[1]) else f"of the {match[1]} range"


def joined(parts: Iterable[str]) -> str:
    """Notes as sentences: each begins with a capital and ends with a full stop.

    >>> joined(["probabilities were turned into logits", "Read from x."])
    'Probabilities were turned into logits. Read from x.'
    """
    kept = [part.strip() for part in parts if part.strip()]
    return " ".join(part[0].upper() + part[1:] + ("" if part[-1] in ".!?" else ".") for part in kept)


def significant(value: float, digits: int = 3) -> str:
    """A number with three significant digits, without exponent where that stays short.

    >>> significant(12345.6), significant(0.5), significant(1.0), significant(0.00001234), significant(-2.5)
    ('12,346', '0.5', '1', '1.23e-05', '−2.5')
    """
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return _fixed(value, 0)
    return f"{value:.{digits}g}".replace("-", MINUS, 1) if value < 0 else f"{value:.{digits}g}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value + 0.0:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)

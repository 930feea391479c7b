"""Reading limits as clinicians and engineers write them: 4/255, 0.05 mV, 2 %."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from titer.cases.space import Space
from titer.errors import ThreatError

_FORM = re.compile(
    r"^\s*(?P<top>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*(?:/\s*(?P<bottom>\d+(?:\.\d*)?))?\s*(?P<unit>.*?)\s*$"
)


@dataclass(frozen=True)
class Radius:
    """A limit as a number, with the words it was written in and its unit.

    >>> read_limit("4/255", Space("image", (1, 8, 8), "grey level (0-1)"), counted=False).label
    '4/255'
    """

    value: float
    label: str
    unit: str


def read_limit(raw: Any, space: Space, *, counted: bool, unit: str | None = None, places: int | None = None) -> Radius:
    """A limit in the unit of the space, or a count of values or words (a share in % is rounded to whole values).

    Arguments
        raw: number or text. counted: whether the change counts values (L0, words) instead of measuring them.
        unit: that of the change, where it is not that of the space (degrees, pixels, leads).
        places: for counts, how many there are in one case; all its values if left out.

    >>> read_limit("15 degrees", Space("image", (1, 8, 8), "grey level (0-1)"), counted=False, unit="degrees").value
    15.0
    """
    text = f"{raw:g}" if isinstance(raw, (int, float)) and not isinstance(raw, bool) else str(raw)
    match = _FORM.match(text)
    if match is None or (match["bottom"] is not None and float(match["bottom"]) == 0):
        raise ThreatError("a limit such as 4/255, '0.05 mV' or '2 %'", repr(raw), "correct it in 'limits'")
    value = float(match["top"]) / float(match["bottom"] or 1)
    if value <= 0:
        raise ThreatError("a limit above 0", repr(raw), "leave it out: answers without an attack are always measured")
    written = match["unit"]
    if counted:
        plain = "words" if space.kind == "tokens" else "features" if space.kind == "table" else "values"
        noun = plain if unit in (None, "values") else str(unit)
        if written == "%":
            whole = space.size if places is None else places
            return Radius(float(max(1, round(value / 100 * whole))), f"{match['top']} %", noun)
        if written not in ("", noun, noun[:-1]) or value != int(value):
            raise ThreatError(f"a whole number of {noun} or a share in %", repr(raw), "correct it in 'limits'")
        return Radius(value, text.split()[0], noun)
    if space.kind == "tokens":
        if written not in ("", "embedding"):
            raise ThreatError("a length in the embedding, without unit", repr(raw), "correct it in 'limits'")
        return Radius(value, text.split()[0], "embedding")
    unit = space.radius_unit if unit is None else unit
    if written == "%" and unit.startswith("of "):
        return Radius(value / 100, text.strip(), unit)
    if written and written.casefold() != unit.casefold():
        raise ThreatError(f"a limit in {unit}", repr(raw), "convert it, or leave the unit out")
    label = text[: len(text) - len(written)].strip() if written else text
    return Radius(value, label, unit)

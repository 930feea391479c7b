"""What every statistical result has in common: it prints itself and it turns into plain types."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeAlias

import numpy as np

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


class Result:
    """Base of all results. Subclasses are frozen dataclasses that define `__str__`."""

    def to_dict(self) -> dict[str, Json]:
        """The fields as plain types for JSON; a number that is not finite becomes null."""
        if not dataclasses.is_dataclass(self):
            raise TypeError(f"{type(self).__name__} must be a dataclass")
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _plain(value: Any) -> Json:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, np.generic):
        return _plain(value.item())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    raise TypeError(f"{type(value).__name__} has no plain form")


def number(value: float, digits: int = 4) -> str:
    """A number to so many significant digits, without exponent for the sizes reports show.

    >>> number(0.0123456), number(92.5), number(float("nan"))
    ('0.01235', '92.5', 'undefined')
    """
    if math.isnan(value):
        return "undefined"
    return f"{value:.{digits}g}"


def p_value(p: float) -> str:
    """A p-value as it stands in a sentence.

    >>> p_value(0.0312), p_value(2.4e-7), p_value(float("nan"))
    ('p = 0.0312', 'p < 0.0001', 'p undefined')
    """
    if math.isnan(p):
        return "p undefined"
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.3g}"


def interval(low: float, high: float, confidence: float) -> str:
    """An interval as it stands in a sentence.

    >>> interval(0.1, 0.25, 0.95)
    '95 % CI 0.1 to 0.25'
    """
    return f"{100 * confidence:g} % CI {number(low)} to {number(high)}"

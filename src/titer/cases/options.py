"""Options that a plan gives to data sets and readers: unknown names and wrong values are refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from titer.errors import PlanError, did_you_mean


def refuse_unknown(unknown: Mapping[str, Any], method: Callable[..., Any], others: Iterable[str] = ()) -> None:
    """Refuse options that a method does not name, with the nearest name that it does.

    Arguments
        unknown: options left over. method: whose keyword arguments are the known options.
        others: further known names.
    """
    if not unknown:
        return
    parameters = inspect.signature(method).parameters.values()
    known = sorted({p.name for p in parameters if p.kind is p.KEYWORD_ONLY} | set(others))
    name = next(iter(unknown))
    hint = did_you_mean(name, known)
    raise PlanError("a known option of the data", repr(name), f"{hint}known: {', '.join(known) or 'none'}")


def whole(value: Any, name: str, low: int, high: int) -> int:
    """A whole number within a range.

    >>> whole(64, "size", 8, 1024)
    64
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise PlanError(f"a whole number of {low} to {high} for {name!r}", repr(value), f"correct {name!r}")
    return value


def one_of(value: Any, name: str, allowed: Iterable[str]) -> str:
    """One of some words."""
    words = list(allowed)
    if value not in words:
        hint = did_you_mean(str(value), words)
        raise PlanError(f"one of {', '.join(words)} for {name!r}", repr(value), f"{hint}correct {name!r}")
    return str(value)


def number(value: Any, name: str, low: float, high: float) -> float:
    """A number within a range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise PlanError(f"a number of {low:g} to {high:g} for {name!r}", repr(value), f"correct {name!r}")
    return float(value)


def words(value: Any, name: str) -> tuple[str, ...]:
    """A list of words; a single word stands for a list of one.

    >>> words("pneumonia", "positive")
    ('pneumonia',)
    """
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(each, (str, int)) for each in value):
        raise PlanError(f"a list of words for {name!r}", repr(value), f"correct {name!r}")
    return tuple(map(str, value))


def height_width(value: Any, name: str = "size") -> tuple[int, int] | None:
    """Pixels down and across: one number for both, two, or none.

    >>> height_width(64), height_width([48, 64]), height_width(None)
    ((64, 64), (48, 64), None)
    """
    if value is None:
        return None
    both = value if isinstance(value, (list, tuple)) else (value, value)
    if len(both) != 2:
        raise PlanError(f"one or two whole numbers for {name!r}", repr(value), "give pixels down and across")
    return whole(both[0], name, 4, 4096), whole(both[1], name, 4, 4096)

"""What pydantic finds wrong, in the words of `titer.errors`: expected, got, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from titer.errors import TiterError, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel

_KINDS = {
    "string": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list",
    "tuple": "a list", "dict": "a mapping of settings", "model": "a mapping of settings", "mapping": "a mapping",
    "finite": "a finite number", "path": "a path", "none": "nothing",
}  # fmt: skip


class Refused(ValueError):  # noqa: N818 - what carries an error, not one of the tree
    """A refusal on its way through pydantic, which passes on nothing but a `ValueError`."""

    def __init__(self, error: TiterError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def passing() -> Iterator[None]:
    """Inside, refusals of Titer's become such that a validator may raise."""
    try:
        yield
    except TiterError as error:
        raise Refused(error) from error


def place_of(fault: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a fault stands, without the words by which pydantic names the branches of a union."""
    return tuple(part for part in fault["loc"] if not _is_branch(part))


def worst(faults: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The fault to speak of: an unknown key first; with it what the other branches of a union say of the same place."""
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    return [first, *(fault for fault in faults if fault is not first and place_of(fault) == place_of(first))]


def expectation(faults: Sequence[Mapping[str, Any]]) -> str:
    """What should have stood at a place.

    >>> expectation([{"type": "int_parsing", "loc": ("seeds",), "input": "x", "msg": ""}])
    'a whole number'
    >>> expectation([{"type": "greater_than_equal", "ctx": {"ge": 2}, "loc": (), "input": 1, "msg": ""}])
    'a number of at least 2'
    """
    told = list(dict.fromkeys(map(_one, faults)))
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} or {told[-1]}"


def field_at(model: type[BaseModel], place: Sequence[Any]) -> Any:
    """The declared field at a place of nested models, or None; numbers of list entries are passed over."""
    found = None
    inner: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, str):
            found = None if inner is None else inner.model_fields.get(part)
            inner = None if found is None else model_in(found.annotation)
    return found


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds, however wrapped."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = model_in(part)
        if found is not None:
            return found
    return None


def hint_for(key: object, known: Sequence[str]) -> str:
    """What to do about an unknown key."""
    return (did_you_mean(str(key), known) or "remove it; ") + f"known here: {', '.join(known)}"


def _one(fault: Mapping[str, Any]) -> str:
    kind, facts = str(fault["type"]), fault.get("ctx", {})
    bounds = {"greater_than": ("gt", "above"), "greater_than_equal": ("ge", "of at least"),
              "less_than": ("lt", "below"), "less_than_equal": ("le", "of at most")}  # fmt: skip
    if kind in bounds:
        name, words = bounds[kind]
        return f"a number {words} {facts[name]:g}"
    if kind == "literal_error":
        return f"one of {facts['expected']}".replace("'", "")
    if kind in ("too_short", "too_long"):
        limit = facts.get("min_length", facts.get("max_length"))
        return f"a list of {'at least' if kind == 'too_short' else 'at most'} {limit}"
    if kind.startswith("string_too"):
        return "a text that is not empty" if "short" in kind else "a shorter text"
    return _KINDS.get(kind.split("_", maxsplit=1)[0], "another value")


def _is_branch(part: Any) -> bool:
    return isinstance(part, str) and (
        part in ("str", "int", "float", "bool", "constrained-str") or part.endswith("]") or part.startswith("function-")
    )

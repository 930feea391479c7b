"""How long each stage of one call of the guard takes, and who makes it.

The call under way is kept per thread (or task), so that the routines on its way need not pass it on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

STAGES = ("read", "fingerprint", "lookup", "prepare", "detectors", "model", "decision")
"""In the order of work. Strict parsing is part of `fingerprint`: both happen in one pass over the bytes."""


@dataclass
class Call:
    """One call of the guard.

    Arguments
        caller: who asks, as the guard was told. seconds: spent in each stage so far.
    """

    caller: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


def begin(caller: str = "") -> None:
    """A new call begins; what was measured before is over."""
    _CALL.set(Call(caller))


def under_way() -> Call:
    """The call under way, or an empty one."""
    return _CALL.get() or Call()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Measure a stage: as a context, or as a decorator of a function.

    >>> begin()
    >>> with stage("lookup"):
    ...     pass
    >>> list(under_way().seconds)
    ['lookup']
    """
    call = _CALL.get()
    start = time.perf_counter()
    try:
        yield
    finally:
        if call is not None:
            call.seconds[name] = call.seconds.get(name, 0.0) + time.perf_counter() - start

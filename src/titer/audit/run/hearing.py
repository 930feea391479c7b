"""How a running job says how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Sink = Callable[[float, float], None]

_INTERVAL = 0.2
_sink: ContextVar[Sink | None] = ContextVar("titer_progress", default=None)


def progress(done: float, total: float) -> None:
    """Says that `done` of `total` parts of the running job are done; outside a job nothing happens.

    It may be called often: at most five messages a second leave the worker. It has no part in the result.

    >>> progress(3, 10)
    """
    sink = _sink.get()
    if sink is not None:
        sink(done, total)


@contextmanager
def heard_by(sink: Sink | None) -> Iterator[None]:
    """Sends what `progress` is told to the sink, at most five times a second."""
    last = 0.0

    def sparing(done: float, total: float) -> None:
        nonlocal last
        now = time.monotonic()
        if sink is not None and now - last >= _INTERVAL:
            last = now
            sink(float(done), float(total))

    token = _sink.set(sparing)
    try:
        yield
    finally:
        _sink.reset(token)

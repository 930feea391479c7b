"""Those who are told, each on its own: one that fails changes no answer, and is counted and logged."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence

from titer.errors import ProvenanceError
from titer.provenance.guard.trail.codes import known
from titer.provenance.guard.trail.event import Event

_LOG = logging.getLogger(__name__)

Listener = Callable[[Event], None]
"""Is called after the leaf is durable, in the thread that answers: it should be quick."""


class Listeners:
    """Tells all of several listeners.

    Arguments
        listeners: told in this order.

    >>> Listeners([]).failed
    Counter()
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._lock = threading.Lock()
        self._failed: Counter[str] = Counter()

    @property
    def failed(self) -> Counter[str]:
        """How often each kind of listener failed."""
        with self._lock:
            return Counter(self._failed)

    def __call__(self, make: Callable[[], Event]) -> None:
        """Tell all, whatever any of them does; the event is only made where somebody listens."""
        if not self._listeners:
            return
        try:
            event = make()
        except Exception as error:
            self._fail("event", error)
            return
        for each in self._listeners:
            try:
                each(event)
            except Exception as error:
                self._fail(getattr(each, "__name__", type(each).__name__), error)

    def _fail(self, name: str, error: Exception) -> None:
        with self._lock:
            self._failed[name] += 1
        # Without the exception's words: they may hold what the listener was given.
        code = known([error.code])[0] if isinstance(error, ProvenanceError) else "other"
        _LOG.error("a listener failed: %s (%s)", code, type(error).__name__)

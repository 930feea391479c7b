"""One flush in the thread that answers, whatever the number of receivers: events wait in a file, another thread tells.

What a killed process had not told yet is told when the spool is opened again; what it was just telling may be told
twice. A listener behind the spool that fails is counted, and holds up none of the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from titer.provenance.guard.trail.event import Event
from titer.provenance.guard.trail.listeners import Listener, Listeners
from titer.provenance.guard.trail.outbox import Outbox

_BATCH = 64


class Spool:
    """A listener that keeps events for others; use its `outbox` as any other queue.

    Arguments
        path: of its file. listeners: told in this order, each event after the one before.
    """

    def __init__(self, path: Path, listeners: Sequence[Listener]) -> None:
        self.listeners = Listeners(listeners)
        self.outbox = Outbox(path, self._tell, batch=_BATCH)

    def __call__(self, event: Event) -> None:
        """Keep an event; GuardError where it cannot be kept."""
        self.outbox.put(packed(event))

    def _tell(self, messages: Sequence[bytes]) -> None:
        for each in messages:
            self.listeners(partial(unpacked, each))


def packed(event: Event) -> bytes:
    """An event as bytes."""
    return json.dumps(asdict(event), separators=(",", ":")).encode()


def unpacked(raw: bytes) -> Event:
    """The event in bytes, checked as any other."""
    told = json.loads(raw)
    return Event(**{**told, "reasons": tuple(told["reasons"]), "refs": tuple(told["refs"])})

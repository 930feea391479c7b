"""Limits before anything is parsed: how large an object may be, and how often one caller may ask."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from titer.errors import GuardError, PlanError

_CALLERS = 10_000


class Limits:
    """A bucket of requests per caller, and a bound on bytes.

    Arguments
        object_bytes: of one object, held in memory while it is checked.
        rate: requests per second that a caller may go on making. burst: how many at once.
        clock: seconds, never going back.

    Source: token bucket, J. Turner, IEEE Communications Magazine 24 (1986).

    >>> limits = Limits(rate=1, burst=2, clock=lambda: 0.0)
    >>> [limits.allows("a"), limits.allows("a"), limits.allows("a"), limits.allows("b")]
    [True, True, False, True]
    """

    def __init__(
        self,
        *,
        object_bytes: int = 1 << 30,
        rate: float = 100.0,
        burst: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if object_bytes < 1 or burst < 1 or not rate > 0:
            raise PlanError("limits above 0", f"{object_bytes}, {rate} and {burst}", "raise them")
        self.object_bytes, self.rate, self.burst = object_bytes, rate, burst
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, caller: str) -> bool:
        """Whether a caller may ask now; counts the request if so."""
        with self._lock:
            now = self._clock()
            left, then = self._left.pop(caller, (float(self.burst), now))
            left = min(self.burst, left + (now - then) * self.rate)
            allowed = left >= 1
            self._left[caller] = (left - allowed, now)
            if len(self._left) > _CALLERS:
                # The one that has not asked for longest has the fullest bucket.
                self._left.popitem(last=False)
        return allowed

    def read(
        self, source: bytes | bytearray | memoryview | Path | BinaryIO | Mapping[str, bytes]
    ) -> bytes | dict[str, bytes]:
        """The object's bytes, read once: what is checked is what is used. GuardError where there are too many."""
        if isinstance(source, Mapping):
            files = {name: bytes(raw) for name, raw in source.items()}
            self._bound(sum(map(len, files.values())))
            return files
        if isinstance(source, (bytes, bytearray, memoryview)):
            raw = bytes(source)
        elif isinstance(source, Path):
            with source.open("rb") as stream:
                raw = stream.read(self.object_bytes + 1)
        elif hasattr(source, "read"):
            raw = source.read(self.object_bytes + 1)
        else:
            raise PlanError("bytes, a Path, an open file or files by name", type(source).__name__, "encode it first")
        self._bound(len(raw))
        return raw

    def _bound(self, size: int) -> None:
        if size > self.object_bytes:
            raise GuardError(
                f"an object of at most {self.object_bytes} bytes",
                "more",
                "raise Limits.object_bytes if such objects are expected",
                code="limit.object_bytes",
            )

"""Stopping on request."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable() -> Iterator[None]:
    """A request to end (SIGTERM) acts like Ctrl-C, so that workers are ended and files are left whole.

    Only where nobody else handles it, and only in the main thread, since Python hears signals nowhere else.
    """
    mine = _in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if mine:
        signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Requests to stop wait until the end of this context: for steps that must not be left half done."""
    if not _in_main_thread():
        yield
        return
    heard: list[int] = []
    present = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in present.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda caught, frame: heard.append(caught))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for caught in heard:
        signal.raise_signal(caught)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt

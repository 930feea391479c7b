"""What a local worker process does: prepare itself, do jobs, end when its parent ends."""

from __future__ import annotations

import json
import os
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from titer.audit.run import files, threads
from titer.audit.run.perform import Outcome, perform
from titer.errors import StoreError

# A pipe takes up to 4096 bytes in one piece, so that workers can share it without a lock that a killed one would keep.
_PIECE = 4000
_news: list[Connection] = []


def prepare(news: Connection) -> None:
    """First act of a worker: leaves Ctrl-C to the parent, and ends itself as soon as the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, name="titer-watch", daemon=True).start()
    _news.append(news)


def work(key: str, function: str, settings: str, needed: tuple[str, ...], results: str) -> Outcome | StoreError:
    """Does one job and puts its result in the store itself, so that no result has to pass through the parent.

    Small answers also cannot be cut in two by a kill, which would leave the parent waiting for the rest.
    """
    folder = Path(results)
    try:
        inputs = {name: files.read(folder / name) for name in needed}
    except (OSError, files.Unsound) as error:
        return Outcome(failure=f"a result it needs cannot be read: {error}")
    threads.pin()
    outcome = perform(function, settings, inputs, sink=lambda done, total: _report(key, done, total))
    if outcome.failure is None:
        try:
            files.write(folder / key, outcome.data)
        except StoreError as error:
            return error
    return Outcome(failure=outcome.failure, seconds=outcome.seconds)


def _report(key: str, done: float, total: float) -> None:
    piece = json.dumps([key, done, total]).encode()
    if len(piece) < _PIECE and _news:
        _news[0].send_bytes(piece)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""Checking records in processes of their own.

To check a record's signature takes longer than all else that an append does, and holds up every other thread of Python
meanwhile. So it is done elsewhere: whatever waits goes to the next free process at once, without a timer.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

from titer.errors import LedgerError, RecordError

_AT_ONCE = 64


class Admitted(NamedTuple):
    """What the ledger must know of a leaf: who counts, and the count."""

    capture_key: str
    counter: int


Admit = Callable[[bytes], Admitted]
"""Checks a leaf, its signature included; raises RecordError for one that may not enter."""

Together = Callable[[Sequence[bytes]], list[Admitted]]
"""Checks leaves together, as a batch under one signature."""

Answer = list[Admitted] | RecordError
Then = Callable[[Answer], None]


class Checkers:
    """Processes that check records.

    Arguments
        admit: checks a leaf; must be one that can be pickled.
        processes: how many; one for each core that the sequencer leaves free.
    """

    def __init__(self, admit: Admit, processes: int) -> None:
        self._admit = admit
        self._ready = threading.Condition()
        self._waiting: list[tuple[Sequence[bytes], Together | None, Then]] = []
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"checker {number}", daemon=True) for number in range(processes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, leaves: Sequence[bytes], then: Then, together: Together | None = None) -> None:
        """Check leaves, one by one or `together`, and call `then`, in another thread, with what was found."""
        with self._ready:
            if self._closed:
                raise LedgerError("an open ledger", "one that was closed", "open it again", code="ledger.closed")
            self._waiting.append((leaves, together, then))
            self._ready.notify()

    def close(self) -> None:
        """Finish what was submitted, and end the processes."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _take(self) -> list[tuple[Sequence[bytes], Together | None, Then]]:
        with self._ready:
            while not self._waiting and not self._closed:
                self._ready.wait()
            many = 0
            for many, (leaves, _, _) in enumerate(self._waiting, 1):
                if sum(len(each[0]) for each in self._waiting[:many]) >= _AT_ONCE or len(leaves) >= _AT_ONCE:
                    break
            taken, self._waiting = self._waiting[:many], self._waiting[many:]
            return taken

    def _serve(self) -> None:
        helper = _Helper(self._admit)
        while taken := self._take():
            answers = helper.ask([(leaves, together) for leaves, together, _ in taken])
            for (_, _, then), answer in zip(taken, answers, strict=True):
                then(answer)
        helper.close()


class _Helper:
    """One process; if it dies, another takes its place, and what it had is checked here."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._admit), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, work: list[tuple[Sequence[bytes], Together | None]]) -> list[Answer]:
        try:
            self._pipe.send(work)
            answers: list[Answer] = self._pipe.recv()
        except (EOFError, OSError):
            self.close()
            self._start()
            return [_answer(self._admit, *each) for each in work]
        return answers

    def close(self) -> None:
        self._pipe.close()
        self._process.join(10)


def _work(pipe: Connection, admit: Admit) -> None:
    """What the process does, until its parent closes the pipe or dies."""
    while True:
        try:
            work = pipe.recv()
            pipe.send([_answer(admit, *each) for each in work])
        except (EOFError, OSError, KeyboardInterrupt):
            return


def _answer(admit: Admit, leaves: Sequence[bytes], together: Together | None) -> Answer:
    try:
        return [admit(leaf) for leaf in leaves] if together is None else together(leaves)
    except RecordError as error:
        return error

"""Jobs in several processes of this machine: the default."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from titer.audit.run.agenda import Agenda
from titer.audit.run.cores import usable_cores
from titer.audit.run.executor import Executor
from titer.audit.run.job import Job
from titer.audit.run.perform import Outcome
from titer.audit.run.signals import undisturbed
from titer.audit.run.spawning import Nursery
from titer.audit.run.worker import prepare, work
from titer.errors import ExecutionError, PlanError, StoreError

News = tuple["Slot", Job, Future[Outcome | StoreError]] | tuple[str, float, float]


@dataclass(frozen=True)
class ProcessExecutor(Executor):
    """Runs jobs in worker processes that are spawned once, take one job at a time and use one thread each.

    A worker that dies (killed, out of memory) is replaced and its job repeated, up to three times. Workers end with
    their parent, even if that is killed.

    Arguments
        workers: how many; by default as many as there are cores that this process may use.

    >>> ProcessExecutor(workers=2)
    ProcessExecutor(workers=2)
    """

    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise PlanError("at least 1 worker", str(self.workers), "give a positive number, or none for all cores")

    def _work(self, agenda: Agenda) -> None:
        news: queue.SimpleQueue[News] = queue.SimpleQueue()
        slots = min(self.workers or usable_cores(), len(agenda.open))
        with _heard(news) as writer, _slots(slots, writer, news) as idle:
            while agenda.open:
                while idle and (job := agenda.next()) is not None:
                    agenda.start(job)
                    idle.pop().give(job, agenda)
                match news.get():
                    case (Slot() as slot, Job() as job, Future() as ended):
                        if slot.settle(job, ended, agenda):
                            slot.give(job, agenda)
                        else:
                            idle.append(slot)
                    case (str() as key, float() as done, float() as total):
                        agenda.advance(key, done, total)


class Slot:
    """Room for one worker. A pool of one tells exactly whose job a dead worker had; a common pool fails all jobs."""

    def __init__(self, writer: Connection, news: queue.SimpleQueue[News]) -> None:
        self._writer = writer
        self._news = news
        self._open()

    def give(self, job: Job, agenda: Agenda) -> None:
        """Starts a job here; slot and job come up in the news when it has ended."""
        task = partial(work, job.key, job.function, job.settings, job.after, str(agenda.store.results))
        with undisturbed():
            future = self._submit(task)
        future.add_done_callback(lambda ended: self._news.put((self, job, ended)))

    def settle(self, job: Job, ended: Future[Outcome | StoreError], agenda: Agenda) -> bool:
        """Enters what came of the job; True if it is to be given again."""
        try:
            outcome = ended.result()
        except BrokenProcessPool:
            reason = self._nursery.obituary()
            self._reopen()
            return agenda.died(job, reason)
        except Exception as error:
            agenda.fail(job, f"its worker cannot do it: {type(error).__name__}: {error}")
            return False
        if isinstance(outcome, StoreError):
            raise outcome
        if outcome.failure is not None:
            agenda.fail(job, outcome.failure)
        else:
            agenda.finish(job, outcome.seconds)
        return False

    def kill(self) -> None:
        """Ends the worker at once: jobs are pure, so there is nothing to wait for."""
        self._nursery.kill()

    def close(self) -> None:
        """Takes down what is left of the pool."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, task: Callable[[], Outcome | StoreError]) -> Future[Outcome | StoreError]:
        try:
            return self._pool.submit(task)
        except BrokenProcessPool:
            # The worker died while it had nothing to do: no job is to blame.
            self._reopen()
            return self._submit(task)
        except OSError as error:
            raise ExecutionError("room for a worker process", str(error), "ask for fewer workers") from error

    def _open(self) -> None:
        self._nursery = Nursery()
        self._pool = ProcessPoolExecutor(1, mp_context=self._nursery, initializer=prepare, initargs=(self._writer,))

    def _reopen(self) -> None:
        self.kill()
        self.close()
        self._open()


@contextmanager
def _slots(count: int, writer: Connection, news: queue.SimpleQueue[News]) -> Iterator[list[Slot]]:
    slots = [Slot(writer, news) for _ in range(count)]
    try:
        yield list(reversed(slots))
    finally:
        for slot in slots:
            slot.kill()
        for slot in slots:
            slot.close()


@contextmanager
def _heard(news: queue.SimpleQueue[News]) -> Iterator[Connection]:
    """The pipe's end for workers; a thread puts what comes out of the other end into the news."""
    reader, writer = multiprocessing.Pipe(duplex=False)

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError):
            while piece := reader.recv_bytes():
                key, done, total = json.loads(piece)
                news.put((key, done, total))

    thread = threading.Thread(target=listen, name="titer-news", daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        writer.close()
        thread.join(timeout=5)
        reader.close()

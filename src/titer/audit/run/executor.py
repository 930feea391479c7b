"""What all executors have in common: everything but where the work is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from titer.audit.run.agenda import Agenda
from titer.audit.run.events import Listener, ignore
from titer.audit.run.job import Job
from titer.audit.run.signals import stoppable
from titer.audit.run.store import Store


class Executor(ABC):
    """Makes the results that the store lacks. Which executor did it cannot be seen in the bytes."""

    def run(self, jobs: Iterable[Job], store: Store, on_event: Listener = ignore) -> None:
        """Does all jobs whose results are missing; returns when all results are in the store.

        A job that fails does not stop those that do not need it. Ctrl-C and SIGTERM stop at once: workers are ended,
        finished results stay, KeyboardInterrupt goes on to the caller.

        Arguments
            jobs: in any order; `after` decides.
            store: locked for others until this returns.
            on_event: told of every step, in this thread.

        Raises PlanError before work starts if a job cannot run, StoreError if results cannot be kept, ExecutionError
        at the end with the jobs that failed.
        """
        with store.locked(), stoppable():
            store.sweep()
            agenda = Agenda(jobs, store=store, tell=on_event)
            if agenda.open:
                try:
                    self._work(agenda)
                finally:
                    store.sweep()
        agenda.conclude()

    @abstractmethod
    def _work(self, agenda: Agenda) -> None:
        """Starts what is ready, and tells the agenda what came of it, until nothing is open."""

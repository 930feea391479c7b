"""Jobs one after another, in the caller's own process: for debugging, notebooks and tests."""

from __future__ import annotations

from dataclasses import dataclass

from titer.audit.run.agenda import Agenda
from titer.audit.run.executor import Executor
from titer.audit.run.job import Job
from titer.audit.run.perform import perform
from titer.audit.run.threads import pin, single_threaded


@dataclass(frozen=True)
class InlineExecutor(Executor):
    """Runs jobs here, one at a time, with one thread each; the number of threads is restored afterwards.

    >>> InlineExecutor()
    InlineExecutor()
    """

    def _work(self, agenda: Agenda) -> None:
        with single_threaded():
            while (job := agenda.next()) is not None:
                pin()
                agenda.start(job)
                self._do(job, agenda)

    def _do(self, job: Job, agenda: Agenda) -> None:
        inputs = {key: agenda.store.get(key) for key in job.after}
        outcome = perform(
            job.function, job.settings, inputs, sink=lambda done, total: agenda.advance(job.key, done, total)
        )
        if outcome.failure is not None:
            agenda.fail(job, outcome.failure)
            return
        agenda.store.put(job.key, outcome.data)
        agenda.finish(job, outcome.seconds)

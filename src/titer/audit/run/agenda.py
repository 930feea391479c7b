"""What is done, what can start, what failed: the same bookkeeping for every executor."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from titer.audit.run.events import Damaged, Failed, Finished, Listener, Planned, Progress, Retried, Started
from titer.audit.run.job import Job, checked
from titer.audit.run.store import Store
from titer.errors import ExecutionError

RETRIES = 3
_NAMED = 5


class Agenda:
    """The jobs of one run, from the plan's order to the verdict.

    Jobs whose results are in the store are done from the start. A job is ready when everything it needs is done; ready
    jobs start in the plan's order. A failed job fails those that need it, and no other.

    Arguments
        jobs: all jobs of the run, in any order; checked here, before work starts.
        store: where finished results are.
        tell: receives every event.
    """

    def __init__(self, jobs: Iterable[Job], *, store: Store, tell: Listener) -> None:
        self.store = store
        self.jobs = checked(jobs, store.has)
        self.failures: dict[str, str] = {}
        self._tell = tell
        self._names = {job.key: job.name for job in self.jobs}
        self._attempts: dict[str, int] = {}
        done = {job.key for job in self.jobs if self._is_stored(job)}
        self.open = {job.key: job for job in self.jobs if job.key not in done}
        self._rank = {job.key: rank for rank, job in enumerate(self.jobs)}
        self._missing = {key: {needed for needed in job.after if needed in self.open} for key, job in self.open.items()}
        self._ready = [self._rank[key] for key, missing in self._missing.items() if not missing]
        heapq.heapify(self._ready)
        tell(Planned(total=len(self.jobs), already_done=len(done)))

    def in_order(self) -> tuple[Job, ...]:
        """The open jobs, each after those it needs."""
        return tuple(job for job in self.jobs if job.key in self.open)

    def next(self) -> Job | None:
        """Takes the first job that can start; None if none can now."""
        while self._ready:
            job = self.jobs[heapq.heappop(self._ready)]
            if job.key in self.open:
                return job
        return None

    def start(self, job: Job) -> None:
        """A worker has begun it."""
        self._tell(Started(job.key, job.name))

    def advance(self, key: str, done: float, total: float) -> None:
        """A worker says how far it is."""
        if key in self.open:
            self._tell(Progress(key, self._names[key], done, total))

    def finish(self, job: Job, seconds: float) -> None:
        """Its result is in the store."""
        del self.open[job.key]
        self._tell(Finished(job.key, job.name, seconds))
        for key, missing in self._missing.items():
            if job.key in missing:
                missing.remove(job.key)
                if not missing and key in self.open:
                    heapq.heappush(self._ready, self._rank[key])

    def fail(self, job: Job, reason: str) -> None:
        """It failed for good, and so do those that need it."""
        if self.open.pop(job.key, None) is None:
            return
        self.failures[job.key] = reason
        self._tell(Failed(job.key, job.name, reason))
        for other in self.jobs:
            if job.key in other.after:
                self.fail(other, f"it needs {job.name}, which failed")

    def repeat(self, job: Job, reason: str) -> int:
        """It starts again; gives the number of the new attempt."""
        attempt = self._attempts[job.key] = self._attempts.get(job.key, 1) + 1
        self._tell(Retried(job.key, job.name, attempt, reason))
        return attempt

    def died(self, job: Job, reason: str) -> bool:
        """Its worker died: True if the job is to start again, False if it has now failed for good."""
        attempts = self._attempts.get(job.key, 1)
        if attempts > RETRIES:
            self.fail(job, f"its worker died {attempts} times ({reason}); give it more memory or smaller batches")
            return False
        self.repeat(job, reason)
        return True

    def conclude(self) -> None:
        """Raises ExecutionError with the failed jobs, if there are any."""
        if not self.failures:
            return
        reasons: dict[str, list[str]] = {}
        for key, reason in self.failures.items():
            reasons.setdefault(reason, []).append(self._names[key])
        named = [f"{_several(names)}: {reason}" for reason, names in list(reasons.items())[:_NAMED]]
        more = f"; and {len(reasons) - _NAMED} more reasons" if len(reasons) > _NAMED else ""
        raise ExecutionError(
            f"{len(self.jobs)} finished jobs",
            f"{len(self.failures)} failed ones ({'; '.join(named)}{more})",
            "repair what the messages name and run again: finished results are kept",
        )

    def _is_stored(self, job: Job) -> bool:
        fault = self.store.fault(job.key)
        if fault:
            self._tell(Damaged(job.key, job.name, fault))
        return fault is None


def _several(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"

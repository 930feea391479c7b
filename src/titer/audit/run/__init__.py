"""The running of jobs: here, in local processes, or on a cluster; resumable at any kill.

    store = Store(Path("out"))
    choose(scheduler, workers).run(jobs, store, on_event=display)
    store.get(key)

Jobs are pure functions named by the digest of all that decides their result. So a result in the store is never made
twice, it does not matter who makes it, and the bytes are the same wherever it is made.
"""

from titer.audit.run.choose import choose
from titer.audit.run.cluster import DaskExecutor
from titer.audit.run.events import (
    Damaged,
    Event,
    Failed,
    Finished,
    Listener,
    Planned,
    Progress,
    Retried,
    Started,
    ignore,
)
from titer.audit.run.executor import Executor
from titer.audit.run.hearing import progress
from titer.audit.run.inline import InlineExecutor
from titer.audit.run.job import Job
from titer.audit.run.processes import ProcessExecutor
from titer.audit.run.store import Store

__all__ = [
    "Damaged",
    "DaskExecutor",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "InlineExecutor",
    "Job",
    "Listener",
    "Planned",
    "ProcessExecutor",
    "Progress",
    "Retried",
    "Started",
    "Store",
    "choose",
    "ignore",
    "progress",
]

"""From what a user writes to an executor."""

from __future__ import annotations

from pathlib import Path

from titer.audit.run.cluster import DaskExecutor
from titer.audit.run.executor import Executor
from titer.audit.run.inline import InlineExecutor
from titer.audit.run.processes import ProcessExecutor
from titer.audit.run.tls import Credentials
from titer.errors import PlanError


def choose(
    scheduler: str | None = None,
    workers: int | None = None,
    *,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
) -> Executor:
    """The executor that a scheduler's name or address means.

    Arguments
        scheduler: `processes` (default), `inline`, `tcp://127.0.0.1:PORT` or `tls://HOST:PORT` of a Dask scheduler.
        workers: number of local processes.
        ca, cert, key: PEM files for mutual TLS with a Dask scheduler; otherwise Dask's configuration is asked.

    Raises PlanError for a scheduler that is none of these, or for settings that do not belong to it.

    >>> choose(), choose("inline"), choose("processes", 2)
    (ProcessExecutor(workers=None), InlineExecutor(), ProcessExecutor(workers=2))
    """
    name = scheduler or "processes"
    if name in ("inline", "processes") and (ca or cert or key):
        raise PlanError("TLS files only with a scheduler's address", f"scheduler {name}", "leave them away")
    if name == "inline":
        if workers not in (None, 1):
            raise PlanError("no workers with inline", str(workers), "write processes, or leave the number away")
        return InlineExecutor()
    if name == "processes":
        return ProcessExecutor(workers)
    if workers is not None:
        raise PlanError(
            "no number of workers with a cluster", f"{workers} workers for {name}", "start them at the cluster instead"
        )
    return DaskExecutor(name, credentials=Credentials(ca=ca, cert=cert, key=key))

"""Jobs on many machines: a Dask cluster schedules, retries and survives dead workers."""

from __future__ import annotations

import importlib.util
import queue
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from titer.audit.run import remote
from titer.audit.run.agenda import Agenda
from titer.audit.run.executor import Executor
from titer.audit.run.job import Job
from titer.audit.run.perform import Outcome
from titer.audit.run.tls import Credentials, check_address, security
from titer.errors import ExecutionError, PlanError

News = tuple[Any, ...]

_LOOK_SECONDS = 2


@dataclass(frozen=True)
class DaskExecutor(Executor):
    """Runs jobs on the workers of a Dask scheduler; results are fetched one by one and stored here.

    Jobs hand their results to each other without passing through this process. A job whose worker dies starts again
    elsewhere, as often as the scheduler's `allowed-failures` says (three times by default).

    Arguments
        address: `tls://HOST:PORT`; `tcp://` only for this machine.
        credentials: files for mutual TLS; what is not given is taken from Dask's configuration.
        patience: seconds to wait for the scheduler, and then for its first worker.

    Raises PlanError for another kind of address, and when `distributed` is not installed.
    """

    address: str
    credentials: Credentials = field(default_factory=Credentials)
    patience: float = 30.0

    def __post_init__(self) -> None:
        check_address(self.address)
        if importlib.util.find_spec("distributed") is None:
            raise PlanError("the package distributed", "none", "install titer[cluster]")

    def _work(self, agenda: Agenda) -> None:
        news: queue.SimpleQueue[News] = queue.SimpleQueue()
        with self._client() as client:
            topic = f"titer-{uuid.uuid4().hex}"
            client.subscribe_topic(topic, lambda event: news.put(tuple(event[1])))
            futures = _submit(client, agenda, topic)
            try:
                for key, future in futures.items():
                    future.add_done_callback(partial(_announce, news, key))
                _collect(agenda, futures, news, client)
            finally:
                with suppress(Exception):
                    client.cancel(list(futures.values()))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        client_type = import_module("distributed").Client
        proof = security(self.credentials) if check_address(self.address) == "tls" else None
        try:
            client = client_type(self.address, security=proof, set_as_default=False, timeout=self.patience)
        except (OSError, TimeoutError, ValueError) as error:
            raise ExecutionError(
                f"a Dask scheduler at {self.address} that knows our certificate",
                str(error) or type(error).__name__,
                "start it, or correct the address and the TLS files",
            ) from error
        try:
            try:
                client.wait_for_workers(1, timeout=self.patience)
            except TimeoutError as error:
                raise ExecutionError(
                    f"a worker at {self.address}", f"none within {self.patience:g} s", "start `dask worker` processes"
                ) from error
            yield client
        finally:
            client.close(timeout=5)


def _submit(client: Any, agenda: Agenda, topic: str) -> dict[str, Any]:
    """Hands over all open jobs at once, so that the scheduler can place them near what they need."""
    futures: dict[str, Any] = {}
    stored: dict[str, Any] = {}
    for rank, job in enumerate(agenda.in_order()):
        for key in job.after:
            if key not in futures and key not in stored:
                # As a task, not as scattered data, which would be lost with the worker that holds it.
                stored[key] = client.submit(remote.hand_over, agenda.store.get(key), key=key, pure=False)
        futures[job.key] = client.submit(
            remote.work,
            remote.Order(job.key, job.function, job.settings, topic),
            {key: futures.get(key) or stored[key] for key in job.after},
            key=job.key,
            priority=-rank,
            pure=False,
        )
    return futures


def _collect(agenda: Agenda, futures: dict[str, Any], news: queue.SimpleQueue[News], client: Any) -> None:
    jobs = {job.key: job for job in agenda.in_order()}
    begun: set[str] = set()
    while agenda.open:
        try:
            kind, key, *parts = news.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            _check_alive(client)
            continue
        if key not in agenda.open:
            continue
        if kind == "started" and key not in begun:
            begun.add(key)
            agenda.start(jobs[key])
        elif kind == "started":
            agenda.repeat(jobs[key], "its worker was lost")
        elif kind == "progress":
            agenda.advance(key, *parts)
        elif kind == "ended":
            _settle(jobs[key], futures.pop(key), agenda, client)


def _settle(job: Job, future: Any, agenda: Agenda, client: Any) -> None:
    if future.status not in ("finished", "error"):
        raise _gone(client)
    try:
        outcome: Outcome = future.result()
    except (CancelledError, OSError) as error:
        raise _gone(client) from error
    except Exception as error:
        # Failures of jobs are values; what is raised is the cluster's own: workers that died, or that lack titer.
        agenda.fail(job, f"the cluster gave it up: {type(error).__name__}: {error}")
        return
    if outcome.failure is not None:
        agenda.fail(job, outcome.failure)
        return
    agenda.store.put(job.key, outcome.data)
    agenda.finish(job, outcome.seconds)


def _check_alive(client: Any) -> None:
    if client.status not in ("running", "connecting"):
        raise _gone(client)


def _gone(client: Any) -> ExecutionError:
    return ExecutionError(
        "a Dask scheduler that stays until the end",
        f"a lost connection (the client is {client.status})",
        "start the scheduler again and repeat the command: finished results are kept",
    )


def _announce(news: queue.SimpleQueue[News], key: str, future: Any) -> None:  # noqa: ARG001
    news.put(("ended", key))

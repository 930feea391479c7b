"""What a Dask worker does with a job."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from titer import __version__
from titer.audit.run.perform import Outcome, perform
from titer.audit.run.threads import single_threaded

# Jobs may use what a process has only one of, such as a model's gradient buffers; a Dask worker may have many threads.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Order:
    """A job on its way to a worker: what to do, where to tell of it, and the version of titer that asks."""

    key: str
    function: str
    settings: str
    topic: str
    version: str = __version__


def work(order: Order, inputs: Mapping[str, Outcome]) -> Outcome:
    """Does one job; failures are values, since Dask logs the arguments of a task that raises."""
    from distributed import get_worker

    if order.version != __version__:
        versions = f"its worker has titer {__version__}, the driver {order.version}"
        return Outcome(failure=f"{versions}; install one version on all")
    if any(given.failure is not None for given in inputs.values()):
        return Outcome(failure="a job that it needs failed")
    worker = get_worker()
    with _one_at_a_time, single_threaded():
        worker.log_event(order.topic, ["started", order.key])
        return perform(
            order.function,
            order.settings,
            {name: given.data for name, given in inputs.items()},
            sink=lambda done, total: worker.log_event(order.topic, ["progress", order.key, done, total]),
        )


def hand_over(data: bytes) -> Outcome:
    """A result that the driver's store had, in the form in which workers hand results to each other."""
    return Outcome(data=data)

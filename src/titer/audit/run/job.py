"""One unit of work, and the check that a list of them can run."""

from __future__ import annotations

import heapq
import importlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from titer.errors import PlanError

Function = Callable[[dict[str, Any], dict[str, bytes]], bytes]

KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Job:
    """A pure function of settings and of other jobs' results, that gives bytes.

    Arguments
        key: digest of everything that decides the result; also the name of its file in the store.
        function: `package.module:function`, called as `function(payload, inputs)`; must be importable by every worker.
        payload: settings that JSON can carry. The function receives them as JSON gives them back (tuples as lists).
        after: keys of the jobs whose results it needs; they arrive as `inputs`, bytes by key.
        label: a name for people, shown while it runs and when it fails; never a patient's.

    Raises PlanError for a key or a function that is misnamed.

    >>> Job(key="0a1b", function="titer.digest:digest", payload={"seed": 1}, label="PGD, seed 1")
    Job(key='0a1b', function='titer.digest:digest', payload={'seed': 1}, after=(), label='PGD, seed 1')
    """

    key: str
    function: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    label: str = ""

    def __post_init__(self) -> None:
        if not KEY.fullmatch(self.key):
            raise PlanError("a key of 1 to 128 letters, digits, - and _", repr(self.key), "name the job by a digest")
        if not _FUNCTION.fullmatch(self.function):
            raise PlanError(
                "a function written package.module:function", repr(self.function), f"correct job {self.name}"
            )

    @property
    def name(self) -> str:
        """The label, or the key's beginning where there is none."""
        return self.label or self.key[:12]

    @property
    def settings(self) -> str:
        """The payload as JSON text: the form in which it travels to every kind of worker."""
        return json.dumps(self.payload, allow_nan=False, default=dict)


def checked(jobs: Iterable[Job], stored: Callable[[str], bool]) -> tuple[Job, ...]:
    """The jobs without repetitions, in an order in which each can run, or PlanError before any work starts.

    Refuses a payload that is not JSON, a function that cannot be imported, one key for two different jobs, a
    dependency that is neither a job nor a stored result, and a circle. Keeps the given order where it may.

    >>> second = Job(key="b", function="titer.digest:digest", after=("a",))
    >>> first = Job(key="a", function="titer.digest:digest")
    >>> [job.key for job in checked([second, first], stored=lambda key: False)]
    ['a', 'b']
    """
    unique: dict[str, Job] = {}
    for job in jobs:
        if unique.setdefault(job.key, job) != job:
            raise PlanError(
                "one key for one job", f"{job.key} for {unique[job.key].name} and {job.name}", "digest all settings"
            )
    for job in unique.values():
        if fault := not_json(job.payload):
            raise PlanError(f"settings of job {job.name} that JSON can carry", fault, "give plain values")
        for needed in job.after:
            if needed not in unique and not stored(needed):
                raise PlanError(
                    f"every job that {job.name} needs", f"no job and no result {needed}", "add that job to the list"
                )
    for name in {job.function: None for job in unique.values()}:
        resolve(name)
    return tuple(unique[key] for key in _in_order(unique))


def _in_order(jobs: Mapping[str, Job]) -> Iterator[str]:
    """Keys so that each comes after those it needs, and otherwise as given."""
    rank = {key: place for place, key in enumerate(jobs)}
    graph = TopologicalSorter({key: [needed for needed in job.after if needed in jobs] for key, job in jobs.items()})
    try:
        graph.prepare()
    except CycleError as error:
        circle = " -> ".join(jobs[key].name for key in error.args[1])
        raise PlanError("jobs that wait for earlier ones", f"a circle: {circle}", "remove one dependency") from None
    ready: list[tuple[int, str]] = []
    while graph.is_active():
        for key in graph.get_ready():
            heapq.heappush(ready, (rank[key], key))
        _, first = heapq.heappop(ready)
        yield first
        graph.done(first)


def resolve(name: str) -> Function:
    """The function of that name, or PlanError.

    >>> resolve("titer.digest:digest").__name__
    'digest'
    """
    module, _, attribute = name.partition(":")
    if module == "__main__":
        raise PlanError("a function that workers can import", name, "move it from the script into a module")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise PlanError("a function that can be imported", f"{name} ({error})", "correct the name") from error
    if not callable(found):
        raise PlanError("a function", f"{name}, a {type(found).__name__}", "correct the name")
    return found  # type: ignore[no-any-return]


def not_json(value: Any, where: str = "payload") -> str | None:
    """What in a value JSON cannot carry, and where; None if nothing.

    >>> not_json({"limits": [0.1, float("nan")]})
    'payload.limits[1] = nan'
    """
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return None
    if type(value) is float:
        return None if math.isfinite(value) else f"{where} = {value}"
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if not isinstance(key, str):
                return f"{where} with the key {key!r}, a {type(key).__name__}"
            if fault := not_json(entry, f"{where}.{key}"):
                return fault
        return None
    if isinstance(value, (list, tuple)):
        faults = (not_json(entry, f"{where}[{index}]") for index, entry in enumerate(value))
        return next((fault for fault in faults if fault), None)
    return f"{where}, a {type(value).__module__}.{type(value).__qualname__}"

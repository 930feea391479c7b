"""What an executor tells while it works. Events arrive one after another, in the thread that called `run`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """The work is known: so many jobs, of which so many are in the store already."""

    total: int
    already_done: int


@dataclass(frozen=True)
class Damaged:
    """A stored result is unreadable or cut short: it counts as missing and is made again."""

    key: str
    label: str
    reason: str


@dataclass(frozen=True)
class Started:
    """A worker has begun a job."""

    key: str
    label: str


@dataclass(frozen=True)
class Progress:
    """A running job says how far it is."""

    key: str
    label: str
    done: float
    total: float


@dataclass(frozen=True)
class Finished:
    """A job's result is in the store; seconds are the worker's, without waiting and start-up."""

    key: str
    label: str
    seconds: float


@dataclass(frozen=True)
class Retried:
    """A job's worker died; the job starts again (attempt 2 is the first repetition)."""

    key: str
    label: str
    attempt: int
    reason: str


@dataclass(frozen=True)
class Failed:
    """A job failed for good; jobs that do not need it go on."""

    key: str
    label: str
    reason: str


Event = Planned | Damaged | Started | Progress | Finished | Retried | Failed
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of those who do not listen."""

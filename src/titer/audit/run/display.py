"""The live view of a run: one bar, the jobs in work, what is finished and how long it may take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column

from titer.audit.run.events import Damaged, Event, Failed, Finished, Planned, Progress, Retried, Started

_SHOWN = 8
_MINUTE = 60
_HOUR = 3600


@dataclass
class Count:
    """How much is done, and how long the rest may take at the pace so far."""

    total: int = 0
    before: int = 0
    finished: int = 0
    failed: int = 0
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Jobs whose results are in the store."""
        return self.before + self.finished

    def left(self, elapsed: float) -> float | None:
        """Seconds until the end; None as long as nothing tells.

        >>> Count(total=10, before=2, finished=2).left(elapsed=30.0)
        90.0
        """
        made = self.finished + sum(self.parts.values())
        return elapsed / made * (self.total - self.before - self.failed - made) if made > 0 else None


class Display:
    """Shows events: live on a terminal, as plain lines elsewhere (a file, a continuous-integration log).

    Used as a context and as the executor's `on_event`.

    Arguments
        console: where to write; by default standard error, since standard output is for results.

    >>> import sys
    >>> with Display(Console(file=sys.stdout, width=80)) as show:
    ...     for event in (Planned(3, 1), Started("0a", "PGD"), Finished("0a", "PGD", 2.04)):
    ...         show(event)
    1 of 3 jobs were done before
    2/3 PGD (2.0 s)
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = self._console.is_terminal
        self._begin = time.monotonic()
        self._count = Count()
        self._bars = Bars(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._all = self._bars.add_task("audit", total=None, state="")
        self._lines: dict[str, TaskID] = {}

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Takes in one event and shows what it changes."""
        match event:
            case Planned():
                self._count = Count(total=event.total, before=event.already_done)
                self._begin = time.monotonic()
                if event.already_done:
                    self._say(f"{event.already_done} of {event.total} jobs were done before")
            case Started():
                self._open(event)
            case Progress():
                self._count.parts[event.key] = part = event.done / event.total if event.total else 0.0
                if event.key in self._lines:
                    self._bars.update(self._lines[event.key], completed=part, state=f"{part:.0%}")
            case Finished():
                self._close(event.key)
                self._count.finished += 1
                self._say(f"{self._count.done}/{self._count.total} {event.label} ({duration(event.seconds)})")
            case Failed():
                self._close(event.key)
                self._count.failed += 1
                self._say(f"failed: {event.label}: {event.reason}", style="bold red")
            case Retried():
                self._say(f"again: {event.label} (attempt {event.attempt}): {event.reason}", style="yellow")
            case Damaged():
                self._say(f"made again: {event.label}: its stored result is damaged, {event.reason}", style="yellow")
        self._refresh()

    def _say(self, text: str, style: str = "dim") -> None:
        self._console.print(text, style=style if self._live else None, markup=False, highlight=False, soft_wrap=True)

    def _open(self, event: Started) -> None:
        if self._live and len(self._lines) < _SHOWN:
            self._lines[event.key] = self._bars.add_task(f"  {escape(event.label)}", total=1.0, state="")

    def _close(self, key: str) -> None:
        self._count.parts.pop(key, None)
        if key in self._lines:
            self._bars.remove_task(self._lines.pop(key))

    def _refresh(self) -> None:
        count = self._count
        seconds = count.left(time.monotonic() - self._begin)
        state = f"{count.done}/{count.total}" + (f", about {duration(seconds)} left" if seconds else "")
        reached = count.done + count.failed + sum(count.parts.values())
        self._bars.update(self._all, total=count.total or None, completed=reached, state=state)


def duration(seconds: float) -> str:
    """A span of time for people.

    >>> duration(2.04), duration(75), duration(7500)
    ('2.0 s', '1 min 15 s', '2 h 05 min')
    """
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE):02d} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE):02d} min"

"""How worker processes are born, so that they start light, calm and known."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from titer.audit.run.threads import environment

_one_birth = threading.Lock()


class Nursery(SpawnContext):
    """Spawns processes and knows them.

    Spawned, not forked: a fork copies the locks of torch's and the user's threads in whatever state they are.
    """

    def __init__(self) -> None:
        self.born: list[_Calm] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process that starts without the user's script and with one thread; remembered here."""
        process = _Calm(*args, **kwargs)
        self.born.append(process)
        return process

    def kill(self) -> None:
        """Ends all of them that still run."""
        for process in self.born:
            if process.pid is not None and process.is_alive():
                process.kill()

    def obituary(self) -> str:
        """Why the last one ended, in words."""
        process = self.born[-1]
        code = _ending(process)
        if code is not None and code < 0:
            name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
            return f"killed by {name}" + (", often for lack of memory" if code == -signal.SIGKILL else "")
        return f"ended with code {code}"


def _ending(process: SpawnProcess, patience: float = 5.0) -> int | None:
    """The exit code; none if it still runs when patience ends.

    A pool's own thread waits for the same process. Only one of two that wait is told the code, and the other finds
    it a moment later where the first has put it; so it is looked for again instead of being asked for once.
    """
    until = time.monotonic() + patience
    while (code := process.exitcode) is None and time.monotonic() < until:
        process.join(timeout=0.05)
        time.sleep(0.005)
    return code


class _Calm(SpawnProcess):
    def start(self) -> None:
        with _one_birth, _without_script(), environment(), _ctrl_c_held():
            super().start()


@contextmanager
def _without_script() -> Iterator[None]:
    """Hides the user's script, which a spawned process would run again: jobs' functions are in modules.

    So a script needs no `if __name__ == "__main__"`, and a worker does not repeat what the script does at its top.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """The child inherits that Ctrl-C is held back, until it ignores it for good; here it is delivered afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

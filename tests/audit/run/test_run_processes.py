"""Worker processes: they die, are stopped, and never outlive their parent; the numbers do not notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from run_samples import logged_jobs

from titer.audit.run import Event, InlineExecutor, Job, ProcessExecutor, Retried, Store
from titer.audit.run.spawning import Nursery
from titer.errors import ExecutionError

HERE = Path(__file__).parent
JOBS, SECONDS = 40, 0.05

# Without `if __name__ == "__main__"`: workers must not run the script of their user again.
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import run_samples
run_samples.drive(*sys.argv[2:])
"""


class Driver:
    """A run in a process group of its own, as a terminal would start it."""

    def __init__(self, folder: Path, *, seconds: float = SECONDS) -> None:
        script = folder / "script.py"
        script.write_text(SCRIPT)
        self.log = folder / "log"
        words = [folder / "store", self.log, "processes", JOBS, seconds]
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(HERE), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Returns when that many lines with that text have come."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            times -= text in line
            if times == 0:
                return
        pytest.fail(f"no {text}: {self.process.stderr.read() if self.process.stderr else ''}")

    def end(self) -> tuple[int, str]:
        """Waits for its end; exit code and what it wrote on standard error."""
        _, complaints = self.process.communicate(timeout=60)
        return self.process.returncode, complaints

    @property
    def lines(self) -> list[str]:
        """What its jobs left in the log."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def offspring(self) -> set[int]:
        """All processes that it has started and that still run."""
        return {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def start(**settings: float) -> Driver:
        drivers.append(Driver(tmp_path, **settings))
        return drivers[-1]

    yield start
    for driver in drivers:
        if driver.process.poll() is None:
            driver.process.kill()
            driver.process.communicate()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    store = Store(folder)
    InlineExecutor().run(logged_jobs(folder / "log", JOBS, 0.0), store)
    return contents(store)


def contents(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.results.iterdir()}


def gone(pids: set[int], *, within: float = 10.0) -> bool:
    """Whether all these processes end in time; one that only waits for its parent to notice counts as ended."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_ten_kills_lose_nothing_and_repeat_nothing(
    drive: Callable[..., Driver], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    finished: set[str] = set()
    logged = 0
    for kill in range(10):
        driver = drive()
        driver.wait_for("Started" if kill % 3 == 0 else "Finished")
        time.sleep(0.006 * kill)
        offspring = driver.offspring
        driver.process.kill()
        driver.end()
        assert gone(offspring)
        new = {line.split()[0] for line in driver.lines[logged:]}
        assert not new & finished
        finished, logged = set(store.keys()), len(driver.lines)
    driver = drive()
    assert driver.end()[0] == 0
    assert contents(store) == undisturbed
    new = {line.split()[0] for line in driver.lines[logged:]}
    assert not new & finished


@pytest.mark.parametrize("how", ["terminal", "request"])
def test_stopping_ends_workers_and_keeps_what_is_finished(
    how: str, drive: Callable[..., Driver], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    driver = drive(seconds=0.3)
    driver.wait_for("Finished", times=3)
    offspring = driver.offspring
    assert len(offspring) >= 2
    if how == "terminal":
        os.killpg(driver.process.pid, signal.SIGINT)
    else:
        driver.process.terminate()
    assert driver.end() == (130, "")
    assert gone(offspring, within=2.0)
    kept = contents(Store(tmp_path / "store"))
    assert 3 <= len(kept) < JOBS
    assert kept.items() <= undisturbed.items()


def test_a_killed_worker_is_replaced_and_only_its_own_job_repeated(tmp_path: Path) -> None:
    store = Store(tmp_path)
    payload = {"log": str(tmp_path / "log"), "name": "b", "seconds": 1.0}
    jobs = [
        Job(key="a", function="run_samples:die", payload={"count": str(tmp_path / "count"), "times": 3}),
        Job(key="b", function="run_samples:log", payload=payload),
    ]
    events: list[Event] = []
    ProcessExecutor(2).run(jobs, store, events.append)
    retried = [event for event in events if isinstance(event, Retried)]
    assert [(event.key, event.attempt) for event in retried] == [("a", 2), ("a", 3), ("a", 4)]
    assert retried[0].reason == "killed by SIGKILL, often for lack of memory"
    assert store.get("a") == b"3"
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_an_end_that_another_thread_learns_of_first_is_waited_for() -> None:
    class Late:
        asked = 0

        @property
        def exitcode(self) -> int | None:
            self.asked += 1
            return None if self.asked < 4 else -9

        def join(self, timeout: float) -> None:
            """Returns at once, as it does when someone else has waited for the process."""

    nursery = Nursery()
    nursery.born.append(cast(Any, Late()))
    assert nursery.obituary() == "killed by SIGKILL, often for lack of memory"


def test_a_job_that_kills_every_worker_fails_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    jobs = [
        Job(key="a", function="run_samples:die", payload={"count": str(tmp_path / "count"), "times": 99}),
        Job(key="b", function="run_samples:tell"),
    ]
    with pytest.raises(ExecutionError, match=r"its worker died 4 times \(killed by SIGKILL"):
        ProcessExecutor(2).run(jobs, store)
    assert store.keys() == ("b",)


def test_a_worker_killed_while_idle_costs_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [
        Job(key="a", function="run_samples:log", payload={"log": str(log), "name": "a", "seconds": 0.0}),
        Job(key="b", function="run_samples:log", payload={"log": str(log), "name": "b", "seconds": 1.0}),
        *(Job(key=f"c{index}", function="run_samples:tell", after=("a", "b")) for index in range(2)),
    ]
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if str(event).startswith("Finished(key='a'"):
            idle = next(line.split()[1] for line in log.read_text().splitlines() if line.startswith("a "))
            os.kill(int(idle), signal.SIGKILL)

    store = Store(tmp_path)
    ProcessExecutor(2).run(jobs, store, listen)
    assert store.keys() == ("a", "b", "c0", "c1")
    assert not [event for event in events if isinstance(event, Retried)]


def test_workers_start_calm_and_the_parent_stays_as_it_was(tmp_path: Path) -> None:
    before = dict(os.environ), sys.modules["__main__"]
    store = Store(tmp_path)
    ProcessExecutor(1).run([Job(key="a", function="run_samples:environment")], store)
    assert store.get("a") == b"1 1 none"
    assert before == (dict(os.environ), sys.modules["__main__"])


def test_a_large_result_arrives_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    jobs = [
        Job(key="a", function="run_samples:large", payload={"size": 30_000_000}),
        Job(key="b", function="run_samples:size", after=("a",)),
    ]
    ProcessExecutor(2).run(jobs, store)
    assert store.get("b") == b"30000000"


def test_sums_have_the_same_bits_inline_and_in_processes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    jobs = [Job(key=f"learn{seed}", function="run_samples:learn", payload={"seed": seed}) for seed in range(3)]
    jobs.append(Job(key="threads", function="run_samples:threads"))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        InlineExecutor().run(jobs, Store(tmp_path / "inline"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    ProcessExecutor(2).run(jobs, Store(tmp_path / "processes"))
    assert contents(Store(tmp_path / "inline")) == contents(Store(tmp_path / "processes"))
    assert Store(tmp_path / "processes").get("threads") == b"1"

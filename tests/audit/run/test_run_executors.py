"""What every executor must do alike."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_run_job import DAGS, NAMES

from titer.audit.run import (
    Damaged,
    Event,
    Executor,
    Failed,
    Finished,
    InlineExecutor,
    Job,
    Planned,
    ProcessExecutor,
    Progress,
    Started,
    Store,
    choose,
)
from titer.errors import ExecutionError, PlanError, StoreError

BOTH = pytest.mark.parametrize("executor", [InlineExecutor(), ProcessExecutor(2)], ids=["inline", "processes"])


def chain(*, broken: frozenset[str] = frozenset(), edges: list[tuple[str, str]]) -> list[Job]:
    return [
        Job(
            key=name,
            function="run_samples:refuse" if name in broken else "run_samples:tell",
            payload={"name": name},
            after=tuple(sorted({low for low, high in edges if high == name})),
        )
        for name in reversed(NAMES)
    ]


def outcome(executor: Executor, jobs: list[Job], store: Store) -> tuple[list[Event], str]:
    events: list[Event] = []
    try:
        executor.run(jobs, store, events.append)
    except ExecutionError as error:
        return events, str(error)
    return events, ""


@settings(max_examples=30, deadline=None)
@given(DAGS, st.frozensets(st.sampled_from(NAMES), max_size=3))
def test_a_failure_takes_along_exactly_those_who_need_it(edges: list[tuple[str, str]], broken: frozenset[str]) -> None:
    lost = set(broken)
    for name in NAMES:
        if any(low in lost for low, high in edges if high == name):
            lost.add(name)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        events, message = outcome(InlineExecutor(), chain(broken=broken, edges=edges), store)
        assert set(store.keys()) == set(NAMES) - lost
        assert {event.key for event in events if isinstance(event, Failed)} == lost
        assert bool(message) == bool(lost)
        order = [event.key for event in events if isinstance(event, Finished)]
        assert all(order.index(low) < order.index(high) for low, high in edges if high in order)


def test_processes_make_the_bytes_that_inline_makes(tmp_path: Path) -> None:
    edges = [("job0", "job3"), ("job1", "job3"), ("job3", "job7"), ("job0", "job7")]
    stores = [Store(tmp_path / name) for name in ("inline", "processes")]
    InlineExecutor().run(chain(edges=edges), stores[0])
    ProcessExecutor(3).run(chain(edges=edges), stores[1])
    assert stores[0].keys() == stores[1].keys() == tuple(NAMES)
    assert all(stores[0].path(key).read_bytes() == stores[1].path(key).read_bytes() for key in NAMES)


@BOTH
def test_only_what_is_missing_or_damaged_is_made(executor: Executor, tmp_path: Path) -> None:
    store = Store(tmp_path)
    jobs = chain(edges=[("job0", "job1")])
    executor.run(jobs, store)
    store.path("job0").write_bytes(b"cut")
    store.path("job5").unlink()
    events, _ = outcome(executor, jobs, store)
    assert events[0] == Damaged("job0", "job0", "its header is not that of a result")
    assert events[1] == Planned(total=8, already_done=6)
    assert {event.key for event in events if isinstance(event, Started)} == {"job0", "job5"}
    events, _ = outcome(executor, jobs, store)
    assert events == [Planned(total=8, already_done=8)]


@BOTH
def test_failures_are_told_and_the_rest_is_done(executor: Executor, tmp_path: Path) -> None:
    store = Store(tmp_path)
    jobs = [
        Job(key="a", function="run_samples:refuse", label="first"),
        Job(key="b", function="run_samples:tell", after=("a",), label="second"),
        Job(key="c", function="run_samples:stumble", label="third"),
        Job(key="d", function="run_samples:text", label="fourth"),
        Job(key="e", function="run_samples:tell", label="fifth"),
        Job(key="f", function="run_samples:leave", label="sixth"),
    ]
    events, message = outcome(executor, jobs, store)
    reasons = {event.key: event.reason for event in events if isinstance(event, Failed)}
    assert reasons["a"] == "DataError: expected cases, got none; give some"
    assert reasons["b"] == "it needs first, which failed"
    assert reasons["c"].startswith("KeyError: 'absent' (in stumble, ")
    assert reasons["d"] == "run_samples:text gave a str, not bytes"
    assert reasons["f"].startswith("SystemExit: gone")
    assert store.keys() == ("e",)
    assert message.startswith("expected 6 finished jobs, got 5 failed ones (")
    assert "first: DataError: expected cases, got none; give some" in message
    assert message.endswith("run again: finished results are kept")


def test_equal_failures_are_named_once(tmp_path: Path) -> None:
    jobs = [Job(key=f"k{index}", function="run_samples:refuse") for index in range(9)]
    _, message = outcome(InlineExecutor(), jobs, Store(tmp_path))
    assert "(k0 and 8 more: DataError" in message


@BOTH
def test_a_job_says_how_far_it_is(executor: Executor, tmp_path: Path) -> None:
    payload = {"log": str(tmp_path / "log"), "name": "a", "seconds": 1.5}
    events, _ = outcome(executor, [Job(key="a", function="run_samples:log", payload=payload)], Store(tmp_path))
    parts = [event for event in events if isinstance(event, Progress)]
    assert parts
    assert all((part.key, part.label, part.total) == ("a", "a", 5.0) for part in parts)


@BOTH
def test_bad_jobs_are_refused_before_work_starts(executor: Executor, tmp_path: Path) -> None:
    jobs = [Job(key="a", function="run_samples:tell"), Job(key="b", function="run_samples:absent")]
    with pytest.raises(PlanError, match="absent"):
        executor.run(jobs, Store(tmp_path))
    assert Store(tmp_path).keys() == ()


@BOTH
def test_a_full_disk_stops_the_run_and_keeps_what_is_finished(executor: Executor, tmp_path: Path) -> None:
    from test_run_store import largest_file

    store = Store(tmp_path)
    jobs = [
        Job(key="a", function="run_samples:tell"),
        Job(key="b", function="run_samples:large", payload={"size": 500_000}, after=("a",)),
    ]
    with largest_file(100_000), pytest.raises(StoreError, match=r"room for a result of 500,\d+ bytes"):
        executor.run(jobs, store)
    assert [path.name for path in store.results.iterdir()] == ["a"]


def test_the_names_of_executors() -> None:
    assert choose() == choose("processes") == ProcessExecutor()
    assert choose(None, 3) == ProcessExecutor(3)
    assert choose("inline") == InlineExecutor()
    for wrong in ({"scheduler": "inline", "workers": 2}, {"workers": 0}, {"ca": Path("a")}, {"scheduler": "slurm"}):
        with pytest.raises(PlanError):
            choose(**wrong)  # type: ignore[arg-type]

"""What people see of a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from titer.audit.run import Damaged, Failed, Finished, Planned, Progress, Retried, Started
from titer.audit.run.display import Count, Display

EVENTS = (
    Damaged("0", "zero", "2 bytes of 3 are there"),
    Planned(total=4, already_done=1),
    Started("1", "PGD [chest]"),
    Started("2", "FGSM"),
    Progress("1", "PGD [chest]", 1, 4),
    Retried("2", "FGSM", 2, "killed by SIGKILL"),
    Finished("1", "PGD [chest]", 61.0),
    Failed("2", "FGSM", "ModelError: expected [b]scores[/b], got none; check"),
)


def shown(console: Console) -> str:
    with Display(console) as display:
        for event in EVENTS:
            display(event)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert shown(Console(file=io.StringIO(), width=40)).splitlines() == [
        "made again: zero: its stored result is damaged, 2 bytes of 3 are there",
        "1 of 4 jobs were done before",
        "again: FGSM (attempt 2): killed by SIGKILL",
        "2/4 PGD [chest] (1 min 01 s)",
        "failed: FGSM: ModelError: expected [b]scores[/b], got none; check",
    ]


def test_a_terminal_shows_bars_and_keeps_the_lines() -> None:
    text = shown(Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None))
    assert "2/4 PGD [chest] (1 min 01 s)" in text
    assert "failed: FGSM: ModelError: expected [b]scores[/b], got none; check" in text
    assert "2/4" in text


@pytest.mark.parametrize(
    ("count", "left"),
    [
        (Count(total=10), None),
        (Count(total=10, finished=5), 60.0),
        (Count(total=10, before=5, finished=4, failed=1), 0.0),
        (Count(total=4, parts={"a": 0.5, "b": 0.5}), 180.0),
    ],
)
def test_the_time_left_follows_the_pace_so_far(count: Count, left: float | None) -> None:
    assert count.left(elapsed=60.0) == left

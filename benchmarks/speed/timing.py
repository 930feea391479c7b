"""Libraries measured in turn in one process, and what their changes do to the model, judged here."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from speed.shares import shares
from speed.subjects import Subject

# What rounding may add to a limit, in parts of it.
_SLACK = 1e-3
# Cases that a peer may leave beyond the strongest of them and still count as of full strength, in parts of all.
_LEVEL = 0.02
# A peer that takes so many times as long as the quickest is measured once.
_SLOW = 2.0
Norm = Literal["linf", "l2", "l0", "free"]


@dataclass(frozen=True)
class Entry:
    """One library's way to do a row's work.

    Arguments
        library: its name; "titer" for ours. settings: what was chosen, in words.
        run: gives the perturbed cases, and tells which were fooled: its time includes that.
    """

    library: str
    settings: str
    run: Callable[[], Tensor]


@dataclass(frozen=True)
class Row:
    """One attack on one subject by everyone who has it.

    Arguments
        name, subject: what is attacked, and with what.
        norm, limit: how changes are measured, and the most that counts; for "median" the limit is not used.
        strength: "standing" (share of the cases that withstand within the limit) or "median" (median size of the
            change that fools): the lower, the stronger.
        passes: forward and backward passes of the yardstick; 0 for attacks that use none.
        target: the most that our time may be of the fastest peer of full strength, from the issue of this benchmark.
        entries: ours first.
        rounds: how often each is measured.
        judged: cases that the perturbed ones answer for, where they are not the subject's own (universal, patch).
    """

    name: str
    subject: Subject
    norm: Norm
    limit: float
    strength: Literal["standing", "median"]
    passes: int
    target: float | None
    entries: Sequence[Entry]
    rounds: int = 5
    note: str = ""
    judged: tuple[Tensor, Tensor] | None = None


@dataclass
class Figure:
    """What came of one entry: seconds of each round, and the strength of its changes."""

    library: str
    settings: str
    seconds: list[float] = field(default_factory=list)
    strength: float = float("nan")
    outside: int = 0
    failure: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else float("nan")


def measured(row: Row, say: Callable[[str], None]) -> dict[str, Any]:
    """All entries of a row, one after another in every round, so that a slow moment of the machine hits all."""
    figures = [Figure(entry.library, entry.settings) for entry in row.entries]
    raw: list[float] = []
    for turn in range(row.rounds):
        if row.passes:
            raw.append(timed(lambda: row.subject.raw(row.passes), row.subject.device)[0])
        # Each round begins with another library.
        order = [(turn + place) % len(figures) for place in range(len(figures))]
        for place in order:
            figure = figures[place]
            if figure.failure is None and not _hopeless(figure, figures):
                _once(row, row.entries[place], figure, first=turn == 0)
        say(f"  round {turn + 1}/{row.rounds}: " + ", ".join(f"{each.library} {each.median:.2f}s" for each in figures))
    found = _summary(row, figures, raw)
    # A row that misses its target says why.
    return {**found, "shares": shares(row.entries[0].run) if found["holds"] is False else None}


def _hopeless(figure: Figure, figures: list[Figure]) -> bool:
    """Whether a peer was so slow once that it is not the fastest: one round of it tells enough."""
    quickest = min((each.median for each in figures[1:] if each.seconds), default=float("inf"))
    return figure is not figures[0] and bool(figure.seconds) and figure.median > _SLOW * quickest


def _once(row: Row, entry: Entry, figure: Figure, *, first: bool) -> None:
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    try:
        seconds, perturbed = timed(entry.run, row.subject.device)
    except Exception as error:
        # A peer that cannot do a row is a finding, not an end of the benchmark.
        if entry.library == "titer":
            raise
        figure.failure = f"{type(error).__name__}: {str(error)[:120]}"
        return
    figure.seconds.append(seconds)
    if first:
        figure.strength, figure.outside = _strength(row, perturbed)


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Processor time, which other programs do not lengthen; on a graphics card the time until it is done."""
    clock = time.process_time if device.type == "cpu" else _until_done
    gc.collect()
    gc.disable()
    try:
        start = clock()
        result = work()
        return clock() - start, result
    finally:
        gc.enable()


def _until_done() -> float:
    torch.accelerator.synchronize()
    return time.perf_counter()


def _strength(row: Row, perturbed: Tensor) -> tuple[float, int]:
    """The strength of changes as the row counts it, and how many cases broke the limit or the range."""
    inputs, labels = row.judged or (row.subject.inputs, row.subject.labels)
    inputs, labels = inputs.to(row.subject.device), labels.to(row.subject.device)
    perturbed = perturbed.detach().float().to(row.subject.device)
    with torch.no_grad():
        wrong = torch.cat([row.subject.module(part).argmax(dim=1) for part in perturbed.split(256)]) != labels
    moved = (perturbed - inputs).flatten(1)
    size = {"linf": moved.abs().amax(dim=1), "l2": moved.norm(dim=1), "l0": (moved.abs() > 1e-6).sum(dim=1).float()}
    within = (perturbed >= -1e-5).flatten(1).all(dim=1) & (perturbed <= 1 + 1e-5).flatten(1).all(dim=1)
    if row.norm == "free":
        return float((~(wrong & within)).float().mean()), int((~within).sum())
    if row.strength == "median":
        cost = torch.where(wrong & within, size[row.norm], torch.full_like(moved[:, 0], torch.inf))
        return float(cost.median()), int((~within).sum())
    fair = within & (size[row.norm] <= row.limit * (1 + _SLACK))
    return float((~(fair & wrong)).float().mean()), int((~fair).sum())


def _summary(row: Row, figures: list[Figure], raw: list[float]) -> dict[str, Any]:
    ours, peers = figures[0], [each for each in figures[1:] if each.failure is None]
    best = min((each.strength for each in peers), default=float("nan"))
    room = best * (1 + _LEVEL) if row.strength == "median" else best + _LEVEL
    full = [each for each in peers if each.strength <= room]
    fastest = min(full, key=lambda each: each.median, default=None)
    ratio = None if fastest is None else ours.median / fastest.median
    stronger = bool(not peers or ours.strength <= best + 1e-9)
    return {
        "row": row.name,
        "subject": row.subject.name,
        "cases": len(row.subject.batch),
        "norm": row.norm,
        "limit": row.limit,
        "measure": row.strength,
        "target": row.target,
        "ratio_to_best_peer": ratio,
        "best_peer": None if fastest is None else fastest.library,
        "ratio_to_passes": ours.median / statistics.median(raw) if raw else None,
        "raw_seconds": statistics.median(raw) if raw else None,
        "passes": row.passes,
        "at_least_as_strong": stronger,
        "holds": None if ratio is None or row.target is None else bool(stronger and ratio <= row.target),
        "note": row.note,
        "entries": [{**asdict(each), "median": each.median} for each in figures],
    }

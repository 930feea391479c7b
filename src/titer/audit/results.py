"""Results: all tables of an audit, read back and lined up, for statistics, traps and report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.audit.jobs import Prepared, Trial
from titer.audit.limits import Radius
from titer.audit.maps import as_tabled
from titer.audit.table import Array, Table
from titer.models.task import Task

if TYPE_CHECKING:
    from titer.audit.plan import Subject
    from titer.audit.subject import Threatened
    from titer.cases.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Measured:
    """One trial of one cell with its answers, one row per case.

    Arguments
        trial: its place in the plan. task: meaning of scores, operating point included.
        before, after: tables of `titer.audit.work.clean` and `.attack`.
    """

    trial: Trial
    task: Task
    before: Table
    after: Table

    @cached_property
    def targets(self) -> Array:
        """Truth per case."""
        return self.before["target"]

    @cached_property
    def patients(self) -> Array:
        """Patient code per case; the same code is the same patient in every trial of a subject."""
        return self.before["patient"]

    @cached_property
    def right_before(self) -> Array:
        """Whether each clean decision was right."""
        return self.task.correct(self.before["scores"], self.targets)

    @cached_property
    def right_after(self) -> Array:
        """Whether each decision under attack was right."""
        return self.task.correct(self.after["scores"], self.targets)

    @cached_property
    def sick(self) -> Array | None:
        """Whether each case is diseased; None where the task knows no disease."""
        task = self.task
        if task.kind in ("regression", "multilabel", "segmentation") or (
            task.kind == "classes" and not task.positive and not task.two_sided
        ):
            return None
        return np.isin(self.targets, self._diseased)

    @cached_property
    def called_before(self) -> Array:
        """Whether each clean case was called diseased."""
        return np.isin(self.task.decide(self.before["scores"]), self._diseased)

    @cached_property
    def called_after(self) -> Array:
        """Whether each attacked case was called diseased."""
        return np.isin(self.task.decide(self.after["scores"]), self._diseased)

    @property
    def _diseased(self) -> tuple[int, ...]:
        return self.task.positive or (self.task.disease,)


@dataclass(frozen=True, eq=False)
class CellResults:
    """All trials of one model under one attack at one radius."""

    name: str
    subject: Subject
    dataset: Dataset
    threat: Threatened
    radius: Radius
    attack: str
    control: bool
    trials: tuple[Measured, ...]

    def pooled(self, column: Callable[[Measured], Array]) -> Array:
        """One column over all trials, end to end."""
        return np.concatenate([column(trial) for trial in self.trials])

    @property
    def task(self) -> Task:
        """Task of the first trial; trials differ in their threshold only."""
        return self.trials[0].task

    @property
    def is_main(self) -> bool:
        """Whether the radius is the one that summaries speak of."""
        return self.radius.value == self.threat.main.value


@dataclass(frozen=True, eq=False)
class RadiusResults:
    """The minimal radii of one model under one threat, all trials end to end.

    Arguments
        subject: place of the model in the plan. radius: [n] smallest cost that fooled; 0 where nothing was needed,
            infinite where nothing sufficed. patients, rows, queries, passes: [n].
        high, tolerance: the widest limit, and how far a radius may lie above the smallest limit.
    """

    subject: int
    dataset: Dataset
    threat: Threatened
    radius: Array
    patients: Array
    rows: Array
    queries: Array
    passes: Array
    trials: int
    high: float
    tolerance: float


@dataclass(frozen=True, eq=False)
class Results:
    """All cells of an audit, in the order of the plan, and the minimal radii where it asks for them."""

    prepared: Prepared
    cells: tuple[CellResults, ...]
    radii: tuple[RadiusResults, ...] = ()

    def of(self, subject: int) -> list[CellResults]:
        """Cells of one subject."""
        return [cell for cell in self.cells if cell.trials[0].trial.subject == subject]


def cell_name(prepared: Prepared, trial: Trial) -> str:
    """The name of a trial's cell; the same in every run of the plan.

    For example `t-cnn/additive-linf/4-255/pgd`.
    """
    threat = prepared.threats[trial.subject][trial.threat]
    label = prepared.radius(trial).label.replace("/", "-").replace(" ", "")
    return f"{prepared.subject(trial).name}/{threat.id}/{label}/{trial.attack}".replace(" ", "-").lower()


def collect(prepared: Prepared, get: Callable[[str], bytes]) -> Results:
    """Read the tables of all trials; `get` gives the bytes of a job's result."""
    tables: dict[str, Table] = {}

    def table(key: str) -> Table:
        if key not in tables:
            tables[key] = Table.of_bytes(get(key))
        return tables[key]

    grouped: dict[str, list[Measured]] = {}
    for trial in prepared.trials:
        before = table(trial.clean)
        task = _task(before)
        measured = Measured(trial, task, before, Table.of_bytes(get(trial.key)))
        grouped.setdefault(cell_name(prepared, trial), []).append(measured)
    cells = tuple(_cell(prepared, name, trials) for name, trials in grouped.items())
    searched: dict[tuple[int, int], list[tuple[Table, Table]]] = {}
    for each in prepared.radii:
        searched.setdefault((each.subject, each.threat), []).append((table(each.clean), Table.of_bytes(get(each.key))))
    return Results(prepared, cells, tuple(_radii(prepared, *place, pairs) for place, pairs in searched.items()))


def _radii(prepared: Prepared, subject: int, threat: int, pairs: list[tuple[Table, Table]]) -> RadiusResults:
    def end_to_end(name: str, side: int = 1) -> Array:
        return np.concatenate([pair[side][name] for pair in pairs])

    return RadiusResults(
        subject,
        prepared.datasets[subject],
        prepared.threats[subject][threat],
        end_to_end("radius"),
        end_to_end("patient", side=0),
        end_to_end("row"),
        end_to_end("queries"),
        end_to_end("passes"),
        len(pairs),
        float(pairs[0][1].facts["high"]),
        float(pairs[0][1].facts["tolerance"]),
    )


def _cell(prepared: Prepared, name: str, trials: list[Measured]) -> CellResults:
    trial = trials[0].trial
    threat = prepared.threats[trial.subject][trial.threat]
    search = threat.attack(trial.attack)
    return CellResults(
        name,
        prepared.subject(trial),
        prepared.datasets[trial.subject],
        threat,
        prepared.radius(trial),
        trial.attack,
        search.control,
        tuple(trials),
    )


def _task(before: Table) -> Task:
    """What the model of a trial decides, with the operating point that was fixed for it."""
    facts: dict[str, Any] = dict(before.facts)
    task = as_tabled(facts["task"])
    threshold = facts["threshold"]
    if task.two_sided or task.kind == "multilabel":
        return task.at(tuple(threshold) if isinstance(threshold, list) else float(threshold))
    return task

"""Traps, findings and gallery on a real run: a linear model, whose exact limits are known, through the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from build import USUAL, build
from torch import nn

from titer.attacks.engine import run
from titer.audit.findings.attack_lowers_accuracy import cell_tests
from titer.audit.gallery import attacked_case, gallery
from titer.audit.results import CellResults, Measured, Results
from titer.audit.table import Table
from titer.audit.traps import check_traps
from titer.audit.traps._cells import search_of
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task


class Head(nn.Module):
    """One logit: w . x + b on flattened pictures."""

    def __init__(self, weight: torch.Tensor, bias: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.tensor([bias]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight[:, None] + self.bias


@pytest.fixture(scope="module")
def results() -> Results:
    """Three trials of FGSM, PGD and noise at three radii, one of which covers the whole range."""
    return attacked(0.0)


class Moody(nn.Module):
    """Adds another number to every answer, each time it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.2 * torch.randn(x.shape, generator=self.generator)


def attacked(flatness: float, *after: nn.Module) -> Results:
    """The run; with `flatness` above 0 the model's slope vanishes wherever its logit is beyond 1 / flatness.

    `after` are layers behind the logit.
    """
    rng = np.random.default_rng(0)
    weight = rng.normal(size=64).astype(np.float32)
    skeleton = build(limits=("4", "12", "255/255"), task="binary", cases=120, seeds=(0, 1, 2))
    data = skeleton.prepared.datasets[0]
    margin = data.cases.inputs.reshape(len(data.cases), -1) @ weight
    bias = -float(np.median(margin))
    truth = (margin + bias + rng.normal(scale=0.8, size=len(margin)) > 0).astype(np.int64)
    data = replace(data, cases=replace(data.cases, targets=truth))
    task = Task("binary", data.classes, (1,))
    head = Head(torch.from_numpy(weight), bias)
    module = nn.Sequential(head, *after, *([nn.Hardtanh(-1 / flatness, 1 / flatness)] if flatness else []))
    model = TorchModel(module, data.space, task, name="linear")

    def measured(cell: CellResults, trial: Measured) -> Measured:
        cases = data.cases.take(trial.before["row"])
        columns = {"row": trial.before["row"], "patient": cases.patients, "target": cases.targets}
        before = Table({**columns, "scores": model.predict(cases.inputs)}, trial.before.facts)
        threat = cell.threat.model_at(cell.radius, "gradients")
        outcome = run(search_of(cell), model, cases, threat, seed=trial.trial.key)
        pictures = np.empty(len(outcome), dtype=object)
        for row in np.flatnonzero(task.correct(before["scores"], cases.targets) & outcome.fooled)[:2]:
            pictures[row] = outcome.perturbed[row].tobytes()
        names = ("fooled", "scores", "clean_scores", "cost", "queries", "passes", "flat", "broken", "violated")
        found = {name: getattr(outcome, name) for name in names}
        facts = {"dtype": outcome.perturbed.dtype.str, "shape": list(outcome.perturbed.shape[1:])}
        after = Table({"row": trial.before["row"], **found, "picture": pictures}, facts)
        return Measured(trial.trial, task, before, after)

    cells = tuple(
        replace(cell, dataset=data, trials=tuple(measured(cell, trial) for trial in cell.trials))
        for cell in skeleton.cells
    )
    return Results(replace(skeleton.prepared, datasets=(data,)), cells)


def test_every_trap_that_applies_is_passed(results):
    traps = {trap.id: trap for trap in check_traps(results)}
    assert [name for name, trap in traps.items() if trap.status == "failed"] == []
    assert traps["whole_range"].status == "passed"
    assert {name for name, trap in traps.items() if trap.status == "not applicable"} == {
        "white_box_not_weaker",
        "effort_helps",
        # The plan sets no limits to judge.
        "enough_cases",
    }


def test_a_model_that_hides_its_gradients_is_found_out(results):
    masked = {trap.id: trap for trap in check_traps(attacked(2.0))}
    assert masked["gradients_alive"].status == "failed"
    assert masked["whole_range"].status == "failed"
    assert "pgd" in " ".join(masked["gradients_alive"].cells)


def test_a_model_that_answers_at_random_is_found_out(results):
    moody = {trap.id: trap.status for trap in check_traps(attacked(0.0, Moody()))}
    assert moody["steady_answers"] == "failed"
    assert moody["above_guessing"] == "passed"


def test_the_drop_that_is_tested_is_the_drop_that_was_measured(results):
    cell = next(cell for cell in results.cells if cell.is_main and cell.attack == "pgd")
    drop = np.mean([100 * (t.right_before.mean() - t.right_after.mean()) for t in cell.trials])
    first = cell_tests(cell, np.random.default_rng(0))[0]
    assert first.estimate == pytest.approx(drop)
    assert drop > 10


def test_what_the_gallery_shows_keeps_the_limit(results):
    items = gallery(results)
    assert len(items) == 2
    cell = next(cell for cell in results.cells if cell.name == items[0].cell)
    trial = cell.trials[0]
    for row in [row for row, each in enumerate(trial.after["picture"]) if each is not None]:
        clean = cell.dataset.cases.inputs[trial.before["row"][row]]
        assert np.abs(attacked_case(trial, row) - clean).max() == pytest.approx(cell.radius.value, rel=1e-4)
    assert all(item.clean.label == item.true_label != item.adversarial.label for item in items)


def test_tables_survive_their_file(results):
    """Pictures, booleans and scores come back from Parquet as they were, so a stored run is judged alike."""

    def stored(table: Table) -> Table:
        return Table.of_bytes(table.to_bytes())

    again = tuple(
        replace(
            cell,
            trials=tuple(replace(t, before=stored(t.before), after=stored(t.after)) for t in cell.trials),
        )
        for cell in results.cells
    )
    kept = replace(results, cells=again)
    assert check_traps(kept) == check_traps(results)
    assert gallery(kept) == gallery(results)
    assert {search.name for search in USUAL} == {cell.attack for cell in kept.cells}

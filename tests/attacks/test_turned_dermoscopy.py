"""Real skin lesions, seen at another angle: melanoma against nevus, as whoever holds the camera may choose it."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, run
from titer.attacks.grid import Grid
from titer.attacks.natural import Natural
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.threats.change import Change
from titer.threats.changes.affine import Affine
from titer.threats.changes.corruption import Corruption
from titer.threats.threat import ThreatModel

SIZE = 32


def lesions(folder: Path, part: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The middle of each picture as [n, 3, SIZE, SIZE], and whether it is a melanoma."""
    image = pytest.importorskip("PIL.Image")
    with (folder / "labels.csv").open(newline="") as lines:
        wanted = [row for row in csv.DictReader(lines) if row["split"] == part and row["dx"] in ("mel", "nv")]
    pictures = []
    with zipfile.ZipFile(folder / "images.zip") as archive:
        held = {Path(name).stem: name for name in archive.namelist()}
        for row in wanted:
            picture = image.open(io.BytesIO(archive.read(held[row["image_id"]]))).convert("RGB")
            pictures.append(np.asarray(picture.resize((SIZE, SIZE), image.Resampling.BOX, box=(25, 0, 175, 150))))
    inputs = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 255
    return inputs, np.array([row["dx"] == "mel" for row in wanted], dtype=np.int64)


@pytest.fixture(scope="module")
def model_and_cases(real_data: Path) -> tuple[TorchModel, Batch]:
    folder = real_data / "dermoscopy_ham10000"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs {folder.name} in TITER_DATA")
        pytest.skip(f"no folder {folder.name}")
    inputs, truth = (torch.from_numpy(part) for part in lesions(folder, "train"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(12, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(16 * 16, 2),
        )  # fmt: skip
        steps = torch.optim.Adam(net.parameters(), 2e-3, weight_decay=1e-4)
        for _ in range(25):
            for rows in torch.randperm(len(inputs)).split(32):
                steps.zero_grad()
                nn.functional.cross_entropy(net(inputs[rows] * 2 - 1), truth[rows]).backward()
                steps.step()
    space = Space("image", (3, SIZE, SIZE), "grey level (0-1)")
    task = Task("classes", ("nevus", "melanoma"), positive=(1,))
    return TorchModel(net, space, task, mean=0.5, std=0.5, name="dermoscopy"), Batch.of(*lesions(folder, "test"))


def attacked(setting: tuple[TorchModel, Batch], attack: Attack, change: Change, limit: float) -> Outcome:
    model, batch = setting
    outcome = run(attack, model, batch, ThreatModel(change, limit, knowledge=attack.needs), seed="s")
    assert not outcome.violated.any()
    return outcome


def test_the_angle_alone_changes_diagnoses(model_and_cases: tuple[TorchModel, Batch]) -> None:
    model, batch = model_and_cases
    clean = model.task.correct(model.predict(batch.inputs), batch.targets).mean()
    assert clean > 0.7
    turns = Affine(padding="reflect", shift=0)
    grid, ten, one = (
        1 - attacked(model_and_cases, attack, turns, 30.0).fooled.mean()
        for attack in (Grid(), RandomSearch(queries=10), RandomSearch(queries=1))
    )
    assert grid <= ten <= one <= clean
    assert grid < clean


def test_angle_and_place_cost_far_more_than_chance_and_nature(model_and_cases: tuple[TorchModel, Batch]) -> None:
    model, batch = model_and_cases
    clean = model.task.correct(model.predict(batch.inputs), batch.targets).mean()
    both = Affine(padding="reflect")
    grid, walk, ten, one = (
        1 - attacked(model_and_cases, attack, both, 1.0).fooled.mean()
        for attack in (Grid(), PGD(steps=10), RandomSearch(queries=10), RandomSearch(queries=1))
    )
    assert clean - grid >= 0.1
    assert grid <= walk
    assert grid <= ten <= one
    assert clean - one < 0.5 * (clean - grid)
    nature = 1 - attacked(model_and_cases, Natural(), Corruption(only=("noise", "blur", "blocks")), 0.2).fooled.mean()
    assert clean - nature < 0.5 * (clean - grid)

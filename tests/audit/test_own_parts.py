"""Own models are tested on the parts that their data name: seen from a file to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import titer

PLAN: dict[str, Any] = {"threats": [{"norm": "linf", "limits": [0.1]}], "attacks": ["random_search", "noise"],
                        "resamples": 200}  # fmt: skip


def table(folder: Path, *, parts: bool) -> Path:
    rng = np.random.default_rng(3)
    value = rng.normal(0, 1, 120)
    lines = ["a,b,label" + (",split" if parts else "")]
    for row, one in enumerate(value):
        split = ("train", "train", "train", "val", "test")[row % 5]
        lines.append(
            f"{one:.4f},{rng.normal():.4f},{'sick' if one > 0 else 'healthy'}" + (f",{split}" if parts else "")
        )
    path = folder / "cases.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def share(cases: Any) -> Any:
    sick = 1 / (1 + np.exp(-4 * np.asarray(cases, dtype=np.float64)[:, :1]))
    return np.concatenate((1 - sick, sick), axis=1)


@pytest.mark.parametrize("threshold", [None, "youden", 0.3])
def test_only_the_test_part_of_a_table_is_attacked(tmp_path: Path, threshold: Any) -> None:
    plan = {**PLAN, **({} if threshold is None else {"threshold": threshold})}
    report = titer.audit(share, table(tmp_path, parts=True), plan)
    assert {cell.n_cases for cell in report.cells} == {24}
    assert {part.split: part.n for part in report.datasets[0].splits} == {"train": 72, "validation": 24, "test": 24}
    said = report.models[0].task.threshold_source
    assert said == {None: "the model's own decision rule", "youden": "youden on 24 validation cases",
                    0.3: "given in the plan: probability above 0.3"}[threshold]  # fmt: skip


def test_a_table_without_parts_is_tested_as_a_whole(tmp_path: Path) -> None:
    report = titer.audit(share, table(tmp_path, parts=False), PLAN)
    assert {cell.n_cases for cell in report.cells} == {120}


def test_the_plan_may_say_that_the_model_never_saw_these_cases(tmp_path: Path) -> None:
    plan = {**PLAN, "data": {"split": {"by": "patient"}}}
    report = titer.audit(share, table(tmp_path, parts=True), plan)
    assert {cell.n_cases for cell in report.cells} == {120}

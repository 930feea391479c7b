"""Segmentations in audits: Dice and IoU with intervals, cases that fall below the tolerance, outlines."""

from __future__ import annotations

import base64
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from titer.audit import maps
from titer.audit.api import audit
from titer.audit.driver import opened
from titer.audit.findings._words import outcome
from titer.audit.plan_file import check_plan
from titer.audit.report.files import canonical_json, load_report
from titer.audit.report.pictures import outlined_uri
from titer.audit.report.render import render_html
from titer.audit.report.schema import ImageItem, Report, SegmentationMetrics
from titer.audit.traps.above_guessing import gain_over_constant
from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.errors import PlanError
from titer.models.task import Task

PLAN: dict[str, Any] = {
    "titer": 1,
    "data": {"name": "chest_phantom", "options": {"cases": 240, "size": 24, "task": "segmentation"}, "cases": 40},
    "model": {"zoo": "t_unet", "epochs": 8},
    "threats": [{"change": "additive", "norm": "linf", "limits": ["1/255", "8/255"], "main": "8/255"}],
    "attacks": [{"name": "pgd", "steps": 5, "restarts": 1}, "noise"],
    "tolerance": 0.3,
    "resamples": 200,
    "fail_if": ["dice < 0.05 at 8/255", "dice_drop > 90 at 8/255"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("segmentation")


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    made = audit("t-unet", "chest_phantom", PLAN, out=folder)
    made.save(folder)
    return made


def block(report: Report, attack: str, limit: str) -> SegmentationMetrics:
    cell = next(cell for cell in report.cells if (cell.attack, cell.limit.label) == (attack, limit))
    assert isinstance(cell.metrics, SegmentationMetrics)
    return cell.metrics


def test_dice_and_iou_are_means_over_cases_with_intervals(report: Report, folder: Path) -> None:
    import pyarrow.parquet as pq

    found = block(report, "pgd", "8/255")
    rows = pq.read_table(folder / "results.parquet").to_pandas()
    mine = rows[(rows.attack == "pgd") & np.isclose(rows.limit, 8 / 255)]
    assert found.dice_attacked.value == pytest.approx(mine.score_attacked.mean(), abs=1e-9)
    assert found.dice_clean.value == pytest.approx(mine.score_clean.mean(), abs=1e-9)
    for measure in (found.dice_clean, found.dice_attacked, found.iou_clean, found.iou_attacked):
        assert measure.low is not None
        assert measure.high is not None
        assert measure.low <= measure.value <= measure.high
        assert "bootstrap" in measure.method
        assert measure.n == 40
    assert found.iou_attacked.value < found.dice_attacked.value < found.dice_clean.value
    assert found.dice_drop.value == pytest.approx(100 * (found.dice_clean.value - found.dice_attacked.value))


def test_the_attack_success_rate_is_the_share_that_fell_below_the_tolerance(report: Report, folder: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "results.parquet").to_pandas()
    mine = rows[(rows.attack == "pgd") & np.isclose(rows.limit, 8 / 255)]
    reached = mine[mine.score_clean >= 0.3]
    found = block(report, "pgd", "8/255").attack_success_rate
    assert found is not None
    assert found.value == pytest.approx((reached.score_attacked < 0.3).mean())
    assert found.n == len(reached)
    noise = block(report, "noise", "8/255").attack_success_rate
    assert noise is not None
    assert noise.value < found.value


def test_the_whole_report_is_there_reads_back_and_renders(report: Report, folder: Path) -> None:
    assert canonical_json(load_report(folder)) == canonical_json(report)
    assert report.models[0].task.kind == "segmentation"
    assert (report.models[0].task.tolerance, report.models[0].task.measure) == (0.3, "dice")
    assert {rule.status for rule in report.limits.rules} <= {"held", "broken", "not judged"}
    assert not report.error_shifts
    assert {curve.measure for curve in report.curves} == {"share of maps that reach the tolerance"}
    page = render_html(report)
    assert "Reach the tolerance" in page
    assert "its Dice is" in page
    statuses = {trap.id: trap.status for trap in report.traps}
    assert statuses["same_cases"] == statuses["steady_answers"] == "passed"
    assert statuses["two_sides"] == "not applicable"
    assert report.comparisons


def test_the_gallery_draws_the_true_outline_and_the_models(report: Report) -> None:
    items = [item for item in report.gallery if isinstance(item, ImageItem)]
    assert items
    for item in items:
        assert item.outlines is not None
        assert "Dice" in item.clean.label
        assert "% of the case" in item.true_label
        width, height = struct.unpack(">II", base64.b64decode(item.outlines.clean_png.partition(",")[2])[16:24])
        assert (width, height) == (192, 192)
        assert item.outlines.clean_png != item.outlines.adversarial_png
    assert "Outlines before" in render_html(report)


def test_results_are_the_same_bits_when_one_cell_runs_alone(folder: Path, report: Report) -> None:
    from titer.audit.jobs import only
    from titer.audit.subject import renamed

    prepared = opened(check_plan({**PLAN, "model": {"zoo": "t_unet", "epochs": 8}}), None)
    cell = report.cells[0].id
    part = only(prepared, cell)
    assert {job.key for job in part.jobs} <= {job.key for job in prepared.jobs}
    assert renamed(prepared.plan) == prepared.plan


def test_the_words_and_rules_of_maps_are_checked_before_work_starts() -> None:
    with pytest.raises(PlanError, match="a 'tolerance' for a segmentation"):
        opened(check_plan({key: value for key, value in PLAN.items() if key != "tolerance"}), None)
    with pytest.raises(PlanError, match="above 0, up to 1"):
        opened(check_plan({**PLAN, "tolerance": 3}), None)
    with pytest.raises(PlanError, match="a measure of segmentation"):
        opened(check_plan({**PLAN, "fail_if": ["robust_accuracy < 0.5"]}), None)
    with pytest.raises(PlanError, match="-100 to 100 points for dice_drop"):
        opened(check_plan({**PLAN, "fail_if": ["dice_drop > 400"]}), None)
    with pytest.raises(PlanError, match="two sides"):
        opened(check_plan({**PLAN, "threshold": "youden"}), None)


def test_agreement_of_several_classes_and_of_constant_maps() -> None:
    task = Task("segmentation", ("none", "a", "b"), tolerance=0.5)
    true = np.array([[0, 1, 1, 2], [0, 0, 0, 0]])
    scores = np.moveaxis(np.eye(3)[np.array([[0, 1, 0, 2], [0, 0, 0, 1]])], -1, 1)
    found = maps.columns(task, scores, true)
    np.testing.assert_allclose(found["dice"], [(2 / 3 + 1) / 2, 0.5])
    np.testing.assert_allclose(found["iou"], [(0.5 + 1) / 2, 0.5])
    np.testing.assert_allclose(maps.constant(task, true), [0.0, 1.0])
    pixels = Task("segmentation", ("none", "a", "b"), tolerance=0.5, measure="pixels")
    np.testing.assert_allclose(maps.columns(pixels, scores, true)["scores"][:, 0], [0.75, 0.75])
    other = Task("classes", ("a", "b"))
    assert maps.columns(other, scores, true, "clean_") == {"clean_scores": scores}


def test_a_model_must_beat_the_best_constant_map() -> None:
    class Trial:
        task = maps.as_tabled({"kind": "segmentation", "classes": ["n", "y"], "positive": [], "tolerance": 0.5})
        targets = np.array([0.1, 0.0, 0.2, 0.3])
        patients = np.arange(4)
        before: ClassVar[dict[str, Any]] = {
            "scores": np.array([[0.9], [1.0], [0.8], [0.7]]),
            "constant": np.array([0.0, 1.0, 0.0, 0.0]),
        }

    gain, error = gain_over_constant(Trial())  # type: ignore[arg-type, misc]
    assert gain == pytest.approx(0.6)
    assert error == pytest.approx(np.sqrt(np.var([0.9, 0.0, 0.8, 0.7]) / 4))


def test_outlines_run_inside_of_what_is_marked() -> None:
    marked = np.zeros((6, 6), dtype=int)
    marked[1:5, 1:5] = 1
    nothing = np.zeros_like(marked)
    plain = outlined_uri(np.zeros((6, 6)), nothing, nothing)
    assert outlined_uri(np.zeros((6, 6)), marked, nothing) != plain
    large = np.zeros((400, 300))
    big = np.zeros(large.shape, dtype=int)
    big[100:200, 50:90] = 1
    assert outlined_uri(large, big, big) != outlined_uri(large, np.zeros_like(big), np.zeros_like(big))


def test_what_a_segmentation_is_judged_by_has_its_own_words() -> None:
    class Cell:
        task = maps.as_tabled({"kind": "segmentation", "classes": ["n", "y"], "positive": [], "tolerance": 0.5})

    assert outcome(Cell()) == "the share of maps that reach the tolerance"  # type: ignore[arg-type]


def test_a_u_net_for_gliomas_loses_its_outlines(real_data: Path) -> None:
    folder = real_data / "brain_tumor_seg_lgg"
    if not folder.is_dir():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no folder brain_tumor_seg_lgg")
    packed = np.load(folder / "flair96.npz")
    masks = (
        np.unpackbits(packed["masks_packed"], axis=1)[:, : 96 * 96].reshape(-1, 32, 3, 32, 3).mean(axis=(2, 4)) > 0.5
    )
    pictures = packed["images"].reshape(-1, 1, 32, 3, 32, 3).mean(axis=(3, 5)).astype(np.float32) / 255
    codes = np.unique(packed["patient"], return_inverse=True)[1]
    data = Dataset(
        DataCard("gliomas", "FLAIR slices", "CC-BY-NC-SA-4.0", "Buda et al. 2019", "a folder", "92 patients"),
        Space("image", (1, 32, 32), "grey level (0-1)", 0.0, 1.0),
        "segmentation",
        ("background", "tumor"),
        (),
        replace(Batch.of(pictures, masks.astype(np.int64)), patients=codes.astype(np.int64)),
        official=packed["split"],
    )
    plan = {
        "data": {"split": {"by": "official", "near_duplicates": "report"}, "cases": 40},
        "model": {"epochs": 6},
        "threats": [{"limits": ["8/255"]}],
        "attacks": [{"name": "pgd", "steps": 5, "restarts": 1}],
        "tolerance": 0.5,
        "resamples": 200,
    }
    found = audit("t-unet", data, plan).cells[0].metrics
    assert isinstance(found, SegmentationMetrics)
    assert found.dice_clean.value > 0.3
    assert found.dice_drop.value > 10

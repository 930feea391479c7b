"""Minimal radii in audits: exact on linear models, censored above the widest limit, from one run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from titer.audit.api import audit
from titer.audit.assemble.radii import grid, median
from titer.audit.driver import opened
from titer.audit.jobs import only
from titer.audit.plan_file import check_plan
from titer.audit.report.files import canonical_json, load_report
from titer.audit.report.render import render_html
from titer.audit.report.schema import SCHEMA_VERSION, MinimalRadii, Report
from titer.audit.run.job import resolve
from titer.audit.table import Table
from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.errors import PlanError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models

CARD = DataCard("made", "made for a test", "none", "none", "none", "none", synthetic=True)


def linear() -> tuple[TorchModel, Dataset, Any]:
    """w . x + b, cases of which every fourth is answered wrongly, and each case's exact radius in L-infinity."""
    import torch

    rng = np.random.default_rng(3)
    weight = rng.normal(size=(1, 6))
    space = Space("table", (6,), "unit", -50.0, 50.0)
    module = models.Affine(torch.from_numpy(weight), torch.zeros(1, dtype=torch.float64))
    model = TorchModel(module, space, Task("binary", ("no", "yes")), name="plane")
    inputs = rng.normal(size=(120, 6))
    scores = model.predict(inputs)[:, 0]
    targets = (scores > 0).astype(np.int64)
    targets[::4] = 1 - targets[::4]
    exact = np.where(np.arange(120) % 4 == 0, 0.0, np.abs(scores) / np.abs(weight).sum())
    return model, Dataset(CARD, space, "binary", ("no", "yes"), (1,), Batch.of(inputs, targets)), exact


def plan(**radii: Any) -> dict[str, Any]:
    threat = {"change": "additive", "norm": "linf", "limits": [0.05, 0.2], "radii": radii}
    return {"threats": [threat], "attacks": ["fgsm"], "resamples": 200}


@pytest.fixture(scope="module")
def report() -> Report:
    model, data, _ = linear()
    return audit(model, data, plan(attack="fgsm", high=5, tolerance=0.0005))


def test_the_median_is_that_of_the_exact_distances_of_the_cases_that_had_to_be_turned(report: Report) -> None:
    (found,) = report.minimal_radii
    exact = np.sort(linear()[2][linear()[2] > 0])
    assert found.median is not None
    assert found.median.value == pytest.approx(exact[(len(exact) - 1) // 2], abs=0.0006)
    assert found.median.n == len(exact) == 90
    rank = int(binom.ppf(0.025, 90, 0.5))
    assert found.median.low == pytest.approx(exact[rank - 1], abs=0.0006)
    assert found.median.high == pytest.approx(exact[90 - rank], abs=0.0006)
    assert "order statistics" in found.median.method
    assert "too large" in found.median.method
    assert (found.needed_nothing.k, found.never.k) == (30, 0)
    assert (found.high.value, found.tolerance) == (5, 0.0005)


def test_the_curve_is_the_share_of_larger_distances_from_no_change_to_the_widest_limit(report: Report) -> None:
    (found,) = report.minimal_radii
    exact = linear()[2]
    assert found.points[0].limit == 0
    assert found.points[0].measure.value == report.cells[0].metrics.clean_accuracy.value
    assert found.points[-1].limit == 5
    assert len(found.points) <= 40
    for point in found.points:
        near = [(exact > point.limit + slack).mean() for slack in (0.001, -0.001)]
        assert near[0] - 1e-9 <= point.measure.value <= near[1] + 1e-9
        assert point.measure.low is not None
    values = [point.measure.value for point in found.points]
    assert values == sorted(values, reverse=True)


def test_the_curve_agrees_with_the_attack_at_single_limits(report: Report) -> None:
    (found,) = report.minimal_radii
    for cell in report.cells:
        nearest = max((p for p in found.points if p.limit <= cell.limit.value), key=lambda p: p.limit)
        assert cell.metrics.robust_accuracy.value == pytest.approx(nearest.measure.value, abs=3 / 120)


def test_radii_above_the_widest_limit_are_only_counted() -> None:
    model, data, exact = linear()
    high = float(np.quantile(exact[exact > 0], 0.3))
    (found,) = audit(model, data, plan(attack="fgsm", high=f"{high:.4f}", tolerance=0.0005)).minimal_radii
    assert found.median is None
    assert found.at_least is None
    assert found.never.k == int((exact > high).sum())
    near = float(np.quantile(exact[exact > 0], 0.55))
    (found,) = audit(model, data, plan(attack="fgsm", high=f"{near:.4f}", tolerance=0.0005)).minimal_radii
    assert found.median is not None
    assert (found.median.low, found.median.high) == (None, None)
    assert found.at_least is not None
    assert found.at_least < found.median.value


def test_an_attack_that_minimizes_runs_once_within_the_largest_limit_of_the_threat() -> None:
    model, data, exact = linear()
    (found,) = audit(model, data, plan(attack={"name": "fmn", "steps": 30})).minimal_radii
    assert found.high.value == 0.2
    assert found.tolerance == 0
    assert found.settings["steps"] == 30
    assert found.never.value == pytest.approx((exact > 0.2).mean(), abs=0.03)


def test_the_page_draws_the_staircase_and_says_the_median(report: Report, tmp_path: Path) -> None:
    page = render_html(report)
    assert 'id="figure-radii"' in page
    assert "plane under fgsm: 0." in page
    assert page.count("minimal radii</title>") == 1
    back = load_report(report.save(tmp_path / "report.json"))
    assert canonical_json(back) == canonical_json(report)
    assert back.schema_version == SCHEMA_VERSION == "1.1"
    censored = report.model_copy(
        update={"minimal_radii": (report.minimal_radii[0].model_copy(update={"median": None, "at_least": 0.4}),)}
    )
    assert "the median lies above 5 unit (95% interval from 0.4)" in render_html(censored)


def test_radii_are_jobs_of_their_own_that_touch_no_other() -> None:
    base = {"titer": 1, "data": {"name": "breast_biopsies", "cases": 20}, "model": {"zoo": "t_mlp", "epochs": 1}}
    with_radii = opened(check_plan({**base, **plan(attack="pgd")}), None)
    without = {**base, **plan()}
    without["threats"] = [{key: value for key, value in without["threats"][0].items() if key != "radii"}]
    plain = opened(check_plan(without), None)
    assert {job.key for job in plain.jobs} < {job.key for job in with_radii.jobs}
    (extra,) = [job for job in with_radii.jobs if job.function.endswith(":radii")]
    other = opened(check_plan({**base, **plan(attack="pgd", tolerance=0.01)}), None)
    assert extra.key not in {job.key for job in other.jobs}
    results: dict[str, bytes] = {}
    for job in with_radii.jobs:
        if job.function.endswith(":attack"):
            continue
        results[job.key] = resolve(job.function)(json.loads(job.settings), {key: results[key] for key in job.after})
    table = Table.of_bytes(results[extra.key])
    assert table.facts["high"] == 0.2
    assert len(table) == 20
    assert ((table["radius"] <= 0.2 * (1 + 1e-6)) | np.isinf(table["radius"])).all()
    cell = "t_mlp/additive-linf/0.05/fgsm"
    assert not only(with_radii, cell).radii


@pytest.mark.parametrize(
    ("radii", "more", "said"),
    [
        ({"attack": "noise"}, {}, "an attack for 'radii'"),
        ({"attack": "universal"}, {}, "an attack for 'radii'"),
        ({"attack": "greedy"}, {}, "an attack for 'radii'"),
        ({"attack": "pgd", "tolerance": 0.2}, {}, "a tolerance below the widest limit"),
        ({"attack": "pgd"}, {"queries": 50}, "no 'queries' beside 'radii'"),
        ({"attack": "pgd", "hihg": 1}, {}, "a known key"),
        ({"attack": "pdg"}, {}, "pgd"),
    ],
)
def test_what_cannot_be_searched_is_refused(radii: dict[str, Any], more: dict[str, Any], said: str) -> None:
    made: dict[str, Any] = {"titer": 1, "data": {"name": "breast_biopsies"}, "model": {"zoo": "t_mlp"}, **plan(**radii)}
    made["threats"][0].update(more)
    with pytest.raises(PlanError, match=said):
        opened(check_plan(made), None)


def test_patients_are_resampled_where_they_have_several_cases_and_censored_radii_stay_censored() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 3)
    radius = np.exp(rng.normal(size=60))[patients] + 0.01 * rng.random(180)
    measure, at_least = median(radius, patients, "mV", 0.0, 500)
    assert measure is not None
    assert "bootstrap" in measure.method
    assert at_least is None
    assert measure.low is not None
    assert measure.high is not None
    assert measure.low < np.median(radius) < measure.high
    by_case, _ = median(radius, np.arange(180), "mV", 0.0, 500)
    assert by_case is not None
    assert (by_case.high or 0) - (by_case.low or 0) < measure.high - measure.low
    cut = np.where(radius > np.median(radius) * 1.05, np.inf, radius)
    censored, lowest = median(cut, patients, "mV", 0.0, 500)
    assert censored is not None
    assert censored.low is None
    assert lowest is not None
    assert lowest == pytest.approx(measure.low, rel=0.05)
    gone, lowest = median(np.where(radius > np.quantile(radius, 0.2), np.inf, radius), patients, "mV", 0.0, 500)
    assert gone is None
    assert lowest is None


def test_the_interval_of_the_median_holds_it_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        found, _ = median(rng.exponential(size=41), np.arange(41), "mV", 0.0, 200)
        assert found is not None
        held += (found.low or 0.0) <= math.log(2) <= (found.high or 0.0)
    assert held / 400 >= 0.93


def test_few_or_no_cases_have_no_interval() -> None:
    assert median(np.array([]), np.array([]), "mV", 0.0, 200) == (None, None)
    single, lowest = median(np.array([0.3, 0.4]), np.array([0, 0]), "mV", 0.0, 200)
    assert single is not None
    assert (single.value, single.low, lowest) == (0.3, None, None)
    few, lowest = median(np.array([0.3, 0.4]), np.array([0, 1]), "mV", 0.0, 200)
    assert few is not None
    assert (few.low, lowest) == (None, 0.0)
    assert grid(np.full(3, np.inf), 2.0) == [0.0, 2.0]


def test_every_word_of_the_block_is_described() -> None:
    assert all(field.description for field in MinimalRadii.model_fields.values())

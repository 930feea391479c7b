"""Attacks that learn run in plans as any other: taught on cases that the test never shows, and named by them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from titer.attacks.universal import Universal
from titer.audit.api import audit
from titer.audit.jobs import Prepared, prepare
from titer.audit.plan_file import check_plan
from titer.audit.run.job import resolve
from titer.audit.table import Table
from titer.audit.work import pool_of
from titer.cases.datasets.breast_biopsies import BreastBiopsies
from titer.cases.splits import split
from titer.errors import PlanError

PLAN: dict[str, Any] = {
    "titer": 1,
    "data": {"name": "breast_biopsies", "cases": 40},
    "model": {"zoo": "t_mlp", "epochs": 2},
    "threats": [{"change": "additive", "norm": "linf", "limits": [0.5]}],
    "attacks": [{"name": "universal", "epochs": 1, "pool": 60}, "fgsm"],
    "resamples": 200,
}


def done(prepared: Prepared) -> dict[str, bytes]:
    """The results of all jobs, one after another."""
    results: dict[str, bytes] = {}
    for job in prepared.jobs:
        payload = json.loads(job.settings)
        results[job.key] = resolve(job.function)(payload, {key: results[key] for key in job.after})
    return results


def universal(prepared: Prepared) -> str:
    return next(trial.key for trial in prepared.trials if trial.attack == "universal")


@pytest.mark.parametrize("trained", [True, False])
def test_the_pool_is_a_share_of_the_part_that_may_be_seen_and_never_of_the_test(trained: bool) -> None:
    data = BreastBiopsies().load(None)
    parts = split(data, seed=3)
    name, rows = pool_of(Universal(pool=50), data, parts, 3, trained)
    source = parts.train if trained else parts.validation
    assert name == ("train" if trained else "validation")
    assert 48 <= len(rows) <= 50
    assert set(rows) <= set(source)
    assert not set(rows) & set(parts.test)
    np.testing.assert_array_equal(rows, pool_of(Universal(pool=50), data, parts, 3, trained)[1])
    assert len(pool_of(Universal(pool=10_000), data, parts, 3, trained)[1]) == len(source)


def test_a_plan_that_names_one_simply_works_and_says_from_what_it_learned() -> None:
    prepared = prepare(check_plan(PLAN), None)
    results = done(prepared)
    table = Table.of_bytes(results[universal(prepared)])
    assert table.facts["pool"]["part"] == "train"
    assert 58 <= table.facts["pool"]["n"] <= 60
    assert not table["queries"].any()
    assert not table["violated"].any()
    assert results[universal(prepared)] == done(prepared)[universal(prepared)]
    other = next(trial.key for trial in prepared.trials if trial.attack == "fgsm")
    assert "pool" not in Table.of_bytes(results[other]).facts


def test_another_pool_is_another_job() -> None:
    smaller = {**PLAN, "attacks": [{"name": "universal", "epochs": 1, "pool": 50}, "fgsm"]}
    one, two = prepare(check_plan(PLAN), None), prepare(check_plan(smaller), None)
    assert universal(one) != universal(two)
    shared = {job.key for job in one.jobs} & {job.key for job in two.jobs}
    assert len(shared) == len(one.jobs) - 1


def test_a_split_without_cases_to_learn_from_is_refused_before_work_starts() -> None:
    data = BreastBiopsies().load(None)

    class Parts:
        train, validation, test = np.arange(0), np.arange(0), np.arange(20)

    with pytest.raises(PlanError, match="validation cases that universal can learn from"):
        pool_of(Universal(), data, Parts, 0, False)


def test_patches_are_audited_in_shares_of_the_side() -> None:
    plan = {
        **PLAN,
        "data": {"name": "chest_phantom", "options": {"cases": 120, "size": 16}, "cases": 16},
        "model": {"zoo": "t_cnn", "options": {"size": "mini"}, "epochs": 1},
        "threats": [{"change": "patch", "limits": [0.2, "40 %"]}],
        "attacks": [{"name": "patch", "epochs": 1}, {"name": "natural_patch", "crops": 1}, "noise"],
    }
    report = audit("t-cnn", "chest_phantom", plan)
    assert "at most 40 % of the shortest side" in report.threats[0].sentence
    assert {card.name: card.control for card in report.attacks} == {
        "patch": False,
        "natural_patch": True,
        "noise": True,
    }
    assert {cell.limit.unit for cell in report.cells} == {"of the shortest side"}

"""First plans: what is proposed for a kind of case runs as it is, from the command line and from Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

import titer
from titer.audit.driver import opened
from titer.audit.plan_file import check_plan, parse_plan
from titer.audit.propose import plan_for, proposed
from titer.cases.find import find_dataset
from titer.errors import PlanError
from titer.models.model import Access, allows
from titer.registry import ATTACKS, CHANGES

SMALL = {"chest_phantom": {"cases": 240}, "ecg_simulated": {"cases": 240}, "notes_template": {"cases": 240},
         "scan_phantom": {"cases": 240}}  # fmt: skip
FITTING = [
    ("breast_biopsies", "t_mlp"), ("diabetes_progression", "t_mlp"), ("chest_phantom", "t_cnn"),
    ("ecg_simulated", "t_rnn"), ("notes_template", "t_bow"), ("scan_phantom", "t_ae"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "model"), FITTING)
def test_a_first_plan_runs_as_it_is(data: str, model: str) -> None:
    options = SMALL.get(data, {})
    dataset = find_dataset(data, **options)
    text = plan_for(model, data, dataset, "gradients", settings={}, options=options)
    assert len(text.splitlines()) <= 15
    prepared = opened(parse_plan(text), None)
    assert prepared.trials
    settled: dict[str, Any] = proposed(dataset, "gradients", own=False)
    written = yaml.safe_load(text)
    for key, value in settled.items():
        assert key in ("name",) or written[key] == value, f"titer init and titer.audit() disagree about {key}"


@pytest.mark.parametrize("access", ["gradients", "scores", "labels"])
@pytest.mark.parametrize("data", ["breast_biopsies", "notes_template"])
def test_the_attacks_proposed_can_search_the_change_with_what_is_seen(data: str, access: Access) -> None:
    dataset = find_dataset(data, **SMALL.get(data, {}))
    settled = proposed(dataset, access, own=True)
    kinds = {CHANGES.find(threat["change"]): threat for threat in settled["threats"]}
    for kind, threat in kinds.items():
        change = kind(**({"norm": threat["norm"]} if "norm" in threat else {}))
        for name in settled["attacks"]:
            attack = ATTACKS.find(name)()
            assert attack.fits(change)
            assert allows(access, attack.needs)


def test_own_models_keep_their_own_rule() -> None:
    dataset = find_dataset("breast_biopsies")
    assert "threshold" not in proposed(dataset, "gradients", own=True)
    assert proposed(dataset, "gradients", own=False)["threshold"] == "youden"


def test_without_a_plan_the_audit_does_what_init_proposes() -> None:
    report = titer.audit("t-mlp", "breast_biopsies", epochs=2, resamples=200, attacks=["fgsm", "noise"])
    assert "titer init" in report.identity.title
    assert {cell.attack for cell in report.cells} == {"fgsm", "noise"}
    assert [limit.label for limit in report.threats[0].limits] == ["0.05", "0.1", "0.25", "0.5"]


def test_without_a_plan_a_function_is_attacked_by_what_it_gives() -> None:
    def logits(cases: Any) -> Any:
        side = (np.asarray(cases)[:, :1] - 14.0).astype(np.float64)
        return np.concatenate((side, -side), axis=1)

    report = titer.audit(logits, "breast_biopsies", resamples=200, attacks=["random_search", "noise"], access="scores")
    assert report.models[0].access == "scores"


def test_an_unknown_plan_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(PlanError, match="chest-xray-quick"):
        titer.audit("t-mlp", "breast_biopsies", "quick")
    assert "titer plans" not in str(titer.audit.api.audit.__doc__)


def test_a_regression_without_its_tolerance_is_refused_in_words() -> None:
    plan = check_plan({"titer": 1, "data": {"name": "diabetes_progression"}, "model": {"zoo": "t_mlp"},
                       "threats": [{"limits": [0.1]}]})  # fmt: skip
    with pytest.raises(PlanError, match="tolerance"):
        opened(plan, None)

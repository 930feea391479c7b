"""Surrogates in plans: named as models are, trained or loaded beside the target, part of the names of the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from titer.audit.api import audit
from titer.audit.jobs import Prepared, prepare
from titer.audit.plan_file import check_plan
from titer.audit.run.job import resolve
from titer.audit.subject import read_attacks, renamed
from titer.audit.table import Table
from titer.cases.datasets.breast_biopsies import BreastBiopsies
from titer.cases.splits import split
from titer.errors import AttackError, ModelError, PlanError
from titer.models.checkpoint import from_bytes, save
from titer.models.training import train
from titer.models.zoo.t_mlp import TMLP

PLAN: dict[str, Any] = {
    "titer": 1,
    "data": {"name": "breast_biopsies", "cases": 40},
    "model": {"zoo": "t_mlp", "epochs": 2},
    "threats": [{"change": "additive", "norm": "linf", "limits": [0.5]}],
    "attacks": [{"name": "transfer", "surrogates": ["t-mlp"], "attack": {"name": "pgd", "steps": 5}}, "fgsm"],
    "resamples": 200,
}


BEATS = {"name": "ecg_simulated", "options": {"cases": 60}}


def lending(*surrogates: Any, **settings: Any) -> dict[str, Any]:
    return {**PLAN, "attacks": [{"name": "transfer", "surrogates": list(surrogates), **settings}, "fgsm"]}


def ready(plan: dict[str, Any]) -> Prepared:
    return prepare(renamed(check_plan(plan)), None)


def done(prepared: Prepared) -> dict[str, bytes]:
    results: dict[str, bytes] = {}
    for job in prepared.jobs:
        payload = json.loads(job.settings)
        results[job.key] = resolve(job.function)(payload, {key: results[key] for key in job.after})
    return results


def transfer(prepared: Prepared) -> str:
    return next(trial.key for trial in prepared.trials if trial.attack.startswith("transfer"))


def trainings(prepared: Prepared) -> list[str]:
    return [job.key for job in prepared.jobs if job.function.endswith(":train")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = BreastBiopsies().load(None)
    model = train(TMLP(), data, split(data, seed=5), seed=5, epochs=2)
    return save(model, tmp_path_factory.mktemp("models") / "other.safetensors")


def test_a_reference_model_is_trained_beside_the_target_and_is_never_the_target_itself() -> None:
    prepared = ready(PLAN)
    results = done(prepared)
    own, lent = trainings(prepared)
    one, other = (from_bytes(results[key]) for key in (own, lent))
    assert one.record.recipe == other.record.recipe == "t_mlp"
    assert one.record.split == other.record.split
    assert one.record.seed != other.record.seed
    assert one.digest != other.digest
    table = Table.of_bytes(results[transfer(prepared)])
    assert table["fooled"].any()
    assert not table["queries"].any()
    assert not table["passes"].any()
    assert results[transfer(prepared)] == done(prepared)[transfer(prepared)]


def test_another_recipe_is_trained_with_the_seed_of_the_trial_and_once_for_all_that_need_it() -> None:
    plan = {**lending({"zoo": "t_rnn", "epochs": 1}), "data": BEATS, "model": {"zoo": "t_cnn1d"}}
    plan["threats"] = [{"change": "additive", "norm": "linf", "limits": [0.1, 0.5]}]
    prepared = ready(plan)
    assert len(trainings(prepared)) == 2
    fits = [json.loads(job.settings).get("fit") for job in prepared.jobs if job.function.endswith(":train")]
    assert fits == [None, 0]


def test_two_surrogates_of_one_recipe_are_two_models() -> None:
    assert len(set(trainings(ready(lending("t_mlp", "t_mlp", combine="each"))))) == 3


def test_surrogates_are_part_of_the_name_of_the_work(checkpoint: Path) -> None:
    plans = [
        lending("t_mlp"), lending({"zoo": "t_mlp", "epochs": 3}), lending(str(checkpoint)), lending("t_mlp", "t_mlp"),
        lending("t_mlp", attack="fgsm"), lending("t_mlp", attack={"name": "pgd", "steps": 6}),
    ]  # fmt: skip
    keys = {transfer(ready(plan)) for plan in plans}
    assert len(keys) == len(plans)


def test_a_checkpoint_is_loaded_and_nothing_more_is_trained(checkpoint: Path) -> None:
    prepared = ready(lending(str(checkpoint)))
    assert len(trainings(prepared)) == 1
    table = Table.of_bytes(done(prepared)[transfer(prepared)])
    assert table["fooled"].any()
    data = BreastBiopsies().load(None)
    moved = train(TMLP(), data, split(data, seed=6), seed=6, epochs=2)
    before = transfer(prepared)
    save(moved, checkpoint.with_name("moved.safetensors"))
    assert transfer(ready(lending(str(checkpoint.with_name("moved.safetensors"))))) != before


def test_a_checkpoint_can_be_the_audited_model_too(checkpoint: Path) -> None:
    report = audit(checkpoint, "breast_biopsies", {"threats": [{"limits": [0.3]}], "attacks": ["fgsm"],
                   "resamples": 200}, )  # fmt: skip
    assert report.models[0].family == "as given"
    assert report.models[0].access == "gradients"


def test_models_of_the_plan_attack_one_another_by_name() -> None:
    plan = {
        **{key: PLAN[key] for key in ("titer", "threats", "resamples")},
        "data": BEATS,
        "subjects": [
            {"name": "first", "model": {"zoo": "t_cnn1d"}, "attacks": [{"name": "transfer", "surrogates": ["second"]}]},
            {"name": "second", "model": {"zoo": "t_rnn", "epochs": 2}, "attacks": ["fgsm"]},
        ],
    }
    prepared = ready(plan)
    # The surrogate of the first is the second's own model, trained once.
    assert len(trainings(prepared)) == 2
    assert set(trainings(prepared)) <= {
        key for job in prepared.jobs if job.key == transfer(prepared) for key in job.after
    }


def test_a_model_of_the_users_has_surrogates_trained_on_cases_that_are_not_attacked() -> None:
    data = BreastBiopsies().load(None)
    weight = np.random.default_rng(0).normal(size=(data.space.shape[0], 2))
    report = audit(
        lambda x: x @ weight, data, {**{k: PLAN[k] for k in ("threats", "resamples")}, "attacks": ["noise", {
            "name": "transfer", "surrogates": [{"zoo": "t_mlp", "epochs": 1}]}]},
    )  # fmt: skip
    assert {part.split: part.n > 0 for part in report.datasets[0].splits}["train"]
    card = next(card for card in report.attacks if card.name == "transfer")
    assert card.settings["surrogates"] == [{"zoo": "t_mlp", "epochs": 1}]
    assert card.settings["attack"]["name"] == "pgd"


def test_in_python_surrogates_may_be_objects() -> None:
    data = BreastBiopsies().load(None)
    own, other = (train(TMLP(), data, split(data, seed=seed), seed=seed, epochs=2) for seed in (0, 1))
    plan = {"threats": [{"limits": [0.5]}], "attacks": [{"name": "transfer", "surrogates": [other]}], "resamples": 200}
    report = audit(own, data, plan)
    assert report.cells[0].metrics.attack_success_rate.value > 0


def test_what_cannot_serve_is_refused_before_any_work(checkpoint: Path) -> None:
    with pytest.raises(AttackError, match="one or more models as surrogates"):
        ready({**PLAN, "attacks": ["transfer"]})
    with pytest.raises(PlanError, match="a list of 'surrogates'"):
        ready({**PLAN, "attacks": [{"name": "transfer", "surrogates": "t_mlp"}]})
    with pytest.raises(PlanError, match="the name of a model"):
        ready(lending(3))
    with pytest.raises(PlanError, match="did you mean 'epochs'"):
        ready(lending({"zoo": "t_mlp", "epoch": 1}))
    with pytest.raises(ModelError, match="data that t_cnn can learn"):
        ready(lending("t_cnn"))
    with pytest.raises(ModelError, match="a model file"):
        ready(lending("nowhere.onnx"))
    with pytest.raises(PlanError, match="that give structure for tree_exact"):
        ready(lending("t_mlp", attack="tree_exact"))
    with pytest.raises(AttackError, match="an attack to run on the surrogates"):
        read_attacks(({"name": "transfer", "surrogates": ["t_mlp"], "attack": {
            "name": "transfer", "surrogates": ["t_mlp"]}},))  # fmt: skip
    with pytest.raises(PlanError, match="no settings for a checkpoint"):
        ready(lending({"path": str(checkpoint), "mean": 0.5}))
    narrow = lending("t_mlp")
    narrow["data"] = {**PLAN["data"], "split": {"fractions": [0, 0.5, 0.5]}}
    narrow["model"] = {"path": str(checkpoint)}
    with pytest.raises(PlanError, match="train cases to train the surrogates of transfer on"):
        ready(narrow)


def test_only_attacks_that_borrow_are_lent_models_and_only_lent_ones_search() -> None:
    from titer.attacks.pgd import PGD
    from titer.testing import models

    model, _ = models.linear(3, 4)
    with pytest.raises(AttackError, match="only attacks that borrow"):
        PGD().lent([model])
    ((_, named),) = read_attacks(({"name": "transfer", "surrogates": ["t_mlp"]},))
    assert named.lent([model]).surrogates == (model,)  # type: ignore[attr-defined]

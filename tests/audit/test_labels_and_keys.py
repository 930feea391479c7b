"""Several settings of one attack, several attackers of one change; jobs named by what makes their results."""

from __future__ import annotations

import importlib
import linecache
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import titer.audit.jobs as jobs_module
import titer.digest as digest_module
from titer.audit.driver import opened, run
from titer.audit.jobs import Prepared
from titer.audit.plan_file import parse_plan
from titer.audit.report.schema import Report
from titer.audit.results import cell_name
from titer.audit.run import choose
from titer.audit.subject import build, read_attacks
from titer.digest import digest_code
from titer.errors import PlanError
from titer.registry import ATTACKS, CHANGES, MODELS, Family

PLAN = """\
titer: 1
data: {name: breast_biopsies, cases: 40}
model: {zoo: t_mlp, epochs: 2}
threats:
  - {change: additive, norm: linf, limits: [0.25]}
  - {change: additive, norm: linf, limits: [0.25], knowledge: scores, queries: 30, attacks: [square, noise]}
  - {change: additive, norm: linf, limits: [0.25], knowledge: scores, queries: 60, attacks: [square, noise]}
attacks: [{name: pgd, steps: 2}, {name: pgd, steps: 6}, {name: pgd, steps: 4, restarts: 1, as: short walk}, noise]
resamples: 200
"""


def prepared(*changes: str) -> Prepared:
    return opened(parse_plan(PLAN, changes), None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(prepared(), tmp_path_factory.mktemp("labels"), choose("inline"))


def labels(*raw: Any) -> list[str]:
    return [label for label, _ in read_attacks(raw)]


def test_settings_tell_attacks_of_one_name_apart() -> None:
    pgd: dict[str, Any] = {"name": "pgd"}
    assert labels("fgsm", "pgd") == ["fgsm", "pgd"]
    assert labels({**pgd, "steps": 5}) == ["pgd"]
    assert labels({**pgd, "steps": 5}, pgd) == ["pgd steps=5", "pgd steps=20"]
    assert labels({**pgd, "steps": 5, "losses": ["ce"]}, {**pgd, "steps": 5, "losses": ["ce", "dlr"]}) == [
        "pgd losses=ce", "pgd losses=ce+dlr",
    ]  # fmt: skip
    assert labels({**pgd, "as": "a"}, {**pgd, "steps": 9}) == ["a", "pgd"]
    assert labels({**pgd, "momentum": 0.5}, {**pgd, "momentum": 1.0}) == ["pgd momentum=0.5", "pgd momentum=1"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (("pgd", "pgd"), "twice with the same settings"),
        (("pgd", {"name": "pgd", "steps": 20}), "twice with the same settings"),
        (("pgd", {"name": "pgd", "as": "again"}), "twice with the same settings"),
        (({"name": "pgd", "as": "x"}, {"name": "fgsm", "as": "x"}), "'x' twice"),
        (({"name": "pgd", "as": "a/b"},), "letters, digits"),
        (({"name": "pgd", "as": 3},), "letters, digits"),
        (({"name": "pgd", "as": "x" * 41},), "at most 40"),
        (({"name": "pgd", "as": "square"},), "no other attack's name"),
        (({"steps": 3},), "'name'"),
    ],
)
def test_labels_that_cannot_stand_are_refused(raw: Any, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        read_attacks(raw)


@pytest.mark.parametrize("family", [ATTACKS, CHANGES, MODELS], ids=lambda family: family.group)
def test_settings_of_every_method_are_read_and_one_of_another_kind_is_refused(family: Family) -> None:
    for name in family.names():
        kind = family.find(name)
        for field in fields(kind):
            if isinstance(field.default, (int, float)):
                build(kind, {field.name: field.default}, name)
                with pytest.raises(PlanError, match=field.name):
                    build(kind, {field.name: {"not": "a number"}}, name)


def test_a_label_means_one_attack_in_the_whole_plan() -> None:
    other = 'threats.1.attacks=[{"name": "square", "as": "short walk"}, "noise"]'
    with pytest.raises(PlanError, match="one attack under the label 'short walk'"):
        prepared(other)


def test_threats_on_one_change_stand_side_by_side() -> None:
    made = prepared()
    ids = [threat.id for threat in made.threats[0]]
    assert ids == ["additive-linf", "additive-linf-seeing-scores-30-queries", "additive-linf-seeing-scores-60-queries"]
    names = [cell_name(made, trial) for trial in made.trials]
    assert len(set(names)) == len(names)
    assert "t_mlp/additive-linf/0.25/pgd-steps=6" in names
    assert not any(" " in name for name in names)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "additive-linf"),
        ("norm: l0, options: {most: 1}", "additive-l0-most=1"),
        ("goal: targeted, target: malignant", "additive-linf-targeted-to-malignant"),
        ("knowledge: gradients", "additive-linf-seeing-gradients"),
        ("queries: 50", "additive-linf-50-queries"),
    ],
)
def test_the_name_of_a_threat_says_what_is_unusual(more: str, told: str) -> None:
    head = "titer: 1\ndata: {name: breast_biopsies}\nmodel: {zoo: t_mlp}\nattacks: [random_search]\nthreats:\n"
    norm = "" if "norm" in more else "norm: linf, "
    made = opened(parse_plan(f"{head}  - {{{norm}limits: [1], {more}}}\n".replace(", }", "}")), None)
    assert made.threats[0][0].id == told


CLINICAL = """\
  - {change: clinical_table, limits: [0.25], attacks: [pgd, noise], options: {relations: ["mean area <= worst area"]}}
  - {change: clinical_table, limits: [0.25], attacks: [pgd, noise], options: {relations: ["mean area >= worst area"]}}
"""


def test_threats_that_read_the_same_in_a_name_are_still_two() -> None:
    threats = PLAN.replace("attacks: [{name: pgd, steps: 2}", f"{CLINICAL}attacks: [{{name: pgd, steps: 2}}")
    found = [threat.id for threat in opened(parse_plan(threats), None).threats[0]][3:]
    assert len(set(found)) == 2
    assert all(name.startswith("clinical_table-linf-relations=mean-area-=-worst-area-") for name in found)
    backwards = CLINICAL.splitlines(keepends=True)[::-1]
    turned = opened(parse_plan(threats.replace(CLINICAL, "".join(backwards))), None).threats[0]
    assert [threat.id for threat in turned][3:] == found[::-1]
    first = backwards[0]
    with pytest.raises(PlanError, match="put their limits into one threat"):
        opened(parse_plan(threats.replace(CLINICAL, first + first)), None)


def test_reports_name_attacks_by_their_labels(report: Report) -> None:
    told = {card.name: card for card in report.attacks}
    short, steps = told["short walk"], told["pgd steps=2"]
    assert (short.settings["name"], short.settings["steps"], steps.settings["steps"]) == ("pgd", 4, 2)
    assert {cell.attack for cell in report.cells} == {*told}
    assert len({cell.id for cell in report.cells}) == len(report.cells) == 8


def test_traps_compare_efforts_and_attackers_of_one_change(report: Report) -> None:
    found = {trap.id: trap for trap in report.traps}
    assert found["effort_helps"].status != "not applicable"
    assert "3 comparisons" in found["effort_helps"].evidence
    assert found["white_box_not_weaker"].status != "not applicable"
    assert "2 comparisons" in found["white_box_not_weaker"].evidence


def keys(made: Prepared) -> dict[str, str]:
    return {cell_name(made, trial): trial.key for trial in made.trials}


def draws(made: Prepared) -> list[str]:
    return [str(job.payload["draws"]) for job in made.jobs if "draws" in job.payload]


def test_pictures_change_no_number_and_repeat_no_attack() -> None:
    usual = prepared()
    for gallery in (0, 4, 12):
        other = prepared(f"gallery={gallery}")
        assert [job.key for job in other.jobs] == [job.key for job in usual.jobs]
        assert [job.settings for job in other.jobs] == [job.settings for job in usual.jobs]


def test_what_does_not_decide_a_result_is_not_in_its_name() -> None:
    usual = prepared()
    for change in ("resamples=300", "name=other", 'fail_if=["clean_accuracy < 0.1"]', "costs={unit: beds}"):
        assert keys(prepared(change)) == keys(usual)


def test_another_version_makes_everything_again_with_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = prepared()
    monkeypatch.setattr(jobs_module, "_VERSION", "0.1.1")
    newer = prepared()
    assert not {job.key for job in usual.jobs} & {job.key for job in newer.jobs}
    assert draws(newer) == draws(usual)


@pytest.mark.parametrize(
    ("module", "touched"),
    [
        ("titer.attacks.square", {"square"}),
        ("titer.attacks.pgd", {"pgd"}),
        ("titer.attacks.problem", {"pgd", "square", "noise"}),
        ("titer.attacks._rows", {"pgd", "square", "noise"}),
        ("titer.threats.changes.additive", {"pgd", "square", "noise"}),
        ("titer.models.zoo.t_mlp", {"pgd", "square", "noise"}),
        ("titer.threats.changes.lowpass", set()),
        ("titer.audit.report.render", set()),
    ],
)
def test_results_of_edited_code_are_made_again(monkeypatch: pytest.MonkeyPatch, module: str, touched: set[str]) -> None:
    usual = prepared()
    real = digest_module._source
    importlib.import_module(module)
    monkeypatch.setattr(digest_module, "_source", lambda name: "edited" if name == module else real(name))
    edited = prepared()
    kind = {cell_name(usual, trial): usual.threats[0][trial.threat].attack(trial.attack).name for trial in usual.trials}
    changed = {kind[name] for name, key in keys(edited).items() if key != keys(usual)[name]}
    assert changed == touched
    assert draws(edited) == draws(usual)


def test_the_digest_of_code_follows_helpers_of_the_same_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "drawn_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("def half(x):\n    return x / 2\n")
    (package / "method.py").write_text("from drawn_package.part import half\n\n\nclass Method:\n    use = half\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def named() -> str:
        for name in [name for name in sys.modules if name.startswith("drawn_package")]:
            del sys.modules[name]
        linecache.clearcache()
        importlib.invalidate_caches()
        digest_module._reached.cache_clear()
        digest_module._source.cache_clear()
        return digest_code(importlib.import_module("drawn_package.method").Method)

    first = named()
    assert named() == first
    (package / "part.py").write_text("def half(x):\n    return x / 2.0  # edited\n")
    assert named() != first

"""Plans: what is accepted, and that each mistake is named with its line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from titer.audit.plan import Plan
from titer.audit.plan_file import check_plan, parse_plan, plan_schema, read_plan
from titer.audit.plans import plan_names, plan_text
from titer.audit.subject import read_dataset, read_threats, renamed, task_of
from titer.errors import PlanError

PLAN = """\
titer: 1
data: {name: chest_phantom}
model: {zoo: t_cnn}
threats:
  - change: additive
    norm: linf
    limits: [1/255, 4/255]
"""
SHORT = {"titer": 1, "data": {"name": "x"}, "threats": [{"limits": 1}]}


def test_a_short_plan_has_one_subject() -> None:
    plan = parse_plan(PLAN)
    assert len(plan.subjects) == 1
    assert plan.subjects[0].attacks == ("fgsm", "pgd", "noise")


def test_shared_settings_hold_for_every_subject_that_says_nothing() -> None:
    plan = parse_plan(PLAN + "subjects:\n  - {name: a}\n  - {name: b, attacks: [pgd]}\n")
    assert [subject.attacks for subject in plan.subjects] == [("fgsm", "pgd", "noise"), ("pgd",)]
    assert plan.subjects[1].data.name == "chest_phantom"


@pytest.mark.parametrize(
    ("text", "found", "line", "remedy"),
    [
        (PLAN.replace("threats:", "threatz:"), "'threatz'", "line 4", "did you mean 'threats'"),
        (PLAN.replace("norm:", "nrom:"), "'nrom'", "line 6", "did you mean 'norm'"),
        (PLAN.replace("{name:", "{nmae:"), "'nmae'", "line 2", "did you mean 'name'"),
        (PLAN + "seeds: [0, 0]\n", "[0, 0]", "line 8", "correct"),
        (PLAN.replace("titer: 1", "titer: 2"), "2", "line 1", "correct"),
        (PLAN.replace("limits: [1/255, 4/255]", "limits: []"), "[]", "line 7", "correct"),
        (PLAN + "gallery: many\n", "many", "line 8", "correct"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, found: str, line: str, remedy: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    assert found in str(caught.value)
    assert line in str(caught.value)
    assert remedy in str(caught.value)


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    for text in ("[1, 2]", "titer: [", "just words"):
        with pytest.raises(PlanError):
            parse_plan(text)
    with pytest.raises(PlanError, match="readable plan"):
        read_plan(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_text("# " + "x" * (1 << 20) + "\ntiter: 1\n")
    with pytest.raises(PlanError, match="1 MiB"):
        read_plan(tmp_path / "big.yaml")


def test_yaml_cannot_make_objects() -> None:
    with pytest.raises(PlanError, match="valid YAML"):
        parse_plan("titer: !!python/object/apply:os.system ['true']")


def test_settings_override_by_path() -> None:
    plan = parse_plan(PLAN, ("data.cases=30", "threats.0.norm=l2", "seeds=[1, 2]"))
    assert plan.subjects[0].data.cases == 30
    assert plan.subjects[0].threats[0].norm == "l2"
    assert plan.seeds == (1, 2)
    for wrong in ("seeds", "=3", "threats.7.norm=l2", "titer.a.b=1"):
        with pytest.raises(PlanError):
            parse_plan(PLAN, (wrong,))


def test_the_digest_names_the_content() -> None:
    assert parse_plan(PLAN).digest == parse_plan(PLAN + "# a comment\n").digest
    assert parse_plan(PLAN).digest != parse_plan(PLAN, ("seeds=[1]",)).digest


def test_subjects_get_names_of_their_own() -> None:
    plan = renamed(parse_plan(PLAN + "subjects: [{}, {}]\n"))
    assert [subject.name for subject in plan.subjects] == ["t_cnn", "t_cnn 2"]


@pytest.mark.parametrize("name", plan_names())
def test_plans_that_come_along_are_valid(name: str) -> None:
    text = plan_text(name)
    changes = () if "subjects:" in text else ("data.name=chest_phantom", "model.zoo=t_cnn")
    assert isinstance(parse_plan(text, changes), Plan)


def test_an_unknown_built_in_plan_names_the_nearest() -> None:
    with pytest.raises(PlanError, match="chest-xray-quick"):
        plan_text("chest-xray-quik")


def test_a_mapping_is_a_plan_too() -> None:
    assert check_plan({**SHORT, "model": {"zoo": "t_cnn"}}).name == "audit"
    with pytest.raises(PlanError, match="say where the model is"):
        check_plan({**SHORT, "model": {}})


PARTS = PLAN.replace("model: {zoo: t_cnn}\n", "")
WRONG = [
    (PLAN + "threshold: yuden\n", "'yuden'", 8, "did you mean 'youden'"),
    (PLAN + "threshold: {sensitivity: 90}\n", "90", 8, "write 0.9"),
    (PLAN + "threshold: {sensitivty: 0.9}\n", "sensitivty", 8, "did you mean 'sensitivity'"),
    (PLAN + "threshold: {specificity: 0}\n", "0", 8, "correct"),
    (PLAN + "threshold: {percentile: 950}\n", "950", 8, "percentile: 95"),
    (PLAN + "threshold: {probability: 1.5}\n", "1.5", 8, "score"),
    (PLAN + "threshold: {sensitivity: high}\n", "high", 8, "correct"),
    (PLAN + "threshold: [0.5]\n", "[0.5]", 8, "write default"),
    (PLAN + "threshold: true\n", "True", 8, "write default"),
    (PLAN + "attacks: [3]\n", "3", 8, "correct"),
    (PLAN + "seeds: [one]\n", "'one'", 8, "One trial per seed"),
    (PLAN + "costs: {false_negative: -1}\n", "-1", 8, "Cost of one missed patient"),
    (PLAN.replace("{name: chest_phantom}", "{name: a, path: b}"), "a and b", 2, "where the cases are"),
    (PLAN.replace("{name: chest_phantom}", "{}"), "neither", 2, "where the cases are"),
    (PLAN.replace("limits: [1/255, 4/255]", "limits: [[1]]"), "[1]", 7, "Radii such as"),
    (PARTS + "model: {zoo: t_cnn, epoch: 3}\n", "'epoch'", 7, "did you mean 'epochs'"),
    (PARTS + "model: {zoo: t_cnn, epochs: many}\n", "'many'", 7, "Most passes"),
    (PARTS + "model:\n  path: a.onnx\n  maen: 1\n", "'maen'", 9, "did you mean 'mean'"),
    (PARTS + "model: {path: a.onnx, max_queries: 3}\n", "'max_queries'", 7, "it goes with 'url'"),
    (PARTS + "model:\n  url: http://127.0.0.1/\n  max_queries: many\n", "'many'", 9, "most cases"),
    (PARTS + "model: 3\n", "3", 7, "zoo"),
]


@pytest.mark.parametrize(("text", "found", "line", "remedy"), WRONG)
def test_every_refusal_says_what_was_expected_what_came_where_and_what_to_do(
    text: str, found: str, line: int, remedy: str
) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    said = str(caught.value)
    assert found in caught.value.got
    assert f"line {line}" in said
    assert remedy in caught.value.remedy
    for leaked in ("Input should", "subjects.0", "pydantic", "valid ", "str_type", "NoneType"):
        assert leaked not in said


@pytest.mark.parametrize("threshold", ["default", "youden", 0.3, 0, {"probability": 0.5}, {"score": -1}, None])
def test_every_form_of_a_threshold_is_read(threshold: object) -> None:
    assert check_plan({**SHORT, "model": {"zoo": "t_cnn"}, "threshold": threshold}).subjects[0].threshold == threshold


def test_the_schema_knows_every_key_that_a_plan_may_have() -> None:
    schema = plan_schema()
    assert {"data", "model", "threats", "threshold"} <= set(schema["properties"])
    kinds = schema["properties"]["model"]["anyOf"]
    known = {name for kind in kinds for name in kind["properties"]}
    assert {"zoo", "epochs", "url", "path", "mean", "max_queries", "token_env"} <= known
    assert "object" not in known
    assert all(field["description"] for kind in kinds for field in kind["properties"].values())
    jsonschema = pytest.importorskip("jsonschema")
    for name in plan_names():
        text = plan_text(name)
        filled = yaml.safe_load(text)
        if "subjects" not in filled:
            filled |= {"data": {"name": "x"}, "model": {"zoo": "t_cnn"}}
        jsonschema.validate(filled, schema)


@pytest.mark.parametrize(
    ("threat", "limits", "sentence"),
    [
        (
            "{change: affine, options: {shift: 0}, limits: [10 degrees, 20]}",
            ["10 degrees", "20 degrees"],
            "may turn the picture by at most 20 degrees and wants",
        ),
        (
            "{change: corruption, options: {only: [noise]}, limits: [0.5], knowledge: labels}",
            ["0.5 of full severity"],
            "may let nature corrupt the recording by noise, at 0.5 of full severity and wants",
        ),
    ],
)
def test_limits_of_a_change_are_read_in_its_own_unit(threat: str, limits: list[str], sentence: str) -> None:
    plan = parse_plan(
        "titer: 1\ndata: {name: chest_phantom, options: {cases: 20, size: 16}}\nmodel: {zoo: t_cnn}\n"
        f"attacks: [random_search]\nthreats:\n  - {threat}\n"
    )
    subject = plan.subjects[0]
    dataset = read_dataset(subject, None)
    task = task_of(dataset, subject)
    (found,) = read_threats(subject, dataset, task, "gradients")
    assert [f"{radius.label} {radius.unit}" for radius in found.radii] == limits
    assert found.id == ("affine-rotation" if "affine" in threat else "corruption-only=noise-seeing-labels")
    assert sentence in found.model_at(found.radii[-1], "gradients").sentence(dataset.space, task)


def test_one_subject_may_have_a_change_in_two_variants() -> None:
    plan = parse_plan(
        "titer: 1\ndata: {name: chest_phantom, options: {cases: 20, size: 16}}\nmodel: {zoo: t_cnn}\n"
        "attacks: [pgd, grid]\nthreats:\n  - {change: affine, limits: [0.5]}\n"
        "  - {change: affine, limits: [15], options: {shift: 0}}\n"
    )
    subject = plan.subjects[0]
    dataset = read_dataset(subject, None)
    found = read_threats(subject, dataset, task_of(dataset, subject), "gradients")
    assert [threat.id for threat in found] == ["affine", "affine-rotation"]


def test_models_without_a_name_are_called_by_file_function_or_address() -> None:
    told = [
        {"path": "models/chest-v2.onnx"},
        {"python": "mine:net"},
        {"url": "https://host/v2/models/ecg"},
        {"zoo": "t_cnn"},
    ]
    shared = {"data": {"name": "chest_phantom"}, "threats": [{"limits": ["4/255"]}]}
    plan = check_plan({"titer": 1, "subjects": [{"model": model, **shared} for model in told]})
    assert [subject.name for subject in renamed(plan).subjects] == ["chest-v2", "net", "ecg", "t_cnn"]

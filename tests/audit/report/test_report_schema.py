"""The format refuses what would mislead, and describes itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from report_example import example_draft, example_report

from titer.audit.report import schema as s

MANDATORY = sorted(name for name, field in s.Report.model_fields.items() if field.is_required())


def tree() -> dict[str, Any]:
    return example_report().model_dump(mode="json")


def test_every_field_says_what_it_is() -> None:
    schema = s.Report.model_json_schema()
    blocks = {"Report": schema, **schema["$defs"]}
    silent = [
        f"{block}.{field}"
        for block, content in blocks.items()
        for field, content_of_field in content.get("properties", {}).items()
        if not content_of_field.get("description")
    ]
    assert silent == []
    assert all(content.get("description") for content in blocks.values() if "properties" in content)


def test_the_format_is_a_valid_json_schema_that_accepts_the_example() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = s.Report.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tree(), schema)


@pytest.mark.parametrize("block", MANDATORY)
def test_a_report_without_a_mandatory_block_is_refused(block: str) -> None:
    content = tree()
    del content[block]
    with pytest.raises(ValidationError, match=block):
        s.Report.model_validate(content)


def test_the_blocks_that_the_house_demands_are_mandatory() -> None:
    demanded = {
        "identity",
        "models",
        "datasets",
        "threats",
        "attacks",
        "cells",
        "traps",
        "limits",
        "limitations",
        "summary",
    }
    assert demanded <= set(MANDATORY)


@pytest.mark.parametrize("block", ["models", "datasets", "threats", "attacks", "cells", "traps", "limitations"])
def test_an_empty_mandatory_block_is_refused(block: str) -> None:
    content = tree()
    content[block] = []
    with pytest.raises(ValidationError):
        s.Report.model_validate(content)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="surprise"):
        s.Report.model_validate({**tree(), "surprise": 1})


def test_blocks_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        example_report().cells[0].n_cases = 1  # type: ignore[misc]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValidationError):
        s.Measure(value=value, n=1, method="none", unit="score")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"low": 0.2}, "both ends"),
        ({"low": 0.6, "high": 0.4}, "reversed"),
        ({"k": 11}, "k = 11"),
        ({"value": 52.0}, "between 0 and 1"),
    ],
)
def test_a_measure_that_contradicts_itself_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        s.Measure.model_validate({"value": 0.5, "n": 10, "method": "Wilson", **fields})


@pytest.mark.parametrize(
    ("where", "name"),
    [("model", "nobody"), ("dataset", "nothing"), ("attack", "none"), ("threat", "empty"), ("suspect_traps", ["x"])],
)
def test_names_must_lead_somewhere(where: str, name: object) -> None:
    content = tree()
    content["cells"][0][where] = name
    with pytest.raises(ValidationError, match="does not stand in"):
        s.Report.model_validate(content)


@pytest.mark.parametrize("block", ["error_shifts", "subgroups", "gallery"])
def test_evidence_must_belong_to_a_cell(block: str) -> None:
    content = tree()
    content[block][0]["cell"] = "elsewhere"
    with pytest.raises(ValidationError, match="elsewhere"):
        s.Report.model_validate(content)


def test_a_name_stands_once() -> None:
    content = tree()
    content["cells"].append(content["cells"][0])
    with pytest.raises(ValidationError, match="more than once"):
        s.Report.model_validate(content)


def test_the_verdict_follows_from_the_rules() -> None:
    content = tree()
    content["limits"]["passed"] = True
    with pytest.raises(ValidationError, match="does not follow"):
        s.Report.model_validate(content)


def test_a_table_row_is_filled_or_explained() -> None:
    row = tree()["table1"][0]
    with pytest.raises(ValidationError, match="no reason why"):
        s.Table1Row.model_validate({**row, "ours": None})
    assert s.Table1Row.model_validate({**row, "ours": None, "missing": "the set has no such case"}).ours is None


@pytest.mark.parametrize(
    "uri", ["https://example.org/a.png", "data:text/html;base64,AAAA", "data:image/png;base64,<b>"]
)
def test_pictures_stand_in_the_report_itself(uri: str) -> None:
    item = tree()["gallery"][0]
    with pytest.raises(ValidationError):
        s.ImageItem.model_validate({**item, "clean_png": uri})


def test_the_example_obeys_the_identity_of_error_shifts() -> None:
    """FNR shift x prevalence + FPR shift x (1 - prevalence) = accuracy drop."""
    report = example_draft()
    cells = {cell.id: cell for cell in report.cells}
    for shift in report.error_shifts:
        metrics = cells[shift.cell].metrics
        assert isinstance(metrics, s.ClassificationMetrics)
        sick, well = shift.clean.tp + shift.clean.fn, shift.clean.tn + shift.clean.fp
        weighed = (shift.fnr_shift.value * sick + shift.fpr_shift.value * well) / (sick + well)
        assert weighed == pytest.approx(metrics.accuracy_drop.value)

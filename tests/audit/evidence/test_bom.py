"""The bill of materials: valid, deterministic, and with all that names a model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from report_example import example_report

from titer.audit.driver import write
from titer.audit.evidence.bom import bill_of_materials, installed

PACKAGES = {"numpy": ("2.4.1", ()), "torch": ("2.13.0", ("numpy",))}


def test_equal_reports_and_packages_give_equal_bytes_and_others_another_number() -> None:
    one = bill_of_materials(example_report(), PACKAGES)
    assert one == bill_of_materials(example_report(), PACKAGES)
    other = bill_of_materials(example_report(), {**PACKAGES, "torch": ("2.13.1", ("numpy",))})
    assert json.loads(one)["serialNumber"] != json.loads(other)["serialNumber"]


def test_a_model_has_digest_task_operating_point_and_training_data() -> None:
    bom = json.loads(bill_of_materials(example_report(), PACKAGES))
    models = [each for each in bom["components"] if each["type"] == "machine-learning-model"]
    assert [each["name"] for each in models] == sorted(card.name for card in example_report().models)
    one = next(each for each in models if each["name"] == "T-CNN")
    facts = {each["name"]: each["value"] for each in one["properties"]}
    assert facts["titer:digest"] == example_report().models[0].digest
    assert facts["titer:threshold"] == "0.412"
    assert facts["titer:training data"].startswith("Trained here")
    card = one["modelCard"]
    assert card["modelParameters"]["task"] == "classification"
    assert card["modelParameters"]["datasets"] == [{"ref": "data:chest phantom"}]
    clean, attacked = card["quantitativeAnalysis"]["performanceMetrics"]
    assert clean["slice"].startswith("chest phantom, no attack")
    assert float(attacked["value"]) < float(clean["value"])
    assert float(clean["confidenceInterval"]["lowerBound"]) < float(clean["value"])


def test_every_reference_names_a_component() -> None:
    bom = json.loads(bill_of_materials(example_report(), PACKAGES))
    names = {each["bom-ref"] for each in bom["components"]} | {"audit"}
    asked = {name for each in bom["dependencies"] for name in (each["ref"], *each["dependsOn"])}
    assert asked <= names
    assert {"package:torch", "package:numpy", "titer", "model:T-CNN"} <= names


def test_the_environment_is_listed_by_name_and_version_alone() -> None:
    found = installed()
    assert list(found) == sorted(found)
    assert found["pydantic"][0]
    assert "pydantic-core" in found["pydantic"][1]
    text = bill_of_materials(example_report(), found)
    assert str(Path.home()) not in text
    assert "site-packages" not in text


def test_a_digest_of_64_digits_is_a_hash_for_every_tool() -> None:
    report = example_report()
    card = report.models[0].model_copy(update={"digest": "ab" * 32})
    bom = json.loads(bill_of_materials(report.model_copy(update={"models": (card, *report.models[1:])}), PACKAGES))
    one = next(each for each in bom["components"] if each["name"] == card.name)
    assert one["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]


def test_the_bill_of_materials_keeps_its_schema() -> None:
    schema = pytest.importorskip("cyclonedx.schema", reason="needs cyclonedx-python-lib")
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.validation.json import JsonStrictValidator

    text = bill_of_materials(example_report(), installed())
    try:
        fault = JsonStrictValidator(schema.SchemaVersion.V1_7).validate_str(text)
    except MissingOptionalDependencyException as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI checks the schema: {error}")
        pytest.skip("needs cyclonedx-python-lib[json-validation]")
    assert fault is None, fault


def test_an_audit_writes_it_beside_the_report(tmp_path: Path) -> None:
    write(example_report(), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"report.json", "report.html", "bom.json"}
    assert json.loads((tmp_path / "bom.json").read_text(encoding="utf-8"))["bomFormat"] == "CycloneDX"

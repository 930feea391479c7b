"""The bill of materials of an audit: the models with their cards, the data, and the programs around them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import distributions
from typing import Any

from titer.audit.report.files import canonical_json
from titer.audit.report.formats import limit_text
from titer.audit.report.headlines import headlines
from titer.audit.report.schema import DataCard, Measure, ModelCard, Report
from titer.audit.report.vocabulary import LEADING, leading

SPEC = "1.7"
Block = dict[str, Any]


def installed() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every distribution of this environment: name -> version and the installed distributions that it asks for."""
    found = {_plain(each.name): each for each in distributions() if each.name}
    return {
        name: (each.version, tuple(sorted({ask for ask in map(_asked, each.requires or ()) if ask in found} - {name})))
        for name, each in sorted(found.items())
    }


def bill_of_materials(report: Report, packages: Mapping[str, tuple[str, tuple[str, ...]]]) -> str:
    """A bill of materials in CycloneDX 1.7, as canonical JSON. Equal reports and packages give equal bytes.

    Models carry digest, task, operating point, the data that they were examined on, what is known of the data they
    were trained on, and their figures with intervals (ECMA-424, `modelCard`).

    Arguments
        report: a finished report.
        packages: name -> version and the packages it asks for, from `installed`.
    """
    created = report.identity.created
    models = [_model(report, card) for card in report.models]
    data = [_data(card) for card in report.datasets]
    libraries = [_library(name, version) for name, (version, _) in packages.items()]
    titer = {"type": "application", "bom-ref": "titer", "name": "titer", "version": report.identity.titer_version}
    subject = {
        "type": "application",
        "bom-ref": "audit",
        "name": report.identity.title,
        "version": report.identity.plan.digest,
        "description": "The audit whose report lies beside this file, in report.json.",
    }
    asks = {_ref(name): sorted(map(_ref, wanted)) for name, (_, wanted) in packages.items()}
    asks |= {
        each["bom-ref"]: [part["ref"] for part in each["modelCard"]["modelParameters"]["datasets"]] for each in models
    }
    asks["audit"] = sorted([*(each["bom-ref"] for each in models), "titer"])
    depends = [{"ref": name, "dependsOn": wanted} for name, wanted in asks.items()]
    environment = report.identity.environment
    bom = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "timestamp": created,
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [titer | {"bom-ref": "tool-titer"}]},
            "component": subject,
            "properties": _properties(
                {"python": environment.python, "platform": environment.platform, "device": environment.device}
            ),
        },
        "components": sorted([titer, *models, *data, *libraries], key=lambda each: str(each["bom-ref"])),
        "dependencies": sorted(depends, key=lambda each: str(each["ref"])),
        "vulnerabilities": [],
    }
    # The number names the content, so that the same audit has the same number and another one another.
    content = json.dumps(bom, sort_keys=True) + sha256(canonical_json(report).encode()).hexdigest()
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return json.dumps(bom, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _model(report: Report, card: ModelCard) -> Block:
    """A model with its card."""
    cells = [cell for cell in report.cells if cell.model == card.name]
    names = list(dict.fromkeys(cell.dataset for cell in cells))
    task = card.task
    facts = {
        "digest": card.digest,
        "access": card.access,
        "parameters": "" if card.parameters is None else str(card.parameters),
        "threshold": "" if task.threshold is None else f"{task.threshold:.10g}",
        "threshold source": task.threshold_source,
        "positive classes": ", ".join(task.positive_classes),
        "training data": card.note or "not stated",
    }
    parameters: Block = {
        "task": task.kind,
        "architectureFamily": card.family,
        "datasets": [{"ref": f"data:{name}"} for name in names],
        "outputs": [{"format": ", ".join(task.classes) or task.unit or "number"}],
    }
    inputs = [each for each in report.datasets if each.name in names]
    parameters["inputs"] = [{"format": f"{'x'.join(map(str, each.shape))}, {each.unit}"} for each in inputs]
    made: Block = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{card.name}",
        "name": card.name,
        "modelCard": {
            "modelParameters": parameters,
            "quantitativeAnalysis": {"performanceMetrics": _figures(report, card.name)},
            "considerations": {"technicalLimitations": list(report.limitations)},
        },
        "properties": _properties(facts),
    }
    if re.fullmatch(r"[0-9a-f]{64}", card.digest):
        made["hashes"] = [{"alg": "SHA-256", "content": card.digest}]
    return made


def _figures(report: Report, model: str) -> list[Block]:
    """Each headline of a model, without and under attack, with its interval."""
    made: list[Block] = []
    for found in headlines(report):
        cell = report.cells[found.cell]
        if cell.model == model:
            clean, attacked = leading(cell)
            name = LEADING[cell.metrics.kind].name
            made.append(_figure(name, clean, f"{cell.dataset}, no attack"))
            made.append(_figure(name, attacked, f"{cell.dataset}, {cell.attack} at {limit_text(cell.limit)}"))
    return made


def _figure(name: str, measure: Measure, where: str) -> Block:
    made: Block = {"type": name, "value": f"{measure.value:.10g}", "slice": f"{where}, n {measure.n}, {measure.unit}"}
    if measure.low is not None and measure.high is not None:
        made["confidenceInterval"] = {"lowerBound": f"{measure.low:.10g}", "upperBound": f"{measure.high:.10g}"}
    return made


def _data(card: DataCard) -> Block:
    facts = {
        "digest": card.digest,
        "cases": str(card.n),
        "patients": "" if card.patients is None else str(card.patients),
        "citation": card.citation,
        "synthetic": str(card.synthetic).lower(),
        "leakage check": card.leakage.status,
    }
    about: Block = {"type": "dataset", "name": card.title, "description": card.note or card.title}
    return {
        "type": "data",
        "bom-ref": f"data:{card.name}",
        "name": card.name,
        "data": [about],
        "licenses": [{"license": {"name": card.license}}],
        "properties": _properties(facts),
    }


def _library(name: str, version: str) -> Block:
    return {
        "type": "library",
        "bom-ref": _ref(name),
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
    }


def _ref(name: str) -> str:
    return f"package:{name}"


def _properties(facts: Mapping[str, str]) -> list[Block]:
    return [{"name": f"titer:{name}", "value": value} for name, value in facts.items() if value]


def _plain(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _asked(requirement: str) -> str:
    """The name of the distribution that a requirement asks for; those of extras count where they are installed."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return _plain(match[0]) if match else ""

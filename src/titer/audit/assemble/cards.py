"""Who and what was examined: models, data, threats, attacks, identity."""

from __future__ import annotations

import json
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import titer
from titer.audit.assemble.curves import limit_of
from titer.audit.assemble.metrics import unit_of
from titer.audit.evidence.taxonomy import evasion_identifiers
from titer.audit.findings._words import elsewhere
from titer.audit.limits import Radius
from titer.audit.report import schema as s
from titer.audit.report.formats import joined, spoken
from titer.audit.results import CellResults, Results
from titer.audit.subject import recipe_of, settings_of
from titer.digest import canonical

_PACKAGES = (
    "numpy", "scipy", "statsmodels", "torch", "scikit-learn", "pyarrow", "safetensors", "onnxruntime", "pydantic",
)  # fmt: skip


def models(results: Results) -> tuple[s.ModelCard, ...]:
    """One card per subject."""
    made = []
    for number, subject in enumerate(results.prepared.plan.subjects):
        cell = results.of(number)[0]
        facts, task = cell.trials[0].before.facts, cell.task
        recipe = recipe_of(subject)
        trials = len(cell.trials)
        times = "once" if trials == 1 else f"{trials} times, once per trial"
        note = (
            f"Reference model {recipe.name}, trained here {times}."
            if recipe is not None
            else joined(["The model as given; nothing was trained.", *facts["notes"]])
        )
        made.append(
            s.ModelCard(
                name=subject.name,
                digest=str(facts["model_digest"]),
                family=recipe.family if recipe is not None else "as given",
                task=s.Task(
                    kind="classification" if task.kind in ("classes", "binary") else task.kind,
                    measure=task.measure if task.kind == "segmentation" else "",
                    classes=() if task.kind == "regression" else task.classes,
                    positive_classes=tuple(task.classes[k] for k in task.positive),
                    threshold=float(task.threshold) if isinstance(task.threshold, (int, float)) else None,
                    threshold_source=str(facts["threshold_source"]),
                    tolerance=task.tolerance,
                    unit=unit_of(task.classes[0]) if task.kind == "regression" else "",
                ),
                access=str(facts["access"]),
                parameters=facts["parameters"],
                note=note,
            )
        )
    return tuple(made)


def datasets(results: Results, traps: tuple[s.Trap, ...]) -> tuple[s.DataCard, ...]:
    """One card per data set; a data set that several subjects share stands once."""
    sprung = {name for trap in traps if trap.id == "no_leakage" and trap.status == "failed" for name in trap.cells}
    leaked = {cell.dataset.card.name for cell in results.cells if cell.name in sprung}
    made: dict[str, s.DataCard] = {}
    for number, subject in enumerate(results.prepared.plan.subjects):
        data = results.prepared.datasets[number]
        facts = results.of(number)[0].trials[0].before.facts
        strangers = _strangers(results, data.card.name)
        unknown = f" {elsewhere(strangers)}" if strangers else ""
        explained = f" Explained in the plan: {subject.data.split.explain}" if subject.data.split.explain else ""
        made.setdefault(
            data.card.name,
            s.DataCard(
                name=data.card.name,
                title=data.card.title,
                license=data.card.licence,
                citation=data.card.citation,
                digest=data.digest,
                n=len(data.cases),
                patients=len(set(data.cases.patients.tolist())),
                splits=tuple(s.SplitCount(**part) for part in facts["parts"]),
                unit=data.space.unit,
                shape=data.space.shape,
                groups=tuple(data.cases.groups),
                leakage=s.LeakageCheck(
                    status="failed" if data.card.name in leaked else "not applicable" if strangers else "passed",
                    sentence=f"{facts['leakage']}{explained}{unknown}",
                ),
                synthetic=data.card.synthetic,
                note=joined([data.card.subjects, *data.card.cautions]),
            ),
        )
    return tuple(made.values())


def _strangers(results: Results, dataset: str) -> list[str]:
    """Models on a data set that were not trained here."""
    pairs = zip(results.prepared.plan.subjects, results.prepared.datasets, strict=True)
    return [subject.name for subject, data in pairs if data.card.name == dataset and recipe_of(subject) is None]


def threat_names(results: Results) -> dict[tuple[int, str], str]:
    """The report's identifier of each subject's threats."""
    return {
        (number, threat.id): f"{subject.name}/{threat.id}".replace(" ", "-").lower()
        for number, subject in enumerate(results.prepared.plan.subjects)
        for threat in results.prepared.threats[number]
    }


def threats(results: Results) -> tuple[s.Threat, ...]:
    """Every threat as a sentence, at its main limit."""
    made = []
    for number in range(len(results.prepared.plan.subjects)):
        cells = results.of(number)
        for threat in results.prepared.threats[number]:
            members = [cell for cell in cells if cell.threat.id == threat.id]
            if not members:
                continue
            first = members[0]
            access = str(first.trials[0].before.facts["access"])
            model = threat.model_at(threat.main, access)  # type: ignore[arg-type]
            limits = sorted(
                {limit_of(cell).value: limit_of(cell) for cell in members}.values(), key=lambda limit: limit.value
            )
            main = next((limit for limit in limits if limit.value == threat.main.value), None)
            norm = getattr(threat.change, "norm", "")
            made.append(
                s.Threat(
                    id=threat_names(results)[number, threat.id],
                    sentence=_plain_unit(model.sentence(first.dataset.space, first.task), threat.main),
                    goal=threat.spec.goal,
                    knowledge=model.knowledge,
                    change=f"{threat.spec.change}{', ' + norm if norm else ''}",
                    limits=tuple(limits),
                    main_limit=main,
                    nature=threat.change.nature,
                    taxonomy=evasion_identifiers(
                        threat.change.nature, model.knowledge, tuple(attack.name for _, attack in threat.named())
                    ),
                )
            )
    return tuple(made)


def _plain_unit(sentence: str, limit: Radius) -> str:
    """A threat with its limit as it is read aloud."""
    return sentence.replace(f"{limit.label} {limit.unit}", f"{limit.label} {spoken(limit.unit)}")


def attacks(results: Results) -> tuple[s.AttackCard, ...]:
    """Every attack with its settings; settings that differ between threats are all listed."""
    found: dict[str, Any] = {}
    variants: dict[str, dict[str, Any]] = {}
    for subject in results.prepared.threats:
        for threat in subject:
            for label, attack in threat.named():
                found.setdefault(label, attack)
                settings = settings_of(attack)
                seen = variants.setdefault(label, settings)
                if seen != settings:
                    variants[label] = {**seen, f"with {threat.id}": settings}
    used = {cell.attack for cell in results.cells}
    return tuple(
        s.AttackCard(
            name=name,
            title=(type(attack).__doc__ or name).strip().splitlines()[0],
            settings=plain(variants[name]),
            reference=attack.reference,
            control=attack.control,
            needs=attack.needs,
            proves=attack.proves,
        )
        for name, attack in found.items()
        if name in used
    )


def identity(results: Results, source: str, plan_file: str) -> s.Identity:
    """Which audit this is and how to run it again."""
    plan = results.prepared.plan
    return s.Identity(
        title=plan.name,
        titer_version=titer.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        plan=s.PlanRecord(name=plan.name, digest=plan.digest, source=source, resolved=plan.model_dump(mode="json")),
        environment=s.Environment(
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            threads=1,
            packages={name: found for name in _PACKAGES if (found := _version(name))},
        ),
        seeds=plan.seeds,
        commands=(
            s.Command(purpose="run this audit again", command=f"titer audit {plan_file} --out OUT"),
            s.Command(purpose="run one number again", command=f"titer audit {plan_file} --out OUT --only CELL"),
            s.Command(purpose="draw this report again", command="titer report OUT"),
        ),
    )


def command_for(cell: CellResults, plan_file: str) -> str:
    """The command that runs one cell again."""
    return f"titer audit {plan_file} --out OUT --only {cell.name}"


def _version(name: str) -> str | None:
    try:
        found = version(name)
    except PackageNotFoundError:
        return None
    return re.sub(r"[^0-9A-Za-z.+-]", "", found)


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them: without tuples, at any depth."""
    plain: dict[str, Any] = json.loads(canonical(settings))
    return plain

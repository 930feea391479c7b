"""The report as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from titer.audit.report.schema.base import SCHEMA_VERSION, Block, Text
from titer.audit.report.schema.cells import Cell, ComparisonFamily, Curve, ErrorShift
from titer.audit.report.schema.evidence import GalleryItem, Trap, Verdict
from titer.audit.report.schema.identity import Identity
from titer.audit.report.schema.index import EvidenceRecord, Gate, Index
from titer.audit.report.schema.paper import Figure1Group, Table1Row
from titer.audit.report.schema.radii import MinimalRadii
from titer.audit.report.schema.subgroups import SubgroupTable
from titer.audit.report.schema.subjects import AttackCard, DataCard, ModelCard, Threat
from titer.audit.report.schema.text import Summary


class Draft(Block):
    """Everything a report holds except its summary, which is written from these facts."""

    schema_version: Literal["1.1"] = Field(default=SCHEMA_VERSION, description="Version of this format.")
    identity: Identity = Field(description="Which audit this is.")
    models: tuple[ModelCard, ...] = Field(min_length=1, description="Models under audit.")
    datasets: tuple[DataCard, ...] = Field(min_length=1, description="Data they were examined on.")
    threats: tuple[Threat, ...] = Field(min_length=1, description="What the attacker may do.")
    attacks: tuple[AttackCard, ...] = Field(min_length=1, description="Attacks and controls.")
    cells: tuple[Cell, ...] = Field(min_length=1, description="Results, one per model, data set, attack and limit.")
    curves: tuple[Curve, ...] = Field(description="Robustness over growing limits.")
    minimal_radii: tuple[MinimalRadii, ...] = Field(
        default=(), description="The smallest limit at which each case falls, where the plan asks for it."
    )
    error_shifts: tuple[ErrorShift, ...] = Field(description="Misses and false alarms before and after.")
    subgroups: tuple[SubgroupTable, ...] = Field(description="Results per group; small groups suppressed.")
    comparisons: tuple[ComparisonFamily, ...] = Field(description="Tests across models and attacks.")
    figure1: tuple[Figure1Group, ...] = Field(description="Accuracy before and after each attack, per model.")
    table1: tuple[Table1Row, ...] = Field(description="Mean accuracy drop per model and attack.")
    traps: tuple[Trap, ...] = Field(min_length=1, description="Whether the evaluation itself is sound.")
    gallery: tuple[GalleryItem, ...] = Field(description="Single cases, before and after.")
    limits: Verdict = Field(description="Whether the limits of the plan held.")
    limitations: tuple[Text, ...] = Field(min_length=1, description="What this audit cannot say.")
    records: tuple[EvidenceRecord, ...] = Field(default=(), description="Evidence made elsewhere and attached.")
    gate: Gate | None = Field(default=None, description="What the de-identification gate looked through and withheld.")

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        cells = _unique("cells", (cell.id for cell in self.cells))
        traps = _unique("traps", (trap.id for trap in self.traps))
        models = _unique("models", (model.name for model in self.models))
        datasets = _unique("datasets", (card.name for card in self.datasets))
        attacks = _unique("attacks", (attack.name for attack in self.attacks))
        threats = _unique("threats", (threat.id for threat in self.threats))
        _unique("records", (record.id for record in self.records))
        for cell in self.cells:
            _known("models", models, cell.model)
            _known("datasets", datasets, cell.dataset)
            _known("attacks", attacks, cell.attack)
            _known("threats", threats, cell.threat)
            for trap_id in cell.suspect_traps:
                _known("traps", traps, trap_id)
        for radii in self.minimal_radii:
            _known("models", models, radii.model)
            _known("datasets", datasets, radii.dataset)
            _known("threats", threats, radii.threat)
        for owner in (*self.error_shifts, *self.subgroups, *self.gallery):
            _known("cells", cells, owner.cell)
        for trap in self.traps:
            for cell_id in trap.cells:
                _known("cells", cells, cell_id)
        optional = [point.cell for curve in self.curves for point in curve.points]
        optional += [row.cell for row in self.table1] + [rule.cell for rule in self.limits.rules]
        optional += [bar.cell for group in self.figure1 for bar in group.bars]
        for name in optional:
            if name is not None:
                _known("cells", cells, name)
        return self


class Report(Draft):
    """A finished audit: facts, index of requirements and summary. `summary.complete(draft)` makes one."""

    index: Index = Field(description="What assessors ask, how far this report answers, and where.")
    summary: Summary = Field(description="The report in plain words.")

    @model_validator(mode="after")
    def _links_resolve(self) -> Self:
        index = self.index
        blocks = (index.sections, index.items, index.requirements, index.claims, index.coverage)
        there = {
            "cell": {cell.id for cell in self.cells},
            "trap": {trap.id for trap in self.traps},
            "record": {record.id for record in self.records},
            "block": {name for name in Report.model_fields if getattr(self, name)},
        }
        for link in (link for rows in blocks for row in rows for link in row.links):
            if link.name not in there[link.to]:
                raise ValueError(f"index: evidence is said to stand at {link.to} {link.name!r}, which is not there")
        return self

    @property
    def passed(self) -> bool | None:
        """Whether the limits of the plan held, beyond doubt; None when the plan sets none."""
        return self.limits.passed

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read a `report.json`; an unknown version or a damaged file raises `ReportError`."""
        from titer.audit.report.files import load_report

        return load_report(Path(path))

    def save(self, path: str | Path) -> Path:
        """Write the report as canonical JSON, all of it or nothing. Equal reports give equal bytes."""
        from titer.audit.report.files import save_report

        return save_report(self, Path(path))


def _unique(block: str, names: Iterable[str]) -> frozenset[str]:
    counts = Counter(names)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{block}: the name {twice[0]!r} stands more than once")
    return frozenset(counts)


def _known(block: str, names: frozenset[str], name: str) -> None:
    if name not in names:
        raise ValueError(f"{name!r} is named but does not stand in {block!r}, which has {sorted(names)[:8]}")

"""Plan: what an audit will do, checked before anything runs.

A plan is a short YAML file. One model on one data set stands at the top level; several stand under `subjects`,
and then what is said at the top holds for each subject that does not say otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from titer.digest import digest

Limit = float | int | str


class Part(BaseModel):
    """Any part of a plan: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitSpec(Part):
    """How cases are divided."""

    by: Literal["patient", "official"] = Field("patient", description="Split by patient, or as the source fixed it.")
    fractions: tuple[float, float, float] | None = Field(
        None, description="Shares of train, validation and test; 50/25/25 for models trained here, 0/50/50 otherwise."
    )
    near_duplicates: Literal["refuse", "drop", "report"] = Field(
        "refuse", description="What happens to near-identical cases on both sides of the split."
    )
    explain: str = Field("", description="Why near-duplicates are accepted, for the report.")


class DataSpec(Part):
    """Which cases are examined."""

    name: str | None = Field(None, description="A registered data set, e.g. chest_phantom.")
    path: str | None = Field(None, description="A file or folder of yours.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the data set or reader.")
    split: SplitSpec = Field(default_factory=SplitSpec)
    cases: int | None = Field(None, ge=2, description="Attack at most this many test cases (stratified).")

    @model_validator(mode="after")
    def _one_place(self) -> DataSpec:
        if (self.name is None) == (self.path is None):
            raise ValueError("give either 'name' or 'path'")
        return self


class ThreatSpec(Part):
    """One family of changes with the limits to examine."""

    change: str = Field("additive", description="additive, lowpass, embedding, substitution, or one of your own.")
    norm: str | None = Field(None, description="linf, l2 or l0, for changes that have one.")
    limits: tuple[Limit, ...] = Field(min_length=1, description="Radii such as 4/255, '0.05 mV', '2 %' of values.")
    options: dict[str, Any] = Field(default_factory=dict, description="Further settings of the change.")
    goal: Literal["untargeted", "targeted", "raise", "lower"] = "untargeted"
    target: str | int | None = Field(None, description="Class for targeted attacks; the next class if left out.")
    knowledge: Literal["gradients", "structure", "scores", "labels"] | None = Field(
        None, description="What the attacker sees; as much as the model gives if left out. structure: its trees."
    )
    queries: int | None = Field(None, ge=1, description="Most questions per case.")
    where: Literal["all", "outside-mask"] = Field("all", description="Whether a known lesion may be changed.")
    attacks: tuple[str | dict[str, Any], ...] | None = Field(None, description="Attacks for this threat only.")
    main: Limit | None = Field(None, description="The limit that the summary speaks of; the middle one if left out.")

    @field_validator("limits", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return value if isinstance(value, (list, tuple)) else [value]


class CostSpec(Part):
    """What errors cost, for the harm per 1,000 patients."""

    false_negative: float = Field(5.0, ge=0, description="Cost of one missed patient.")
    false_positive: float = Field(1.0, ge=0, description="Cost of one false alarm.")
    unit: str = Field("false alarms", description="Unit of the costs.")
    prevalence: float | None = Field(None, ge=0, le=1, description="Share of diseased patients; as in the test set.")


class Subject(Part):
    """One model on one data set under its threats."""

    name: str = Field("", description="Name of the model in the report.")
    data: DataSpec
    model: dict[str, Any] = Field(description="zoo: a reference model; path, url or python: a model of yours.")
    threats: tuple[ThreatSpec, ...] = Field(min_length=1)
    attacks: tuple[str | dict[str, Any], ...] = Field(("fgsm", "pgd", "noise"), min_length=1)
    threshold: str | dict[str, float] | None = Field(
        None, description="default, youden, {sensitivity: 0.9}, {specificity: 0.95} or {percentile: 95} of normals."
    )
    tolerance: float | None = Field(None, gt=0, description="Regression: an error above this is wrong.")
    costs: CostSpec = Field(default_factory=CostSpec)


class Plan(Part):
    """A whole audit."""

    titer: Literal[1] = Field(description="Version of the plan format.")
    name: str = Field("audit", min_length=1, description="Title of the report.")
    subjects: tuple[Subject, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1, description="One trial per seed.")
    fail_if: tuple[str, ...] = Field((), description="Rules such as 'robust_accuracy < 0.5 at 4/255'.")
    explain: dict[str, str] = Field(default_factory=dict, description="Trap name: why its failure is understood.")
    gallery: int = Field(2, ge=0, le=12, description="Cases shown per model and threat.")
    resamples: int = Field(2000, ge=200, description="Bootstrap resamples.")
    margin: float = Field(2.0, gt=0, description="Equivalence margin for clean accuracy, in points.")

    @property
    def digest(self) -> str:
        """Name of all that decides the numbers."""
        return digest(self.model_dump(mode="json"))

    @field_validator("seeds")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("every seed once")
        return value


_SHARED = ("data", "model", "threats", "attacks", "threshold", "tolerance", "costs")


def spread(raw: dict[str, Any]) -> dict[str, Any]:
    """A plan's mapping with what stands at the top handed to each subject.

    >>> spread({"titer": 1, "data": 1, "model": 2, "threats": 3})["subjects"]
    [{'data': 1, 'model': 2, 'threats': 3}]
    """
    shared = {key: raw[key] for key in _SHARED if key in raw}
    rest = {key: value for key, value in raw.items() if key not in _SHARED}
    subjects = rest.get("subjects", [{}] if shared else [])
    if isinstance(subjects, list):
        rest["subjects"] = [{**shared, **each} if isinstance(each, dict) else each for each in subjects]
    return rest


def load_plan(path: Path, changes: tuple[str, ...] = ()) -> tuple[Plan, str]:
    """A plan and its text from a file; `changes` are `a.b=c` settings that override it."""
    from titer.audit.plan_file import read_plan

    return read_plan(path, changes)
